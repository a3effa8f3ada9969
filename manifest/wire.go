package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// FleetFormat is the newest format of the fleet's documents that this code reads.
const FleetFormat = 2

// TUF target paths of the fleet's documents.
const (
	FleetPath = "fleet.json.zst"
	SitesPath = "sites.json.zst"
)

// FleetFiles are the documents in which a fleet travels. Each is zstd-compressed JSON that begins with the format number.
//
//	FleetPath   {"format": 2, "name": …, "policy": {…}, "rings": {…}}: small; the only one that a new pin of a ring changes
//	SitesPath   {"format": 2, "sites": {"kin-001": {"ring": "pilot"}, …}}, or in a large fleet
//	            {"format": 2, "parts": [{"digest": "sha256:…", "size": 1234}, …]}
//	PartPath    {"format": 2, "sites": {…}}: some of the sites
//
// The first two are TUF targets; a part hangs on the signed chain by its digest. Site s stands in part number H mod the number of parts,
// where H is the number that the first eight bytes of the SHA-256 of s make, the first byte counting most. So a site fetches what concerns
// itself and a few hundred others, and it is still told by name, inside what is signed.
type FleetFiles struct {
	Fleet []byte
	Sites []byte
	// Part returns one of the parts that Sites names. It need not check it.
	Part func(Blob) ([]byte, error)
}

// sitesDocument is SitesPath, or a part of it.
type sitesDocument struct {
	Format int             `json:"format"`
	Sites  map[string]Site `json:"sites,omitempty"`
	Parts  []Blob          `json:"parts,omitempty"`
}

const (
	maxSiteParts = 4096
	inOnePart    = 256 // so many sites stand in SitesPath itself
	partGrowth   = 25  // a fleet has the smallest power of two parts p with partGrowth·p² ≥ sites: a part grows as the list of parts does
)

// PartPath is where a part stands in a published folder.
func PartPath(d digest.Digest) string { return "targets/sites/" + d.Encoded() + ".json.zst" }

// part returns the number of the part in which a site stands.
func part(site string, parts int) int {
	sum := sha256.Sum256([]byte(site))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(parts))
}

func partsFor(sites int) int {
	if sites <= inOnePart {
		return 1
	}
	n := 2
	for partGrowth*n*n < sites && n < maxSiteParts {
		n *= 2
	}
	return n
}

// ParseFleet reads and validates a fleet: all of it, or with the name of a site as much as that site needs. A site that is not in the fleet is
// no error; Assignment tells. Errors of Part are handed on.
func ParseFleet(files FleetFiles, site string) (*Fleet, error) {
	f, err := parseFleet(files, site)
	if err != nil {
		return nil, fmt.Errorf("cannot read fleet: %w", err)
	}
	return f, f.Validate()
}

func parseFleet(files FleetFiles, site string) (*Fleet, error) {
	left := MaxFleet
	var f Fleet
	if err := parsePacked(files.Fleet, &left, &f); err != nil {
		return nil, err
	}
	if f.Sites != nil {
		return nil, fmt.Errorf("%w: sites do not stand in %s", ErrInvalid, FleetPath)
	}
	var index sitesDocument
	if err := parsePacked(files.Sites, &left, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", SitesPath, err)
	}
	if f.Sites = index.Sites; f.Sites == nil {
		f.Sites = map[string]Site{}
	}
	if len(index.Parts) == 0 {
		return &f, nil
	}
	if len(index.Sites) > 0 || len(index.Parts) > maxSiteParts {
		return nil, fmt.Errorf("%w: %s has sites and parts, or more than %d parts", ErrInvalid, SitesPath, maxSiteParts)
	}
	for n, b := range index.Parts {
		if site != "" && n != part(site, len(index.Parts)) {
			continue
		}
		if err := f.add(files, n, len(index.Parts), b, &left); err != nil {
			return nil, fmt.Errorf("part %d of %s: %w", n, SitesPath, err)
		}
	}
	return &f, nil
}

