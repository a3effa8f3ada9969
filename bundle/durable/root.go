package durable

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// WriteIn puts at name below r what fill writes, as Write does, and never reaches outside of r: a folder that was opened stays the
// one that is written to, whatever comes to stand at its path. check, which may be nil, sees the synced file before it gets its name.
// The folder of name must be there. What an interruption leaves, CleanIn removes.
func WriteIn(r *os.Root, name string, perm os.FileMode, fill func(io.Writer) error, check func(*os.File) error) (err error) {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	tmp := path.Join(path.Dir(name), leftoverOf(name)+hex.EncodeToString(raw))
	f, err := r.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = r.Remove(tmp)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := setMode(f.Chmod(perm), f.Stat, perm); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if check != nil {
		if err := check(f); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := r.Rename(tmp, name); err != nil {
		return err
	}
	return SyncDirIn(r, path.Dir(name))
}

// leftoverOf begins the temporary names of a file.
func leftoverOf(name string) string { return TempPrefix + path.Base(name) + "-" }

// CleanIn removes what interrupted calls of WriteIn for name have left, and nothing else: others may be writing in that folder. It looks at so many names at
// most that a folder from outside can't keep it.
func CleanIn(r *os.Root, name string) error {
	d, err := r.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	for range 1000 {
		names, err := d.Readdirnames(256)
		for _, n := range names {
			if strings.HasPrefix(n, leftoverOf(name)) {
				if err := r.Remove(path.Join(path.Dir(name), n)); err != nil {
					return fmt.Errorf("cannot remove leftover: %w", err)
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
