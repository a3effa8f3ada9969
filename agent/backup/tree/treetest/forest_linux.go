package treetest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Forest makes and changes random trees.
type Forest struct {
	t    *testing.T
	Rand *rand.Rand
	Dir  string
	away string // a folder outside that symbolic links point to
}

var oddNames = []string{
	"plain", "with space", "new\nline", "per%cent", "\xff\xfe\x80bytes", "ünïcode", "-rf", "*", `back\slash`, "\"quoted'",
	"tab\t", "\x01\x7f", ".hidden",
	"a.b", "日本", "..dots", "snapshot.json", "\u200b", strings.Repeat("n", 255),
}

func (f *Forest) paths(keep func(os.FileMode) bool) []string {
	var all []string
	Must(f.t, filepath.WalkDir(f.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && keep(d.Type()) {
			all = append(all, path)
		}
		return err
	}))
	return all
}

func (f *Forest) pick(keep func(os.FileMode) bool) string {
	all := f.paths(keep)
	if len(all) == 0 {
		return ""
	}
	return all[f.Rand.IntN(len(all))]
}

func isDir(m os.FileMode) bool    { return m.IsDir() }
func isFile(m os.FileMode) bool   { return m.IsRegular() }
func anything(m os.FileMode) bool { return true }

// free is a path in a random folder under which nothing stands.
func (f *Forest) free() string {
	for {
		dir := f.pick(isDir)
		name := oddNames[f.Rand.IntN(len(oddNames))]
		if f.Rand.IntN(2) == 0 {
			name = fmt.Sprintf("f%d", f.Rand.IntN(1000))
		}
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err != nil && len(path) < 3000 {
			return path
		}
	}
}

func (f *Forest) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.Rand.Uint32())
	}
	return b
}

// Step makes one random change.
func (f *Forest) Step() {
	t, r := f.t, f.Rand
	switch r.IntN(21) {
	case 0, 1, 2:
		Must(t, os.WriteFile(f.free(), f.bytes(r.IntN(40000)), os.FileMode(r.IntN(0o1000))))
	case 3:
		Must(t, os.Mkdir(f.free(), 0o755))
	case 4: // holes at several places
		file, err := os.Create(f.free())
		Must(t, err)
		Must(t, file.Truncate(int64(r.IntN(4<<20))))
		_, err = file.WriteAt(f.bytes(5000), int64(r.IntN(3<<20)))
		Must(t, err)
		Must(t, file.Close())
	case 5:
		Must(t, os.Symlink([]string{f.away, "nowhere", "../..", "\xff", "/etc/passwd"}[r.IntN(5)], f.free()))
	case 6:
		if from := f.pick(isFile); from != "" {
			Must(t, os.Link(from, f.free()))
		}
	case 7:
		Must(t, unix.Mkfifo(f.free(), 0o640))
	case 8:
		if p := f.pick(isFile); p != "" { // same size, same modification time: only the change time tells
			st, err := os.Stat(p)
			Must(t, err)
			file, err := os.OpenFile(p, os.O_WRONLY, 0)
			Must(t, err)
			_, err = file.WriteAt(f.bytes(int(min(st.Size(), 3000))), 0)
			Must(t, err)
			Must(t, file.Close())
			Must(t, os.Chtimes(p, st.ModTime(), st.ModTime()))
		}
	case 19, 20: // somewhere inside, perhaps into a hole
		if p := f.pick(isFile); p != "" {
			st, err := os.Stat(p)
			Must(t, err)
			file, err := os.OpenFile(p, os.O_WRONLY, 0)
			Must(t, err)
			_, err = file.WriteAt(f.bytes(1+r.IntN(3000)), r.Int64N(st.Size()+1))
			Must(t, err)
			if r.IntN(4) == 0 {
				Must(t, file.Truncate(r.Int64N(st.Size()+1)))
			}
			Must(t, file.Close())
		}
	case 9:
		if p := f.pick(isFile); p != "" {
			file, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			Must(t, err)
			_, err = file.Write(f.bytes(1 + r.IntN(2000)))
			Must(t, err)
			Must(t, file.Close())
		}
	case 10:
		Must(t, os.Lchown(f.pick(anything), r.IntN(3000), r.IntN(3000)))
	case 11:
		if p := f.pick(func(m os.FileMode) bool { return m&os.ModeSymlink == 0 }); p != "" {
			Must(t, unix.Chmod(p, uint32(r.IntN(0o10000))))
		}
	case 12:
		if p := f.pick(isFile); p != "" {
			Must(t, unix.Lsetxattr(p, fmt.Sprintf("user.k%d", r.IntN(3)), f.bytes(r.IntN(200)), 0))
		}
	case 13:
		p := f.pick(func(m os.FileMode) bool { return m.IsRegular() || m.IsDir() })
		Must(t, unix.Lsetxattr(p, "system.posix_acl_access", acl(uint32(r.IntN(2000))), 0))
	case 14: // what is made in this folder later inherits
		Must(t, unix.Lsetxattr(f.pick(isDir), "system.posix_acl_default", acl(uint32(r.IntN(2000))), 0))
	case 15:
		if p := f.pick(anything); p != f.Dir {
			Must(t, os.RemoveAll(p))
		}
	case 16:
		if p := f.pick(isFile); p != "" {
			Must(t, os.Rename(p, f.free()))
		}
	case 17: // another kind under the same name
		if p := f.pick(anything); p != f.Dir {
			dir := isDirectory(p)
			Must(t, os.RemoveAll(p))
			if dir {
				Must(t, os.WriteFile(p, f.bytes(10), 0o644))
			} else {
				Must(t, os.MkdirAll(filepath.Join(p, "inside"), 0o700))
			}
		}
	case 18:
		p := f.pick(anything)
		ns := r.Int64N(2e18)
		Must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{}, unix.NsecToTimespec(ns)}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

func isDirectory(p string) bool {
	st, err := os.Lstat(p)
	return err == nil && st.IsDir()
}

// Steps makes n random changes.
func (f *Forest) Steps(n int) {
	for range n {
		f.Step()
	}
}

// NewForest makes an empty folder.
func NewForest(t *testing.T, seed uint64, dir string) *Forest {
	t.Helper()
	NeedRoot(t)
	unix.Umask(0o022)
	f := &Forest{t: t, Rand: rand.New(rand.NewPCG(seed, 1)), Dir: dir, away: filepath.Join(t.TempDir(), "away")}
	Must(t, os.MkdirAll(dir, 0o751))
	Must(t, os.Mkdir(f.away, 0o755))
	Must(t, os.WriteFile(filepath.Join(f.away, "precious"), []byte("untouched"), 0o644))
	return f
}

// Outside checks that nothing went through a symbolic link.
func (f *Forest) Outside() {
	f.t.Helper()
	names, err := os.ReadDir(f.away)
	Must(f.t, err)
	data, err := os.ReadFile(filepath.Join(f.away, "precious"))
	Must(f.t, err)
	if len(names) != 1 || string(data) != "untouched" {
		f.t.Fatal("something was done outside the tree")
	}
}
