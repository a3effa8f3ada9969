//go:build e2e && linux

package backup

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// onFileSystem makes a file system of a kind on a loop device and returns where it is mounted.
func onFileSystem(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 400<<20))
	must(t, os.Mkdir(at, 0o755))
	for _, cmd := range [][]string{{"mkfs." + kind, image}, {"mount", "-o", "loop", image, at}} {
		if cmd[0] == "mkfs.ext4" {
			cmd = append(cmd, "-q", "-F")
		}
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, 0)) })
	return at
}

func used(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	must(t, unix.Syncfs(int(f.Fd())))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize)
}

// TestFileSystems keeps the package's promise on the file systems of sites, and sees whether those that can share blocks do.
func TestFileSystems(t *testing.T) {
	for kind, shares := range map[string]bool{"ext4": false, "xfs": true, "btrfs": true} {
		t.Run(kind, func(t *testing.T) {
			at := onFileSystem(t, kind)
			for _, blocks := range []bool{false, true} {
				t.Run(fmt.Sprint("by blocks ", blocks), func(t *testing.T) {
					if blocks {
						byBlocks(t)
					}
					seed := rand.Uint64()
					t.Logf("seed %d", seed)
					f := newForest(t, seed, filepath.Join(at, fmt.Sprint("tree ", blocks)))
					f.Steps(60)
					trees := []Tree{{"data", f.Dir}}
					for range 2 {
						snap := filepath.Join(at, fmt.Sprint("snap ", f.Rand.Uint64()))
						must(t, CopyAhead(t.Context(), snap, trees, nil))
						f.Steps(20)
						_, err := Finish(t.Context(), snap, trees, Info{Made: made}, nil)
						must(t, err)
						want := capture(t, f.Dir)
						equal(t, "copy", capture(t, filepath.Join(snap, treesDir, "data")), want)
						must(t, Verify(t.Context(), snap))
						f.Steps(30)
						must(t, Restore(t.Context(), snap, trees, nil))
						equal(t, "restored", capture(t, f.Dir), want)
					}
				})
			}
			t.Run("shares blocks", func(t *testing.T) {
				dir, snap := filepath.Join(at, "large"), filepath.Join(at, "snap of large")
				must(t, os.Mkdir(dir, 0o755))
				file := filepath.Join(dir, "file")
				random(t, file, 64<<20)
				before := used(t, at)
				trees := []Tree{{"data", dir}}
				must(t, CopyAhead(t.Context(), snap, trees, nil))
				write(t, file, "changed", 20<<20+1)
				_, err := Finish(t.Context(), snap, trees, Info{Made: made}, nil)
				must(t, err)
				must(t, Verify(t.Context(), snap))
				equal(t, "copy", capture(t, filepath.Join(snap, treesDir, "data")), capture(t, dir))
				grown := used(t, at) - before
				t.Logf("the copy of 64 MB takes %d kB", grown>>10)
				if shared := grown < 8<<20; shared != shares {
					t.Errorf("the copy of 64 MB takes %d kB", grown>>10)
				}
				want := capture(t, dir)
				write(t, file, "broken", 50<<20)
				must(t, Restore(t.Context(), snap, trees, nil))
				equal(t, "restored", capture(t, dir), want)
			})
		})
	}
}
