package fetch_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/bundle/split"
)

// inParts writes a bundle in parts and returns the path that the whole would have.
func inParts(t *testing.T, p published, dir, name string, parity int) string {
	t.Helper()
	path := filepath.Join(dir, name)
	c := contents(p.store, p.release)
	c.Split = &split.Options{Size: split.MinPart, Parity: parity}
	if _, err := pack.Write(ctx, path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// take opens a source and brings everything from it.
func take(t *testing.T, p published, spec string) (problems []string, err error) {
	t.Helper()
	src, err := fetch.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if _, err := src.Document(ctx, bundle.TimestampPath, 1000); err != nil {
		t.Error(err)
	}
	site := bundletest.Store(t)
	_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
	if err == nil {
		for _, i := range p.release.Images {
			if err := site.VerifyImage(ctx, i.Platforms[0]); err != nil {
				t.Error(err)
			}
		}
	}
	return fetch.InParts(src).Problems(), err
}

func TestParts(t *testing.T) {
	p := publish(t, 1_200_000)
	for _, name := range []string{"emr.tar", "emr.tgz", "emr.tar.zst"} {
		t.Run(name, func(t *testing.T) {
			path := inParts(t, p, t.TempDir(), name, 1)
			for _, spec := range []string{path + ".001", path + ".003", path + ".p01", path + ".sums", "file://" + path + ".002", filepath.Dir(path)} {
				src, err := fetch.Open(ctx, spec)
				if err != nil {
					t.Fatal(err)
				}
				if src.Name() != path {
					t.Errorf("%s: it is called %s", spec, src.Name())
				}
				_ = src.Close()
			}
			if problems, err := take(t, p, path+".sums"); err != nil || len(problems) != 0 {
				t.Errorf("%q, error %v", problems, err)
			}
			rotten(t, path+".002", 600_000)
			problems, err := take(t, p, path+".002")
			want := "part 002 of " + name + " is damaged or of another making; the parity makes up for it: copy it again"
			if err != nil || len(problems) != 1 || problems[0] != want {
				t.Errorf("%q, error %v", problems, err)
			}
			if err := os.Remove(path + ".p01"); err != nil {
				t.Fatal(err)
			}
			_, err = take(t, p, path+".002")
			lost := " of " + name + " is damaged or of another making, part p01 of " + name + " is missing, and the parity makes up for 1: copy them again"
			want = "part 002" + lost
			if err == nil || !strings.HasSuffix(err.Error(), want) || !errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("error %v, want %s", err, want)
			}
			rotten(t, path+".001", 100) // where the documents are
			_, err = take(t, p, filepath.Dir(path))
			want = "cannot open source " + filepath.Dir(path) + ": part 001" + lost
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

func rotten(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestPartsOnAStick: what people plug in.
func TestPartsOnAStick(t *testing.T) {
	p := publish(t, 600_000)
	next := p
	release := *p.release
	release.Version = "1.1.0"
	next.release = &release
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir string)
		want string // the bundle, or the error behind the folder's name
		kind error
	}{
		{"one bundle", func(t *testing.T, dir string) { inParts(t, p, dir, "emr.tgz", 0) }, "emr.tgz", nil},
		{"two bundles", func(t *testing.T, dir string) {
			inParts(t, next, dir, "new.tgz", 0)
			inParts(t, p, dir, "old.tgz", 0)
		}, "new.tgz", nil},
		{"parts and a whole one", func(t *testing.T, dir string) {
			inParts(t, p, dir, "a.tgz", 0)
			copyFile(t, archive(t, next, ".tgz"), filepath.Join(dir, "b.tgz"))
		}, "b.tgz", nil},
		{"photos, and what Apple writes", func(t *testing.T, dir string) {
			inParts(t, p, dir, "emr.tgz", 0)
			for _, name := range []string{"photo.001", "photos.sums", "._emr.tgz.001", "emr.tgz.txt", "emr.tgz.0001"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, "emr.tgz", nil},
		{
			"the last part is missing", func(t *testing.T, dir string) { gone(t, inParts(t, p, dir, "emr.tgz", 0)+".002") },
			": part 002 of emr.tgz is missing: copy it again", bundle.ErrDamaged,
		},
		{
			"the sums are missing", func(t *testing.T, dir string) { gone(t, inParts(t, p, dir, "emr.tgz", 0)+".sums") },
			": emr.tgz.sums is missing, which says what belongs together: copy it too", bundle.ErrDamaged,
		},
		{"one of two bundles is not whole", func(t *testing.T, dir string) {
			inParts(t, p, dir, "a.tgz", 0)
			gone(t, inParts(t, next, dir, "b.tgz", 0)+".001")
		}, ": the folder holds several bundles, name one of them: a.tgz.sums, b.tgz.sums (b.tgz.sums: part 001 of b.tgz is missing: copy it again)", fetch.ErrSeveral},
		{"foreign sums", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "emr.tgz.sums"), []byte("0123  emr.tgz.001\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ": cannot read emr.tgz.sums: it is damaged: dhowctl has not written it", bundle.ErrDamaged},
		{"sums of a newer dhowctl", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "emr.tgz.sums"), []byte("# Dhow: a bundle in parts, format 2\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ": cannot read emr.tgz.sums: its format is 2 and this program reads up to 1: update dhow", nil},
		{"a link for a part", func(t *testing.T, dir string) {
			path := inParts(t, p, dir, "emr.tgz", 0) + ".001"
			if err := os.Rename(path, path+"x"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+"x", path); err != nil {
				t.Fatal(err)
			}
		}, ": emr.tgz.001 is a link or no file: path outside its folder", bundle.ErrUnsafePath},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.do(t, dir)
			src, err := fetch.Open(ctx, dir)
			if !strings.HasPrefix(c.want, ": ") {
				if err != nil || src.Name() != filepath.Join(dir, c.want) {
					t.Errorf("got %v, error %v, want %s", src, err, c.want)
				}
				return
			}
			if want := "cannot open source " + dir + c.want; err == nil || err.Error() != want || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
	_, err := fetch.Open(ctx, filepath.Join(t.TempDir(), "usb", "emr.tgz.001"))
	if !errors.Is(err, bundle.ErrUnreachable) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no stick: error %v", err)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
