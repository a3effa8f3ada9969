package stick

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tool runs a program of the system.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s (this test runs as root, with e2fsprogs)", name, args, err, out)
	}
	return string(out)
}

// timely looks, and fails when that takes long.
func timely(t *testing.T, dir string) ([]Bundle, error) {
	t.Helper()
	type result struct {
		list []Bundle
		err  error
	}
	done := make(chan result, 1)
	go func() {
		list, err := Look(context.WithoutCancel(t.Context()), dir)
		done <- result{list, err}
	}()
	select {
	case r := <-done:
		return r.list, r.err
	case <-time.After(20 * time.Second):
		t.Fatal("it takes more than 20 seconds")
		return nil, nil
	}
}

// TestLookAtRealSticks looks at a file system with 100,000 files, at the same when it is damaged, and when it is pulled out meanwhile.
func TestLookAtRealSticks(t *testing.T) {
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "usb")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	tool(t, "mkfs.ext4", "-q", "-O", "^has_journal", image)
	tool(t, "mount", "-o", "loop,errors=continue", image, at)
	defer func() { _ = unix.Unmount(at, unix.MNT_DETACH) }()
	for _, folder := range []string{"photos", "broken"} {
		if err := os.Mkdir(filepath.Join(at, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100_000 { // names of two files: an inode for each would take the test longer, and the look no longer
		first := filepath.Join(at, "photos", fmt.Sprintf("photo-%06d.jpg", i/50_000*50_000))
		name := filepath.Join(at, "photos", fmt.Sprintf("photo-%06d.jpg", i))
		var err error
		if name == first {
			err = os.WriteFile(name, nil, 0o644)
		} else {
			err = os.Link(first, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"photos/emr.tgz", "broken/emr.tgz", "emr.tgz"} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "umount", at)
	block := regexp.MustCompile(`(?m)^(\d+)[ ]*$`).FindStringSubmatch(tool(t, "debugfs", "-R", "blocks /broken", image))
	size := regexp.MustCompile(`Block size: +(\d+)`).FindStringSubmatch(tool(t, "dumpe2fs", "-h", image))
	if block == nil || size == nil {
		t.Fatalf("the blocks of a folder are not known: %q", tool(t, "debugfs", "-R", "blocks /broken", image))
	}
	tool(t, "dd", "if=/dev/urandom", "of="+image, "bs="+size[1], "seek="+block[1], "count=1", "conv=notrunc", "status=none")
	tool(t, "mount", "-o", "loop,errors=continue", image, at)

	began := time.Now()
	list, err := timely(t, at)
	var found []string
	for _, b := range list {
		found = append(found, strings.TrimPrefix(b.Path, at+"/"))
	}
	if got := strings.Join(found, " "); got != "emr.tgz photos/emr.tgz" || err == nil {
		t.Errorf("a damaged folder beside 100,000 files: got %q, %v", got, err)
	}
	t.Logf("100,000 files in %v", time.Since(began))

	tool(t, "umount", at)
	tool(t, "mount", "-o", "loop,errors=continue", image, at)
	pulled := make(chan error, 1)
	go func() { pulled <- os.Truncate(image, 1<<20) }()
	_, _ = timely(t, at) // it ends, whatever it has found till then
	if err := <-pulled; err != nil {
		t.Fatal(err)
	}
	if list, err := timely(t, filepath.Join(at, "broken")); err == nil && len(list) > 0 {
		t.Errorf("found on a stick that is gone: %v", list)
	}
}
