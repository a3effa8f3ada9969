// Package backup makes exact copies of a stack's volumes (snapshots) and puts them back.
//
// A snapshot is made in two passes. CopyAhead copies while users work, and reads back what it copied; whatever it sees, sees half or
// misses is no error. Finish runs while nothing writes, copies only what changed since, proves by a second look that nothing moved
// meanwhile, reads back from the disk what it copied, compares checksums, and only then writes snapshot.json. A folder without that
// file is no snapshot. Both may be repeated and may be interrupted anywhere. Restore makes trees equal to a snapshot; it too may be
// interrupted anywhere and run again until it returns nil. While Finish or Restore runs nothing else may write into the trees:
// that is the caller's duty, and so is enough space (see Size).
//
// Of large files (from 8 MiB) only the blocks of 128 KiB that changed are copied, into the copy that is there, and restored. Where the
// file system can, files and blocks are shared instead of copied.
//
// Kept are owner, mode, modification time in nanoseconds, extended attributes with POSIX ACLs, hard links, holes, symbolic
// links, fifos and device nodes, under any file name. Sockets are skipped. Access times and inode flags are not kept. No
// symbolic link inside a tree is ever followed.
//
// A snapshot folder holds
//
//	snapshot.json        format, Info, and for each tree its size and the SHA-256 of its index; written last
//	index/TREE.jsonl     one line for every file, see package tree; the authority for everything but content
//	trees/TREE/…         the files
//	dumps/FILE           dumps that the caller put there and listed in Info.Dumps
//	streams/VOLUME.tar   volumes whose files cannot be reached, see SaveStream
//
// A file is taken as unchanged when size, modification time, change time and inode are what the index says, neither time was so
// fresh that a later change could bear the same one, and the system has not started anew since: a power cut may keep what a
// program wrote into a file and lose the times that tell of it. An index names in its first line the start of the system, the
// kernel's boot id, that it was made in; where that is missing or another one, metadata proves nothing. Everything else is
// compared by its SHA-256 or copied. The same rule tells whether a copy still is what was read back: every write into a copy moves
// its change time away from the one in the index, so that an interrupted pass, and a power cut more so, leaves copies that are right
// or known to be in doubt. Those are compared block by block, or read back.
//
// Snapshots work on Linux only; elsewhere they answer ErrUnsupported.
package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dhow/agent/backup/tree"
	"dhow/bundle/durable"
)

// Format is the newest snapshot format that this code reads.
const Format = 1

const (
	recordName = "snapshot.json"
	indexDir   = "index"
	treesDir   = "trees"
	// DumpsDir is the folder of a snapshot that holds its dumps.
	DumpsDir = "dumps"

	maxRecord  = 16 << 20
	bufferSize = 1 << 20
)

var (
	// ErrIncomplete means that a folder holds no finished snapshot.
	ErrIncomplete = errors.New("the snapshot is not complete")
	// ErrDamaged means that what is on disk is not what was written.
	ErrDamaged = errors.New("the snapshot is damaged")
	// ErrChanged means that something wrote into a tree during the last pass.
	ErrChanged = errors.New("something still writes into the volume")
	// ErrUnsupported means that this operating system has no snapshots.
	ErrUnsupported = errors.New("snapshots of volumes work on Linux only")
)

// Tree is a folder to copy or to restore: Name is the volume's key and names it inside the snapshot.
type Tree struct {
	Name string
	Path string
}

// Progress hears about bytes done and to do. It is called often, never twice at the same time; nil is allowed. When total is 0 it is not
// known.
type Progress func(done, total int64)

// Info is what the caller wants to remember with a snapshot. Rows are exact counts by "service/database.table".
type Info struct {
	Release string           `json:"release"`
	Made    time.Time        `json:"made"`
	Dumps   []Dump           `json:"dumps,omitempty"`
	Streams []Stream         `json:"streams,omitempty"`
	Rows    map[string]int64 `json:"rows,omitempty"`
}

