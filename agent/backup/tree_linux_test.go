package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests change owners of files: run them as root")
	}
}

// capture describes everything below dir that a snapshot promises to keep, one line per file. It shares no code with the package.
func capture(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	groups := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("mode %o owner %d:%d mtime %d device %d", st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), st.Rdev)
		for _, name := range slices.Sorted(maps.Keys(xattrsOf(t, path))) {
			line += fmt.Sprintf(" %q=%x", name, xattrsOf(t, path)[name])
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" to %q", target)
		case unix.S_IFREG:
			if first, ok := groups[st.Ino]; ok {
				line += fmt.Sprintf(" same as %q", first)
			} else {
				groups[st.Ino] = rel
			}
			line += fmt.Sprintf(" size %d names %d %s", st.Size, st.Nlink, contentOf(t, path, st.Size))
		}
		all[rel] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func xattrsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(value[:n])
	}
	return all
}

// contentOf is the checksum of a file and the stretches that hold data, in steps of 128 KiB: finer ones are the file system's
// affair.
func contentOf(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%x", sum.Sum(nil)[:8])
	const step = 128 << 10
	last := int64(-1)
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err != nil {
			break
		}
		if at, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		for block := max(data/step, last+1); block <= (at-1)/step; block++ {
			out += fmt.Sprintf(" %d", block)
			last = block
		}
	}
	return out
}

func equal(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, line := range want {
		if got[path] != line {
			t.Errorf("%s: %q\n got %s\nwant %s", what, path, got[path], line)
		}
	}
	for path, line := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %q should not be there: %s", what, path, line)
		}
	}
}

// settled waits until the clock of the file system has moved so far that metadata of older files proves something.
func settled(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	begin := time.Now()
	for deadline := begin.Add(10 * time.Second); time.Now().Before(deadline); {
		probe := filepath.Join(dir, "probe")
		must(t, os.WriteFile(probe, nil, 0o600))
		st, err := os.Stat(probe)
		must(t, err)
		if st.ModTime().Sub(begin) > 3*tick {
			return
		}
	}
	t.Fatal("the clock of the file system does not move")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// acl is a POSIX access control list as the kernel stores it: owner rwx, one user rwx, group r-x, mask rwx, others none.
func acl(uid uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {2, 7, uid}, {4, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// forest makes and changes random trees.
type forest struct {
	t    *testing.T
	rand *rand.Rand
	dir  string
	away string // a folder outside that symbolic links point to
}

var oddNames = []string{
	"plain", "with space", "new\nline", "per%cent", "\xff\xfe\x80bytes", "ünïcode", "-rf", "*", `back\slash`, "\"quoted'",
	"tab\t", "\x01\x7f", ".hidden",
	"a.b", "日本", "..dots", "snapshot.json", "\u200b", strings.Repeat("n", 255),
}

func (f *forest) paths(keep func(os.FileMode) bool) []string {
	var all []string
	must(f.t, filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && keep(d.Type()) {
			all = append(all, path)
		}
		return err
	}))
	return all
}

func (f *forest) pick(keep func(os.FileMode) bool) string {
	all := f.paths(keep)
	if len(all) == 0 {
		return ""
	}
	return all[f.rand.IntN(len(all))]
}

func isDir(m os.FileMode) bool    { return m.IsDir() }
func isFile(m os.FileMode) bool   { return m.IsRegular() }
func anything(m os.FileMode) bool { return true }

// free is a path in a random folder under which nothing stands.
func (f *forest) free() string {
	for {
		dir := f.pick(isDir)
		name := oddNames[f.rand.IntN(len(oddNames))]
		if f.rand.IntN(2) == 0 {
			name = fmt.Sprintf("f%d", f.rand.IntN(1000))
		}
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err != nil && len(path) < 3000 {
			return path
		}
	}
}

func (f *forest) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.rand.Uint32())
	}
	return b
}

