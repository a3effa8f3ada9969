package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var errFill = errors.New("the source broke off")

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWriteFile(t *testing.T) {
	for _, perm := range []os.FileMode{0o600, 0o644, 0o666, 0o755} {
		t.Run(perm.String(), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a")
			for _, data := range []string{"first", "", "a longer second"} {
				if err := WriteFile(path, []byte(data), perm); err != nil {
					t.Fatal(err)
				}
				if got := content(t, path); got != data {
					t.Errorf("content %q, want %q", got, data)
				}
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != perm {
				t.Errorf("permissions %v, want %v", info.Mode().Perm(), perm)
			}
			if got := names(t, dir); got != "a" {
				t.Errorf("folder holds %q", got)
			}
		})
	}
}

func TestWriteThatFailsChangesNothing(t *testing.T) {
	for _, old := range []string{"", "old content"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a")
		want := ""
		if old != "" {
			put(t, path, old)
			want = "a"
		}
		err := Write(path, 0o644, func(w io.Writer) error {
			_, _ = io.WriteString(w, "half of the new")
			return errFill
		})
		if !errors.Is(err, errFill) {
			t.Errorf("error %v", err)
		}
		if got := names(t, dir); got != want {
			t.Errorf("folder holds %q, want %q", got, want)
		}
		if old != "" && content(t, path) != old {
			t.Errorf("content %q", content(t, path))
		}
	}
}

func TestWriteIntoMissingFolder(t *testing.T) {
	err := WriteFile(filepath.Join(t.TempDir(), "no", "a"), nil, 0o644)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestReadersSeeOldOrNew reads while files are replaced: no reader may ever see a mixture, or nothing.
func TestReadersSeeOldOrNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	whole := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + n%26)}, 100_000+n) }
	if err := WriteFile(path, whole(0), 0o644); err != nil {
		t.Fatal(err)
	}
	stop, seen := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				seen <- nil
				return
			default:
			}
			data, err := os.ReadFile(path)
			if err == nil && !bytes.Equal(data, whole(len(data)-100_000)) {
				err = fmt.Errorf("a mixture of %d bytes", len(data))
			}
			if err != nil {
				seen <- err
				return
			}
		}
	}()
	for n := range 50 {
		if err := WriteFile(path, whole(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

func TestWritersDoNotMix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			if err := WriteFile(path, bytes.Repeat([]byte{byte('a' + n)}, 50_000), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := content(t, path)
	if len(got) != 50_000 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("a mixture of %d bytes", len(got))
	}
	if names(t, dir) != "a" {
		t.Errorf("folder holds %q", names(t, dir))
	}
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "release")
	for _, version := range []string{"1", "2", "3"} {
		err := Dir(path, 0o750, func(tmp string) error {
			if filepath.Dir(tmp) != dir {
				t.Errorf("filled at %s", tmp)
			}
			put(t, filepath.Join(tmp, "sub", version), version)
			return os.Symlink("nowhere", filepath.Join(tmp, "link"))
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Join(path, "sub")); got != version {
			t.Errorf("folder holds %q, want %q alone", got, version)
		}
		if got := names(t, dir); got != "release" {
			t.Errorf("beside it: %q", got)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o750 {
		t.Errorf("permissions %v", info.Mode().Perm())
	}
}

func TestDirThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "release")
	put(t, filepath.Join(path, "a"), "old")
	err := Dir(path, 0o755, func(tmp string) error {
		put(t, filepath.Join(tmp, "a"), "new")
		return errFill
	})
	if !errors.Is(err, errFill) {
		t.Errorf("error %v", err)
	}
	if got := content(t, filepath.Join(path, "a")); got != "old" {
		t.Errorf("content %q", got)
	}
	if got := names(t, dir); got != "release" {
		t.Errorf("folder holds %q", got)
	}
}

// TestSwapAside covers file systems that can't exchange two names.
func TestSwapAside(t *testing.T) {
	dir := t.TempDir()
	tmp, path := filepath.Join(dir, "tmp"), filepath.Join(dir, "path")
	put(t, filepath.Join(tmp, "a"), "new")
	put(t, filepath.Join(path, "a"), "old")
	if err := swapAside(tmp, path); err != nil {
		t.Fatal(err)
	}
	if content(t, filepath.Join(path, "a")) != "new" || content(t, filepath.Join(tmp, "a")) != "old" {
		t.Error("not swapped")
	}
	if err := swapAside(filepath.Join(dir, "missing"), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if content(t, filepath.Join(path, "a")) != "new" {
		t.Error("a failed swap lost the folder")
	}
	if got := names(t, dir); got != "path tmp" {
		t.Errorf("folder holds %q", got)
	}
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, TempPrefix+"123"), "half a file")
	put(t, filepath.Join(dir, TempPrefix+"456", "sub", "a"), "half a folder")
	put(t, filepath.Join(dir, "keep"), "a")
	put(t, filepath.Join(dir, "sub", TempPrefix+"789"), "not ours to remove")
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "keep sub" {
		t.Errorf("folder holds %q", got)
	}
	if got := names(t, filepath.Join(dir, "sub")); got != TempPrefix+"789" {
		t.Errorf("subfolder holds %q", got)
	}
	if err := Clean(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing folder is not clean: %v", err)
	}
}

func TestSyncTree(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a", "b"), "c")
	if err := os.Symlink("/nowhere", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	if err := SyncTree(dir); err != nil {
		t.Error(err)
	}
	if err := SyncTree(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestModeOnFileSystemWithoutPermissions(t *testing.T) {
	refused := &fs.PathError{Op: "chmod", Path: "a", Err: syscall.EPERM}
	for _, c := range []struct {
		name string
		err  error
		has  os.FileMode
		perm os.FileMode
		ok   bool
	}{
		{"chmod works", nil, 0o600, 0o644, true},
		{"stick, everybody may read", refused, 0o755, 0o644, true},
		{"stick, for root only", refused, 0o700, 0o644, true},
		{"a secret on a stick that everybody may read", refused, 0o755, 0o600, false},
		{"everybody may write", refused, 0o777, 0o644, false},
		{"the disk fails", &fs.PathError{Op: "chmod", Path: "a", Err: syscall.EIO}, 0o600, 0o644, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a")
			put(t, path, "")
			if err := os.Chmod(path, c.has); err != nil {
				t.Fatal(err)
			}
			err := setMode(c.err, func() (os.FileInfo, error) { return os.Stat(path) }, c.perm)
			if (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // it may be repeated
		if err := MkdirAll(dir+"/", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
	if err := MkdirAll("relative-folder-of-the-test", 0o700); err != nil {
		t.Error(err)
	}
	if err := os.Remove("relative-folder-of-the-test"); err != nil {
		t.Error(err)
	}
	put(t, filepath.Join(dir, "file"), "")
	if err := MkdirAll(filepath.Join(dir, "file", "x"), 0o700); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a folder in a file: %v", err)
	}
}
