package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"dhow/bundle/durable"
)

// Kinds of files in an index.
const (
	kindFile  = "file"
	kindDir   = "dir"
	kindLink  = "link"
	kindFifo  = "fifo"
	kindChar  = "char"
	kindBlock = "block"
)

// maxLine bounds a line of an index: a path and its extended attributes.
const maxLine = 16 << 20

// entry is a line of an index, after its first, an indexHeader. Folders come before what is in them and the first name of a
// hard-linked file before the others. Times are nanoseconds since 1970; Mode has the permission bits with setuid, setgid and
// sticky (07777).
type entry struct {
	Path  raw    `json:"path"` // relative to the tree, slashes; "." is the tree itself
	Kind  string `json:"kind"`
	Mode  uint32 `json:"mode"`
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Size  int64  `json:"size,omitempty"` // of files
	Mtime int64  `json:"mtime"`
	// Ctime and Inode are those of the source: what proves that a file was not touched since.
	Ctime  int64          `json:"ctime"`
	Inode  uint64         `json:"inode"`
	Device uint64         `json:"device,omitempty"` // of device nodes, as stat's rdev
	SHA256 string         `json:"sha256,omitempty"` // of files without Hard
	Link   raw            `json:"link,omitempty"`   // target of a symbolic link
	Hard   raw            `json:"hard,omitempty"`   // this is another name of the file with that path
	Xattrs map[raw][]byte `json:"xattrs,omitempty"`
	// Fresh is set when a later change could have left both times as they are, as one before a power cut may: metadata proves
	// nothing then.
	Fresh bool `json:"fresh,omitempty"`
}

// same reports whether b is, by its metadata, still the file that a was.
func (e *entry) same(b *entry) bool {
	return e.Kind == b.Kind && e.Size == b.Size && e.Mtime == b.Mtime && e.Ctime == b.Ctime && e.Inode == b.Inode
}

// raw is a file name: any bytes but NUL. In JSON everything that is not printable UTF-8, and "%", stands as %XX.
type raw string

// MarshalText escapes.
func (r raw) MarshalText() ([]byte, error) {
	var b []byte
	for s := string(r); s != ""; {
		c, n := utf8.DecodeRuneInString(s)
		if (c == utf8.RuneError && n == 1) || c == '%' || !unicode.IsPrint(c) {
			for i := range n {
				b = fmt.Appendf(b, "%%%02X", s[i])
			}
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return b, nil
}

// UnmarshalText is the inverse of MarshalText.
func (r *raw) UnmarshalText(text []byte) error {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b = append(b, text[i])
			continue
		}
		if i+2 >= len(text) {
			return errors.New("name ends in an escape")
		}
		c, err := hex.DecodeString(string(text[i+1 : i+3]))
		if err != nil || c[0] == 0 {
			return fmt.Errorf("name has a bad escape %q", text[i:i+3])
		}
		b = append(b, c[0])
		i += 2
	}
	*r = raw(b)
	return nil
}

// indexHeader is the first line of an index: {"format":1,"boot":"…"}. Boot is the boot id that the metadata was read under,
// empty or left out when it is not known.
type indexHeader struct {
	Format int    `json:"format"`
	Boot   string `json:"boot,omitempty"`
}

// writeIndex puts an index in place and returns its SHA-256. Every entry that is not Fresh must have been looked at under boot.
func writeIndex(file, boot string, entries []*entry) (string, error) {
	sum := sha256.New()
	err := durable.Write(file, 0o600, func(w io.Writer) error {
		buf := bufio.NewWriter(io.MultiWriter(w, sum))
		enc := json.NewEncoder(buf)
		if err := enc.Encode(indexHeader{Format, boot}); err != nil {
			return err
		}
		for _, e := range entries {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return buf.Flush()
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// readIndex parses and checks an index, so that who uses it may trust its paths and references. Whether its metadata proves
// anything is left to who knows the present boot.
func readIndex(r io.Reader) (boot string, entries []*entry, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return "", nil, errors.Join(fmt.Errorf("%w: empty index", ErrDamaged), lines.Err())
	}
	var h indexHeader
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != Format {
		return "", nil, fmt.Errorf("%w: index of unknown format", ErrDamaged)
	}
	kinds := map[raw]string{}
	for n := 2; lines.Scan(); n++ {
		e := new(entry)
		if err := json.Unmarshal(lines.Bytes(), e); err != nil {
			return "", nil, fmt.Errorf("%w: index line %d: %v", ErrDamaged, n, err)
		}
		if err := e.check(kinds); err != nil {
			return "", nil, fmt.Errorf("%w: index line %d: %v", ErrDamaged, n, err)
		}
		kind := e.Kind
		if e.Hard != "" {
			kind = "name"
		}
		kinds[e.Path] = kind
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return "", nil, fmt.Errorf("cannot read index: %w", err)
	}
	if len(entries) == 0 {
		return "", nil, fmt.Errorf("%w: index without entries", ErrDamaged)
	}
	return h.Boot, entries, nil
}

// check refuses what could lead out of the tree or what refers to nothing; seen holds the kinds of the entries before.
func (e *entry) check(seen map[raw]string) error {
	p := string(e.Path)
	_, twice := seen[e.Path]
	switch {
	case len(seen) == 0 && (p != "." || e.Kind != kindDir):
		return errors.New("the first entry is not the folder itself")
	case twice:
		return fmt.Errorf("%q stands twice", p)
	case len(seen) > 0 && (p == "" || p[0] == '/' || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../")):
		return fmt.Errorf("bad path %q", p)
	case len(seen) > 0 && seen[raw(path.Dir(p))] != kindDir:
		return fmt.Errorf("%q is in no folder", p)
	case strings.ContainsRune(p+string(e.Link), 0):
		return fmt.Errorf("%q holds a NUL", p)
	case e.Mode&^0o7777 != 0 || e.Size < 0:
		return fmt.Errorf("%q has a bad mode or size", p)
	}
	switch e.Kind {
	case kindFile:
		if e.Hard == "" && !isDigest(e.SHA256) {
			return fmt.Errorf("%q has no checksum", p)
		}
		if e.Hard != "" && seen[e.Hard] != kindFile {
			return fmt.Errorf("%q is another name of nothing", p)
		}
	case kindLink:
		if e.Link == "" {
			return fmt.Errorf("%q links to nothing", p)
		}
	case kindDir, kindFifo, kindChar, kindBlock:
	default:
		return fmt.Errorf("%q is of unknown kind", p)
	}
	if e.Kind != kindFile && (e.Hard != "" || e.Size != 0) {
		return fmt.Errorf("%q cannot have content", p)
	}
	return nil
}
