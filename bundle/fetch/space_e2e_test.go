//go:build e2e && linux

package fetch_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
)

// TestDiskRunsFull fetches into a file system of 1 MB, from every kind of source: the cause comes through, and only parts stay.
func TestDiskRunsFull(t *testing.T) {
	p := publish(t, 2_000_000)
	for _, spec := range []string{p.dir, archive(t, p, ".tgz"), files(t, p).URL, writeArchive(t, bundle.Gzip, saves(t, p)["old engine"])} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatalf("cannot mount: %v (this test needs root)", err)
		}
		store, err := bundle.OpenStore(filepath.Join(dir, "store"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = fetch.Blobs(ctx, store, []bundle.Source{open(t, spec), open(t, p.dir)}, p.wants, quick)
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, bundle.ErrUnreachable) || errors.Is(err, bundle.ErrDamaged) {
			t.Errorf("%s: error %v", spec, err)
		}
		for _, folder := range []string{"blobs/sha256", "partial"} {
			entries, err := os.ReadDir(filepath.Join(store.Dir(), folder))
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), durable.TempPrefix) {
					t.Errorf("%s: left behind: %s/%s", spec, folder, e.Name())
				}
			}
		}
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}
}
