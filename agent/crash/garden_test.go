//go:build e2e

package crash_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dhow/agent/backup"
	"dhow/bundle/durable"
)

// garden plants trees with files of every kind and changes them, the same ones for the same seed.
type garden struct {
	seed uint64
	big  bool // with a file that is copied by blocks
}

func newGarden(r *rand.Rand, big bool) garden { return garden{r.Uint64(), big} }

// bigFile is large enough for the agent to copy it by blocks, and nearly all of it is a hole.
const bigFile = 8<<20 + 700

func (g garden) plant(t *testing.T, trees []backup.Tree) {
	t.Helper()
	r := rand.New(rand.NewPCG(g.seed, 0))
	for _, tree := range trees {
		at := func(name string) string { return filepath.Join(tree.Path, name) }
		must(t, durable.MkdirAll(tree.Path, 0o755))
		must(t, os.MkdirAll(at("sub/deep"), 0o755))
		must(t, os.Chmod(at("sub"), 0o2751))
		for i := range 5 {
			must(t, os.WriteFile(at(fmt.Sprintf("file-%d", i)), bytesOf(r, r.IntN(15000)), 0o640))
			must(t, os.Chown(at(fmt.Sprintf("file-%d", i)), r.IntN(1000), r.IntN(1000)))
		}
		must(t, os.WriteFile(at("sub/deep/one"), bytesOf(r, 5000), 0o600))
		must(t, os.Link(at("sub/deep/one"), at("sub/other name")))
		must(t, os.Symlink("deep/one", at("sub/link")))
		must(t, unix.Mkfifo(at("pipe"), 0o600))
		must(t, unix.Lsetxattr(at("file-1"), "trusted.dhow", []byte("kept"), 0))
	}
	if !g.big {
		return
	}
	f, err := os.Create(filepath.Join(trees[1].Path, "big"))
	must(t, err)
	must(t, f.Truncate(bigFile))
	for _, at := range []int64{0, 3 << 20, bigFile - 100} {
		_, err := f.WriteAt(bytesOf(r, 100), at)
		must(t, err)
	}
	must(t, f.Close())
}

func (g garden) change(t *testing.T, trees []backup.Tree, round uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(g.seed, round))
	for _, tree := range trees {
		at := func(name string) string { return filepath.Join(tree.Path, name) }
		must(t, os.WriteFile(at(fmt.Sprintf("file-%d", r.IntN(5))), bytesOf(r, r.IntN(15000)), 0o644))
		must(t, os.WriteFile(at(fmt.Sprintf("new-%d", round)), bytesOf(r, 700), 0o600))
		if round > 1 {
			_ = os.Remove(at(fmt.Sprintf("new-%d", round-1)))
		}
		if st, err := os.Stat(at("file-2")); err == nil && st.Size() > 600 { // in place, and nothing but the change time tells
			f, err := os.OpenFile(at("file-2"), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(bytesOf(r, 100), 400)
			must(t, err)
			must(t, f.Close())
			must(t, os.Chtimes(at("file-2"), time.Time{}, st.ModTime()))
		}
		must(t, os.Chmod(at("sub"), 0o750+os.FileMode(round)))
	}
	if !g.big {
		return
	}
	f, err := os.OpenFile(filepath.Join(trees[1].Path, "big"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(bytesOf(r, 300), int64(r.IntN(bigFile-300)))
	must(t, err)
	must(t, f.Close())
}

func bytesOf(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// lookAt describes all that a snapshot promises to keep, a line for every file. It shares no code with the agent.
func lookAt(trees []backup.Tree) (map[string]string, error) {
	all := map[string]string{}
	for _, tree := range trees {
		first := map[uint64]string{}
		err := filepath.WalkDir(tree.Path, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return err
			}
			name, err := filepath.Rel(tree.Path, path)
			if err != nil {
				return err
			}
			line := fmt.Sprintf("%o %d:%d %d", st.Mode, st.Uid, st.Gid, st.Mtim.Nano())
			value := make([]byte, 100)
			if n, err := unix.Lgetxattr(path, "trusted.dhow", value); err == nil {
				line += " " + string(value[:n])
			}
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFLNK:
				to, err := os.Readlink(path)
				if err != nil {
					return err
				}
				line += " to " + to
			case unix.S_IFREG:
				sum, err := contentSum(path)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %d %s", st.Size, sum)
				if other, ok := first[st.Ino]; ok {
					line += " same as " + other
				}
				first[st.Ino] = name
			}
			all[tree.Name+"/"+name] = line
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// contentSum is the checksum of all blocks of a file that hold anything. It does not read holes.
func contentSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	block, zero := make([]byte, 4096), make([]byte, 4096)
	for at := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return fmt.Sprintf("%x", sum.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		at = data / 4096 * 4096
		n, err := f.ReadAt(block, at)
		if err != nil && err != io.EOF {
			return "", err
		}
		if !bytes.Equal(block[:n], zero[:n]) {
			fmt.Fprintf(sum, "%d %d:", at, n)
			sum.Write(block[:n])
		}
		at += 4096
	}
}