// add reads a part. Everything that it says was signed with the digest in Sites.
func (f *Fleet) add(files FleetFiles, n, parts int, b Blob, left *int) error {
	if b.Digest.Validate() != nil || b.Digest.Algorithm() != digest.SHA256 || b.Size < 1 || b.Size > MaxFleet {
		return fmt.Errorf("%w: it has no SHA-256 digest or an impossible size", ErrInvalid)
	}
	data, err := files.Part(b)
	if err != nil {
		return err
	}
	if int64(len(data)) != b.Size || digest.FromBytes(data) != b.Digest {
		return fmt.Errorf("%w: it is not what was signed", ErrInvalid)
	}
	var p sitesDocument
	if err := parsePacked(data, left, &p); err != nil {
		return err
	}
	if len(p.Parts) > 0 {
		return fmt.Errorf("%w: a part has no parts", ErrInvalid)
	}
	for name, s := range p.Sites {
		if part(name, parts) != n {
			return fmt.Errorf("%w: site %s belongs to another part", ErrInvalid, quoted(name))
		}
		f.Sites[name] = s
	}
	return nil
}

// Encode returns the documents that ParseFleet reads. The same fleet gives the same bytes.
func (f *Fleet) Encode() (FleetFiles, error) {
	files, err := f.encode()
	if err != nil {
		err = fmt.Errorf("cannot write fleet %s: %w", f.Name, err)
	}
	return files, err
}

func (f *Fleet) encode() (files FleetFiles, err error) {
	if err := f.Validate(); err != nil {
		return files, err
	}
	head := *f
	head.Sites = nil
	total := 0
	if files.Fleet, err = pack(head, &total); err != nil {
		return files, err
	}
	n := partsFor(len(f.Sites))
	if n == 1 {
		files.Sites, err = pack(sitesDocument{Format: f.Format, Sites: f.Sites}, &total)
		return files, err
	}
	parts := make([]sitesDocument, n)
	for name, s := range f.Sites {
		p := &parts[part(name, n)]
		if p.Sites == nil {
			p.Format, p.Sites = f.Format, map[string]Site{}
		}
		p.Sites[name] = s
	}
	index := sitesDocument{Format: f.Format}
	content := map[digest.Digest][]byte{}
	for _, p := range parts {
		p.Format = f.Format
		data, err := pack(p, &total)
		if err != nil {
			return files, err
		}
		b := Blob{Digest: digest.FromBytes(data), Size: int64(len(data))}
		content[b.Digest] = data
		index.Parts = append(index.Parts, b)
	}
	files.Part = func(b Blob) ([]byte, error) { return content[b.Digest], nil }
	files.Sites, err = pack(index, &total)
	return files, err
}

// Parts lists the parts that Sites names, none for a small fleet.
func (d FleetFiles) Parts() ([]Blob, error) {
	left := MaxFleet
	var index sitesDocument
	if err := parsePacked(d.Sites, &left, &index); err != nil {
		return nil, fmt.Errorf("cannot read fleet: %s: %w", SitesPath, err)
	}
	return index.Parts, nil
}

// parsePacked reads one document; left is how much may still be unpacked.
func parsePacked(packed []byte, left *int, into any) error {
	data, err := unpack(packed, *left)
	if err != nil {
		return err
	}
	*left -= len(data)
	return parse(data, JSONLimits{Size: MaxFleet, Depth: maxDepth, Values: maxFleetValues}, FleetFormat, into)
}

// unpack stops a small document that unpacks to a huge one: memory and output are bounded.
func unpack(packed []byte, limit int) ([]byte, error) {
	if len(packed) > MaxFleet {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxFleet)
	}
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxFleet))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer d.Close()
	data, err := io.ReadAll(io.LimitReader(d, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: not zstd: %w", ErrInvalid, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, MaxFleet)
	}
	return data, nil
}

// pack writes one document; total counts what all of them unpack to.
func pack(document any, total *int) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	if *total += len(data); *total > MaxFleet {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxFleet)
	}
	e, err := packer()
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(data, nil), nil
}

// packer is for small blocks that are read often and written once: the best level; a digest stands beside each, so no checksum inside. It is made once, as
// its tables are larger than what they are for.
var packer = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
})