// step makes one random change.
func (f *forest) step() {
	t, r := f.t, f.rand
	switch r.IntN(19) {
	case 0, 1, 2:
		must(t, os.WriteFile(f.free(), f.bytes(r.IntN(40000)), os.FileMode(r.IntN(0o1000))))
	case 3:
		must(t, os.Mkdir(f.free(), 0o755))
	case 4: // holes at several places
		file, err := os.Create(f.free())
		must(t, err)
		must(t, file.Truncate(int64(r.IntN(4<<20))))
		_, err = file.WriteAt(f.bytes(5000), int64(r.IntN(3<<20)))
		must(t, err)
		must(t, file.Close())
	case 5:
		must(t, os.Symlink([]string{f.away, "nowhere", "../..", "\xff", "/etc/passwd"}[r.IntN(5)], f.free()))
	case 6:
		if from := f.pick(isFile); from != "" {
			must(t, os.Link(from, f.free()))
		}
	case 7:
		must(t, unix.Mkfifo(f.free(), 0o640))
	case 8:
		if p := f.pick(isFile); p != "" { // same size, same modification time: only the change time tells
			st, err := os.Stat(p)
			must(t, err)
			file, err := os.OpenFile(p, os.O_WRONLY, 0)
			must(t, err)
			_, err = file.WriteAt(f.bytes(int(min(st.Size(), 3000))), 0)
			must(t, err)
			must(t, file.Close())
			must(t, os.Chtimes(p, st.ModTime(), st.ModTime()))
		}
	case 9:
		if p := f.pick(isFile); p != "" {
			file, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			_, err = file.Write(f.bytes(1 + r.IntN(2000)))
			must(t, err)
			must(t, file.Close())
		}
	case 10:
		must(t, os.Lchown(f.pick(anything), r.IntN(3000), r.IntN(3000)))
	case 11:
		if p := f.pick(func(m os.FileMode) bool { return m&os.ModeSymlink == 0 }); p != "" {
			must(t, unix.Chmod(p, uint32(r.IntN(0o10000))))
		}
	case 12:
		if p := f.pick(isFile); p != "" {
			must(t, unix.Lsetxattr(p, fmt.Sprintf("user.k%d", r.IntN(3)), f.bytes(r.IntN(200)), 0))
		}
	case 13:
		p := f.pick(func(m os.FileMode) bool { return m.IsRegular() || m.IsDir() })
		must(t, unix.Lsetxattr(p, "system.posix_acl_access", acl(uint32(r.IntN(2000))), 0))
	case 14: // what is made in this folder later inherits
		must(t, unix.Lsetxattr(f.pick(isDir), "system.posix_acl_default", acl(uint32(r.IntN(2000))), 0))
	case 15:
		if p := f.pick(anything); p != f.dir {
			must(t, os.RemoveAll(p))
		}
	case 16:
		if p := f.pick(isFile); p != "" {
			must(t, os.Rename(p, f.free()))
		}
	case 17: // another kind under the same name
		if p := f.pick(anything); p != f.dir {
			dir := isDirectory(p)
			must(t, os.RemoveAll(p))
			if dir {
				must(t, os.WriteFile(p, f.bytes(10), 0o644))
			} else {
				must(t, os.MkdirAll(filepath.Join(p, "inside"), 0o700))
			}
		}
	case 18:
		p := f.pick(anything)
		ns := r.Int64N(2e18)
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{}, unix.NsecToTimespec(ns)}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

func isDirectory(p string) bool {
	st, err := os.Lstat(p)
	return err == nil && st.IsDir()
}

func (f *forest) steps(n int) {
	for range n {
		f.step()
	}
}

func newForest(t *testing.T, seed uint64, dir string) *forest {
	t.Helper()
	needRoot(t)
	unix.Umask(0o022)
	f := &forest{t: t, rand: rand.New(rand.NewPCG(seed, 1)), dir: dir, away: filepath.Join(t.TempDir(), "away")}
	must(t, os.MkdirAll(dir, 0o751))
	must(t, os.Mkdir(f.away, 0o755))
	must(t, os.WriteFile(filepath.Join(f.away, "precious"), []byte("untouched"), 0o644))
	return f
}

// outside checks that nothing went through a symbolic link.
func (f *forest) outside() {
	f.t.Helper()
	names, err := os.ReadDir(f.away)
	must(f.t, err)
	data, err := os.ReadFile(filepath.Join(f.away, "precious"))
	must(f.t, err)
	if len(names) != 1 || string(data) != "untouched" {
		f.t.Fatal("something was done outside the tree")
	}
}

// countdown is a context that ends at the nth question whether it has ended: an interruption at any place, the same at every run.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}
