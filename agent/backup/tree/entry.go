package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Kinds of files.
const (
	File  = "file"
	Dir   = "dir"
	Link  = "link"
	Fifo  = "fifo"
	Char  = "char"
	Block = "block"
)

// Entry describes one file of any kind. Times are nanoseconds since 1970; Mode has the permission bits with setuid, setgid and
// sticky (07777).
type Entry struct {
	Path  Name   `json:"path"` // relative to the tree, slashes; "." is the tree itself
	Kind  string `json:"kind"`
	Mode  uint32 `json:"mode"`
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Size  int64  `json:"size,omitempty"` // of files
	Mtime int64  `json:"mtime"`
	// Ctime and Inode are those of the source: what proves that a file was not touched since.
	Ctime  int64  `json:"ctime"`
	Inode  uint64 `json:"inode"`
	Device uint64 `json:"device,omitempty"` // of device nodes, as stat's rdev
	// SHA256 is the digest (hex) of the content of files without Hard; with Blocks it is that of Blocks.
	SHA256 string `json:"sha256,omitempty"`
	// Blocks are the SHA-256 digests of the file's blocks (see BlockSize), one after the other, when who keeps the content of a
	// large file wants to copy only what changes in it.
	Blocks []byte          `json:"blocks,omitempty"`
	Link   Name            `json:"link,omitempty"` // target of a symbolic link
	Hard   Name            `json:"hard,omitempty"` // this is another name of the file with that path
	Xattrs map[Name][]byte `json:"xattrs,omitempty"`
	// Fresh is set when a later change could have left both times as they are, as one before a power cut may: metadata proves
	// nothing then.
	Fresh bool `json:"fresh,omitempty"`
	// Copy is for who keeps copies of files: what the copy was when it was last read back from the disk with this content.
	Copy *Seen `json:"copy,omitempty"`
}

// Seen is what proves that a file was not touched since a look at it: its inode, and its change time in nanoseconds.
type Seen struct {
	Inode uint64 `json:"inode"`
	Ctime int64  `json:"ctime"`
}

// BlockSize is the size of the blocks of a large file: 128 KiB, for files over 32 GiB as much more as keeps them to 2^18 blocks. A database
// changes pages of 16 KiB here and there. The last block of a file may be shorter.
func BlockSize(size int64) int64 {
	const least, most = 128 << 10, 1 << 18
	n := int64(least)
	for size > n*most {
		n *= 2
	}
	return n
}

// Same reports whether b is, by its metadata, still the file that a was.
func (e *Entry) Same(b *Entry) bool {
	return e.Kind == b.Kind && e.Size == b.Size && e.Mtime == b.Mtime && e.Ctime == b.Ctime && e.Inode == b.Inode
}

// check refuses what could lead out of the tree or what refers to nothing; seen holds the kinds of the entries before.
func (e *Entry) check(seen map[Name]string) error {
	p := string(e.Path)
	_, twice := seen[e.Path]
	switch {
	case len(seen) == 0 && (p != "." || e.Kind != Dir):
		return errors.New("the first Entry is not the folder itself")
	case twice:
		return fmt.Errorf("%q stands twice", p)
	case len(seen) > 0 && (p == "" || p[0] == '/' || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../")):
		return fmt.Errorf("bad path %q", p)
	case len(seen) > 0 && seen[Name(path.Dir(p))] != Dir:
		return fmt.Errorf("%q is in no folder", p)
	case strings.ContainsRune(p+string(e.Link), 0):
		return fmt.Errorf("%q holds a NUL", p)
	case e.Mode&^0o7777 != 0 || e.Size < 0:
		return fmt.Errorf("%q has a bad mode or size", p)
	}
	switch e.Kind {
	case File:
		if e.Hard == "" && !hexDigest(e.SHA256) {
			return fmt.Errorf("%q has no checksum", p)
		}
		if n := int64(len(e.Blocks)); n > 0 && (e.Hard != "" || n != CountBlocks(e.Size)*sha256.Size) {
			return fmt.Errorf("%q has another number of blocks", p)
		}
		if e.Hard != "" && seen[e.Hard] != File {
			return fmt.Errorf("%q is another name of nothing", p)
		}
	case Link:
		if e.Link == "" {
			return fmt.Errorf("%q links to nothing", p)
		}
	case Dir, Fifo, Char, Block:
	default:
		return fmt.Errorf("%q is of unknown kind", p)
	}
	if e.Kind != File && (e.Hard != "" || e.Size != 0 || len(e.Blocks) > 0) {
		return fmt.Errorf("%q cannot have content", p)
	}
	return nil
}

// CountBlocks is the number of blocks of a file of a size.
func CountBlocks(size int64) int64 {
	n := BlockSize(size)
	blocks := size / n
	if size%n > 0 {
		blocks++
	}
	return blocks
}

func hexDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
