package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Sizes of chunks. They may change between versions of dhow: nothing but deduplication depends on them.
const (
	pageSize = 4 << 10
	// blockSize is that of InnoDB's pages; PostgreSQL's and SQLite's are parts of it.
	blockSize = 16 << 10

	minChunk  = 16 << 10
	normChunk = 64 << 10
	maxChunk  = 256 << 10
)

// digest is the SHA-256 of a chunk, and its name.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// parseDigest reads what String wrote.
func parseDigest(s string) (d digest, err error) {
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("%q is no SHA-256", s)
	}
	_, err = hex.Decode(d[:], []byte(s))
	if err == nil && d.String() != s {
		err = fmt.Errorf("%q is no SHA-256", s)
	}
	return d, err
}

// ref names a chunk and its length. In JSON it is ["digest",length].
type ref struct {
	id   digest
	size uint32
}

// MarshalJSON writes the pair.
func (r ref) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `["%s",%d]`, r.id, r.size), nil
}

// UnmarshalJSON reads the pair.
func (r *ref) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	var id string
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%.80s names no chunk", data)
	}
	if err := json.Unmarshal(pair[0], &id); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[1], &r.size); err != nil {
		return err
	}
	if r.size == 0 || r.size > maxRaw {
		return fmt.Errorf("a chunk of %d bytes", r.size)
	}
	var err error
	r.id, err = parseDigest(id)
	return err
}

// A gear hash rolls over the bytes; a chunk ends where its top bits are zero. Up to normChunk more of them have to be, after it
// fewer, which keeps most chunks near normChunk (FastCDC, Xia et al. 2016).
const (
	maskShort = uint64(1<<18-1) << 46
	maskLong  = uint64(1<<14-1) << 50
)

var gear = func() (table [256]uint64) {
	x := uint64(0x44686f77) // splitmix64
	for i := range table {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		table[i] = z ^ z>>31
	}
	return table
}()

// cut returns the length of the chunk that b begins with. b holds at least maxChunk bytes, or all that is left.
func cut(b []byte) int {
	b = b[:min(len(b), maxChunk)]
	if len(b) <= minChunk {
		return len(b)
	}
	var h uint64
	for i := minChunk - 64; i < minChunk; i++ { // the hash reaches back 64 bytes
		h = h<<1 + gear[b[i]]
	}
	i := minChunk
	for ; i < min(len(b), normChunk); i++ {
		if h = h<<1 + gear[b[i]]; h&maskShort == 0 {
			return i + 1
		}
	}
	for ; i < len(b); i++ {
		if h = h<<1 + gear[b[i]]; h&maskLong == 0 {
			return i + 1
		}
	}
	return len(b)
}
