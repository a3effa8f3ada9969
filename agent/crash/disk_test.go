//go:build e2e

package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"dhow/agent/crash"
)

// deed is something that the agent does with the disk, and that the disk may refuse in the middle.
type deed struct {
	name  string
	reads bool // it reads what was written before: reads are refused too
	// begin makes ready in a folder what is needed.
	begin func(t *testing.T, dir string) scene
}

// scene is a deed in its folder. do does it. half looks at what a refusal has left and done at what success has left; both when the disk
// works again.
type scene struct {
	do         func() error
	half, done func() error
}

// refusals are the ways in which a disk fails: for once or for good, when it is full, and when it gets full in the middle of a write.
var refusals = []crash.Fault{
	{Op: "read", Errno: syscall.EIO, Times: 1},
	{Op: "read", Errno: syscall.EIO},
	{Op: "write", Errno: syscall.EIO, Times: 1},
	{Op: "write", Errno: syscall.ENOSPC},
	{Op: "write", Errno: syscall.ENOSPC, Short: true},
	{Op: "create", Errno: syscall.ENOSPC},
	{Op: "sync", Errno: syscall.EIO, Times: 1},
	{Op: "rename", Errno: syscall.EIO, Times: 1},
}

// places is at how many places of a deed each refusal is tried.
const places = 3

// TestDiskRefuses lets the disk refuse reads, writes, new files, syncs and renames in the middle of everything that the agent does with it.
// The error must name the file and the cause, nothing half done may stay, and the same again must succeed once the disk works.
func TestDiskRefuses(t *testing.T) {
	var tried, struck atomic.Int64
	t.Cleanup(func() {
		figure(t, fmt.Sprintf("disk: refusals tried=%d failed operations=%d", tried.Load(), struck.Load()))
	})
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			fs, hits := mount(t), 0
			for i, f := range refusals {
				if f.Op == "read" && !d.reads {
					continue
				}
				how := fmt.Sprintf("%s %v times %d short %v", f.Op, f.Errno, f.Times, f.Short)
				dir := filepath.Join(fs.Dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(d.name, " ", "-"), i))
				all := count(t, fs, d, dir, f.Op)
				for n := range min(places, all) {
					f.Skip = n * all / places
					if all <= places {
						f.Skip = n
					}
					tried.Add(1)
					hit, problem := refuse(t, fs, d, fmt.Sprintf("%s-%d", dir, n), f)
					hits += hit
					if problem != nil {
						t.Errorf("%s refused, the %d. of %d: %v", how, f.Skip+1, all, problem)
					}
				}
			}
			if hits == 0 {
				t.Error("nothing was refused")
			}
			struck.Add(int64(hits))
		})
	}
}

// count does a deed undisturbed and says how many operations of a kind it took.
func count(t *testing.T, fs *crash.FS, d deed, dir, op string) int {
	t.Helper()
	must(t, os.Mkdir(dir, 0o700))
	s := d.begin(t, dir)
	_, err := fs.Fail(&crash.Fault{Op: op, Path: filepath.Base(dir), Skip: 1 << 30})
	must(t, err)
	must(t, s.do())
	tally, err := fs.Fail()
	must(t, err)
	must(t, s.done())
	must(t, os.RemoveAll(dir))
	return tally.Seen
}

// refuse does a deed once with a fault and once without.
func refuse(t *testing.T, fs *crash.FS, d deed, dir string, f crash.Fault) (struck int, problem error) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o700))
	defer func() { must(t, os.RemoveAll(dir)) }()
	s := d.begin(t, dir)
	f.Path = filepath.Base(dir)
	_, err := fs.Fail(&f)
	must(t, err)
	refused := s.do()
	tally, err := fs.Fail()
	must(t, err)
	switch {
	case refused == nil: // it could do without, or nothing was refused
	case tally.Struck == 0:
		return 0, fmt.Errorf("failed by itself: %w", refused)
	case !errors.Is(refused, f.Errno):
		return tally.Struck, fmt.Errorf("came out as %w", refused)
	case !strings.Contains(refused.Error(), f.Path):
		return tally.Struck, fmt.Errorf("the error names no file: %w", refused)
	}
	if refused != nil {
		if err := s.half(); err != nil {
			return tally.Struck, fmt.Errorf("after %q: %w", refused, err)
		}
		if err := s.do(); err != nil {
			return tally.Struck, fmt.Errorf("again, after %q: %w", refused, err)
		}
	}
	if err := s.done(); err != nil {
		return tally.Struck, fmt.Errorf("after %v and success: %w", refused, err)
	}
	return tally.Struck, nil
}

// leftovers are temporary files below a folder.
func leftovers(dir string) error {
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), ".dhow-tmp-") {
			all = append(all, path)
		}
		return err
	})
	slices.Sort(all)
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("left over: %s", strings.Join(all, ", "))
	}
	return err
}
