//go:build unix

package fetch_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"dhow/bundle"
)

// TestPipeInAFolder: a pipe on a stick must not make anybody wait.
func TestPipeInAFolder(t *testing.T) {
	p := publish(t, 1000)
	path := filepath.Join(p.dir, "metadata", "timestamp.json")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, p.dir).Document(ctx, bundle.TimestampPath, 1000); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
}
