package site

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestLockIsExclusiveAndGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(filepath.Join(path, "below", "a", "file")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("impossible path: %v", err)
	}
}

func TestFreeOfAPathThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	here, err := Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	below, err := Free(filepath.Join(dir, "not", "yet"))
	if err != nil {
		t.Fatal(err)
	}
	const slack = 1 << 30 // others write meanwhile
	if here <= 0 || below < here-slack || below > here+slack {
		t.Errorf("free here %d, below %d", here, below)
	}
}

func TestMakeCreatesAndRepairs(t *testing.T) {
	p := Paths{Prefix: t.TempDir()}
	for range 2 {
		if err := p.Make(); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{p.State(): 0o700, p.Run(): 0o750, filepath.Dir(p.Config()): 0o755, p.Store(): 0o700} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" && info.Mode().Perm() != mode {
				t.Errorf("%s: mode %v, want %v", path, info.Mode().Perm(), mode)
			}
		}
		if err := os.Chmod(p.State(), 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPathsOfTheRealSystem(t *testing.T) {
	if runtime.GOOS == "windows" {
		if got, want := (Paths{}).Config(), filepath.Join(os.Getenv("ProgramData"), "dhow", "etc", "dhow", "dhow.yaml"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return
	}
	p := Paths{}
	for got, want := range map[string]string{
		p.Config(): "/etc/dhow/dhow.yaml", p.Settings(): "/etc/dhow/site.env", p.Journal(): "/var/lib/dhow/journal.db",
		p.Socket(): "/run/dhow/dhow.sock", p.Trust(): "/var/lib/dhow/trust",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
