package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// Format is the newest format of records that this code reads.
const Format = 1

const (
	packsDir    = "packs"
	recordsDir  = "records"
	indexDir    = "index"
	damagedDir  = "damaged"
	verifiedDir = "verified"
	lockName    = "lock"

	bufferSize = 256 << 10
)

var (
	// ErrDamaged means that what is on disk is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNotFound means that there is no backup of that name.
	ErrNotFound = errors.New("there is no such backup")
	// ErrNewer means that a newer dhow made the backup.
	ErrNewer = errors.New("made by a newer dhow: update dhow")
	// ErrBusy means that another backup, restore or deletion is at work.
	ErrBusy = errors.New("the archive is in use by another backup, restore or deletion")
)

// remedy ends messages about damage.
const remedy = "use another backup; the next one stores anew what is damaged"

// point is where tests fail; they replace it.
var point = fault.Point

// Archive is a repository of backups in a folder. It may be used from several goroutines and processes.
type Archive struct{ dir string }

// Tree is a folder to back up or to restore: Name is the volume's key and names it inside the backup.
type Tree struct {
	Name string
	Path string
}

// File is a stream that belongs to a backup: a dump, a document. Write gives its content, once.
type File struct {
	Name  string
	Write func(w io.Writer) error
}

// Contents is what a backup is made of. Of Record the caller sets Name, Made and whatever describes the backup; Create fills in
// Format, Trees, Files, Bytes and Stored.
type Contents struct {
	Record
	Trees []Tree
	Files []File
}

// Progress hears about bytes done and to do. It is called often; nil is allowed. When total is 0 it is not known.
type Progress func(done, total int64)

// Record is what a backup says of itself.
type Record struct {
	Format  int       `json:"format"`
	Name    string    `json:"name"` // letters, digits, dots, dashes and underscores
	Site    string    `json:"site,omitempty"`
	Fleet   string    `json:"fleet,omitempty"`
	Release string    `json:"release,omitempty"`
	Project string    `json:"project,omitempty"`
	Made    time.Time `json:"made"`
	Dhow    string    `json:"dhow,omitempty"`
	// Meta is the caller's own: dumps, row counts, fingerprints.
	Meta  map[string]json.RawMessage `json:"meta,omitempty"`
	Trees []TreeInfo                 `json:"trees,omitempty"`
	Files []FileInfo                 `json:"files,omitempty"`
	// Bytes is the content: each hard-linked file once, holes left out. Stored is what the backup added to the packs.
	Bytes  int64 `json:"bytes"`
	Stored int64 `json:"stored"`

	// Verified says when all of the backup was read and found right, and how; nil means never. It stands beside the record.
	Verified *Verified `json:"-"`
	// Problem says why a listed record cannot be used: nothing but Name is known then.
	Problem error `json:"-"`
}

// Verified is the note that MarkVerified leaves.
type Verified struct {
	When time.Time `json:"when"`
	How  string    `json:"how"`
}

// TreeInfo describes a tree of a backup: the number of files of any kind, the bytes of content (each hard-linked file once, holes
// left out), and where its lists stand.
type TreeInfo struct {
	Name  string `json:"name"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	// Unsteady are files that changed while they were read, twice: what is kept of them may be a mixture. At most 100 are named.
	Unsteady []string `json:"unsteady,omitempty"`
	Entries  []ref    `json:"entries"`
	Extents  []ref    `json:"extents"`
}

// FileInfo describes a stream of a backup: its length and its SHA-256 (hex).
type FileInfo struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Extents []ref  `json:"extents"`
}

// Open opens the archive in dir, which is made when it is not there.
func Open(dir string) (*Archive, error) {
	for _, sub := range []string{packsDir, recordsDir, indexDir, damagedDir, verifiedDir} {
		if err := durable.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("cannot open archive: %w", err)
		}
	}
	return &Archive{dir: dir}, nil
}

func (a *Archive) path(elem ...string) string {
	return filepath.Join(append([]string{a.dir}, elem...)...)
}

// Size is what the archive takes on disk, in bytes.
func (a *Archive) Size() (int64, error) {
	var sum int64
	err := filepath.WalkDir(a.dir, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot measure archive: %w", err)
	}
	return sum, nil
}

// checkName keeps names inside their folders, on every file system and in every bucket.
func checkName(what, name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || name[0] == '.' || len(name) > 200 || strings.Trim(name, letters) != "" {
		return fmt.Errorf("%q cannot be the name of a %s", name, what)
	}
	return nil
}

// checkParts refuses trees or files of a backup that could not be told apart.
func checkParts(what string, names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || len(name) > 4096 || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%q cannot be the name of a %s", name, what)
		}
		if seen[name] {
			return fmt.Errorf("%s %s is named twice", what, name)
		}
		seen[name] = true
	}
	return nil
}

func checkTrees(trees []Tree) error {
	var names []string
	for _, t := range trees {
		if t.Path == "" {
			return fmt.Errorf("volume %s has no path", t.Name)
		}
		names = append(names, t.Name)
	}
	return checkParts("volume", names)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s (%s)", ErrDamaged, fmt.Sprintf(format, args...), remedy)
}

// meter adds up progress.
type meter struct {
	tell        Progress
	done, total int64
}

func (m *meter) add(n int64) {
	m.done += n
	if m.tell != nil {
		m.tell(min(m.done, m.total), m.total)
	}
}
