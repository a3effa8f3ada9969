package split_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"dhow/bundle"
	"dhow/bundle/split"
)

// Kinds of damage.
const (
	flipped = iota
	cleared
	cutOff
	grown
	removed
	swapped
	kinds
)

// harm does a damage to one of the files of a bundle in dir, which are links to others that stay as they are.
func harm(t testing.TB, dir string, files []string, kind, file byte, at int) string {
	t.Helper()
	name := files[int(file)%len(files)]
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return name // it is lost already
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	at %= len(data) + 1
	switch kind % kinds {
	case flipped:
		data[min(at, len(data)-1)] ^= 1 << (at % 8)
	case cleared:
		clear(data[at:min(at+5000, len(data))])
	case cutOff:
		data = data[:max(at, 1)]
	case grown:
		data = append(data, make([]byte, 1+at%3000)...)
	case swapped: // as when files were given each other's names
		if data, err = os.ReadFile(filepath.Join(dir, files[at%len(files)])); err != nil {
			return name
		}
	case removed:
		return name
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// FuzzDamage reads a bundle whose files have been damaged, lost, cut, lengthened and mixed up: that gives the bytes or an error, never
// others, and it gives the bytes when no more files than there is parity were touched.
func FuzzDamage(f *testing.F) {
	const parity = 2
	path, data := write(f, 2_500_000, split.Options{Size: 1_100_000, Parity: parity})
	files := names(f, filepath.Dir(path)) // three parts of two blocks, the last of one; parity; sums
	f.Add([]byte{})
	f.Add([]byte{flipped, 0, 0, 0, 9})
	f.Add([]byte{removed, 1, 0, 0, 0, cleared, 4, 1, 0, 0})
	f.Add([]byte{cutOff, 2, 0, 1, 0, grown, 3, 0, 0, 8})
	f.Add([]byte{swapped, 0, 0, 0, 1, removed, 3, 0, 0, 0, flipped, 2, 0, 0, 0})
	f.Add([]byte{flipped, 0, 0, 0, 9, flipped, 1, 0x10, 0, 9, flipped, 2, 0, 0, 9, flipped, 3, 0x10, 0x70, 0})
	f.Add([]byte{cutOff, 5, 0, 0, 200})
	f.Fuzz(func(t *testing.T, list []byte) {
		dir := t.TempDir()
		for _, name := range files {
			if err := os.Link(filepath.Join(filepath.Dir(path), name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		touched := map[string]bool{}
		for n := 0; len(list) >= 5 && n < 8; n, list = n+1, list[5:] {
			touched[harm(t, dir, files, list[0], list[1], int(list[2])<<16|int(list[3])<<8|int(list[4]))] = true
		}
		must := len(touched) <= parity && !touched["emr.tgz.sums"]
		bear := func(what string, err error) {
			if must || !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, bundle.ErrTooLarge) {
				t.Fatalf("%s: %v, with %v touched", what, err, touched)
			}
		}
		p, err := split.Open(filepath.Join(dir, "emr.tgz.001"))
		if err != nil {
			bear("open", err)
			return
		}
		defer p.Close()
		got, err := io.ReadAll(p.Reader())
		if !bytes.HasPrefix(data, got) || err == nil && len(got) != len(data) {
			t.Fatalf("%d bytes that are not those of the bundle, error %v, with %v touched", len(got), err, touched)
		}
		if err != nil {
			bear("read", err)
		}
		checked := p.Check(ctx, false)
		if checked != nil {
			bear("check", checked)
		}
		if (err == nil) != (checked == nil) && checked == nil {
			t.Fatalf("checked without an error, and reading fails: %v", err)
		}
	})
}