// Dump is a dump of a database server beside the trees. File is its name without a folder, Bytes its length and SHA256 its digest
// (hex). About is what the caller wants to remember of it.
type Dump struct {
	Service string          `json:"service"`
	File    string          `json:"file"`
	Bytes   int64           `json:"bytes"`
	SHA256  string          `json:"sha256"`
	About   json.RawMessage `json:"about,omitempty"`
	// Seen is set by ProveDump.
	Seen *DumpSeen `json:"seen,omitempty"`
}

// DumpSeen says when a dump was read back from the disk: under which start of the system, and what its file was.
type DumpSeen struct {
	Boot string `json:"boot"`
	tree.Seen
}

// Snapshot is the content of snapshot.json.
type Snapshot struct {
	Format int `json:"format"`
	Info
	Trees []TreeInfo `json:"trees"`
}

// TreeInfo describes one tree of a snapshot: how many files of any kind, how many bytes of content (each hard-linked file
// once), and the SHA-256 (hex) of its index.
type TreeInfo struct {
	Name  string `json:"name"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Index string `json:"index"`
}

// Bytes is the size of the content of all trees, dumps and streams.
func (s *Snapshot) Bytes() int64 {
	var sum int64
	for _, t := range s.Trees {
		sum += t.Bytes
	}
	for _, d := range s.Dumps {
		sum += d.Bytes
	}
	for _, t := range s.Streams {
		sum += t.Bytes
	}
	return sum
}

// Read reads what a snapshot says of itself. It looks at no file but snapshot.json; see Verify.
func Read(dir string) (*Snapshot, error) {
	f, err := os.Open(filepath.Join(dir, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read snapshot %s: %w", dir, ErrIncomplete)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot: %w", err)
	}
	s, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot %s: %w", dir, err)
	}
	return s, nil
}

func parse(data []byte) (*Snapshot, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrDamaged, recordName, maxRecord)
	}
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrDamaged, recordName, err)
	}
	if s.Format > Format {
		return nil, fmt.Errorf("it has format %d, this program reads up to %d: update dhow", s.Format, Format)
	}
	if s.Format < 1 {
		return nil, fmt.Errorf("%w: %s has no format", ErrDamaged, recordName)
	}
	seen := map[string]bool{}
	for _, t := range s.Trees {
		if err := checkName(t.Name); err != nil || seen[t.Name] || t.Files < 0 || t.Bytes < 0 || !isDigest(t.Index) {
			return nil, fmt.Errorf("%w: %s: tree %q", ErrDamaged, recordName, t.Name)
		}
		seen[t.Name] = true
	}
	for _, d := range s.Dumps {
		if checkName(d.File) != nil || d.Bytes < 0 || !isDigest(d.SHA256) {
			return nil, fmt.Errorf("%w: %s: dump %q", ErrDamaged, recordName, d.File)
		}
	}
	for _, t := range s.Streams {
		if err := t.check(); err != nil || seen[t.Name] {
			return nil, fmt.Errorf("%w: %s: stream %q", ErrDamaged, recordName, t.Name)
		}
		seen[t.Name] = true
	}
	return &s, nil
}

func (s *Snapshot) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if _, err := parse(data); err != nil { // what we would not read back is not written
		return err
	}
	return durable.WriteFile(filepath.Join(dir, recordName), append(data, '\n'), 0o600)
}

func checkTrees(trees []Tree) error {
	seen := map[string]bool{}
	for _, t := range trees {
		if err := checkName(t.Name); err != nil {
			return err
		}
		if seen[t.Name] {
			return fmt.Errorf("volume %s is named twice", t.Name)
		}
		if t.Path == "" {
			return fmt.Errorf("volume %s has no path", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// checkName keeps names of trees and dumps inside their folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 200 || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return fmt.Errorf("%q cannot be the name of a volume or dump", name)
	}
	return nil
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// meter adds up progress.
type meter struct {
	tell        Progress
	mu          sync.Mutex
	done, total int64
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.tell != nil {
		if m.total > 0 {
			m.done = min(m.done, m.total)
		}
		m.tell(m.done, m.total)
	}
}
