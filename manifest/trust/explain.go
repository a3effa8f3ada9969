package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Link is one document of the chain from the root of trust to the fleet document. Err says why it does not hold.
type Link struct {
	Document    string    // root, timestamp, snapshot, targets or fleet
	Number      int64     // its version; 0 for the fleet document
	Fingerprint string    // of a root
	Signers     []string  // names of the keys that have signed it; for a root those of the root before
	Needed, Of  int       // how many of how many keys must sign; 0 where a document is held by its digest
	Made        time.Time // when it was signed, zero where it does not say
	By          string    // who signed it, as it says itself
	Expires     time.Time // zero for the fleet document
	Err         error
}

// Explain verifies the manifest of this site again, from the root given at install to the fleet document, and says of each document by
// what it holds. It fails with ErrNothing before the first refresh.
func (c *Client) Explain() ([]Link, error) {
	roots := c.Roots()
	c.mu.Lock()
	defer c.mu.Unlock()
	var links []Link
	var root *metadata.Metadata[metadata.RootType]
	for n, data := range roots {
		l := Link{Document: metadata.ROOT}
		next, err := selfSigned(data)
		if err != nil {
			l.Err = err
			return append(links, l), nil
		}
		l.Number, l.Expires = next.Signed.Version, next.Signed.Expires
		l.Made, l.By = MadeBy(next.Signed.UnrecognizedFields)
		if l.Fingerprint, err = Fingerprint(data); err != nil {
			return nil, err
		}
		signer := next
		if n > 0 {
			l.Err = Follows(roots[n-1], data)
			signer = root
		}
		l.sign(signer, metadata.ROOT, next)
		root = next
		links = append(links, l)
	}
	if c.state.Done.Fleet == nil {
		return links, fmt.Errorf("this site has no manifest: %w", ErrNothing)
	}
	return append(links, c.state.Done.explain(root, c.opts.Site)...), nil
}

// explain holds each document against the root and the one that names it.
func (d documents) explain(root *metadata.Metadata[metadata.RootType], site string) []Link {
	stamp, l := link(timestampPath, d.Timestamp, maxTimestamp, metadata.Timestamp(), root, metadata.TIMESTAMP)
	links := []Link{l}
	if stamp == nil {
		return links
	}
	links[0].Number, links[0].Expires = stamp.Signed.Version, stamp.Signed.Expires
	links[0].Made, links[0].By = MadeBy(stamp.Signed.UnrecognizedFields)

	snap, l := link("the snapshot", d.Snapshot, maxSnapshot, metadata.Snapshot(), root, metadata.SNAPSHOT)
	if snap != nil {
		l.Number, l.Expires = snap.Signed.Version, snap.Signed.Expires
		l.Made, l.By = MadeBy(snap.Signed.UnrecognizedFields)
		l.named(stamp.Signed.Meta[snapshotName], d.Snapshot, "the timestamp")
	}
	if links = append(links, l); snap == nil {
		return links
	}

	list, l := link("the list of documents", d.Targets, maxTargets, metadata.Targets(), root, metadata.TARGETS)
	if list != nil {
		l.Number, l.Expires = list.Signed.Version, list.Signed.Expires
		l.Made, l.By = MadeBy(list.Signed.UnrecognizedFields)
		l.named(snap.Signed.Meta[targetsName], d.Targets, "the snapshot")
	}
	if links = append(links, l); list == nil {
		return links
	}

	l = Link{Document: "fleet"}
	for name, data := range map[string][]byte{manifest.FleetPath: d.Fleet, manifest.SitesPath: d.Sites} {
		if info := list.Signed.Targets[name]; info == nil || info.VerifyLengthHashes(data) != nil {
			l.Err = fmt.Errorf("%s is %w: it is not what manifest %d names", name, ErrDamaged, list.Signed.Version)
		}
	}
	if l.Err == nil {
		_, l.Err = manifest.ParseFleet(manifest.FleetFiles{Fleet: d.Fleet, Sites: d.Sites, Part: func(b manifest.Blob) ([]byte, error) {
			data := d.part(b)
			if data == nil {
				return nil, fmt.Errorf("a part of the list of sites: %w", ErrNothing)
			}
			return data, nil
		}}, site)
	}
	return append(links, l)
}

// link parses a document and checks its signatures. The document is nil when it can't be read.
func link[T metadata.Roles](
	what string, data []byte, limit int64, empty *metadata.Metadata[T], root *metadata.Metadata[metadata.RootType], role string,
) (*metadata.Metadata[T], Link) {
	l := Link{Document: role}
	if l.Err = checkJSON(what, data, limit); l.Err != nil {
		return nil, l
	}
	m, err := empty.FromBytes(data)
	if err != nil {
		l.Err = classify(what, err)
		return nil, l
	}
	if err := root.VerifyDelegate(role, m); err != nil {
		l.Err = classify(what, err)
	}
	l.sign(root, role, m)
	return m, l
}

// named holds a document against the one that names it.
func (l *Link) named(meta *metadata.MetaFiles, data []byte, by string) {
	switch {
	case l.Err != nil:
	case meta == nil || meta.Version != l.Number || meta.VerifyLengthHashes(data) != nil:
		l.Err = fmt.Errorf("it is %w: it is not the one that %s names", ErrDamaged, by)
	}
}

func (l *Link) sign(root *metadata.Metadata[metadata.RootType], role string, document any) {
	l.Signers = Signers(root, role, document)
	l.Needed, l.Of = root.Signed.Roles[role].Threshold, len(root.Signed.Roles[role].KeyIDs)
}

// Signers names the keys of a role of root that have signed document, a *metadata.Metadata of that role. A key that has no name in the
// root is named by the beginning of its ID.
func Signers(root *metadata.Metadata[metadata.RootType], role string, document any) []string {
	var names []string
	counted := map[string]bool{} // one key counts once, under however many IDs it stands
	for _, id := range root.Signed.Roles[role].KeyIDs {
		key := root.Signed.Keys[id]
		if key == nil || counted[key.Value.PublicKey] {
			continue
		}
		alone := metadata.Metadata[metadata.RootType]{Signed: root.Signed}
		alone.Signed.Roles = map[string]*metadata.Role{role: {KeyIDs: []string{id}, Threshold: 1}}
		if alone.VerifyDelegate(role, document) == nil {
			counted[key.Value.PublicKey] = true
			names = append(names, KeyName(root, id))
		}
	}
	slices.Sort(names)
	return names
}

// KeyName is the name that a root gives a key, else the beginning of its ID.
func KeyName(root *metadata.Metadata[metadata.RootType], id string) string {
	names, _ := root.Signed.UnrecognizedFields["names"].(map[string]any)
	if name, _ := names[id].(string); name != "" {
		return Printable(name)
	}
	return id[:min(len(id), 8)]
}

// Printable takes out of a text what would write over a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// MadeBy reads when and by whom a document was made, as it says itself (custom fields "made" and "by", see manifest/sign).
func MadeBy(fields map[string]any) (made time.Time, by string) {
	text, _ := fields["made"].(string)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		made = at.UTC()
	}
	by, _ = fields["by"].(string)
	return made, Printable(by)
}
