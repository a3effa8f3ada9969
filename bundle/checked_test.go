package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// carried is a layer with its bytes, which no store has yet.
func carried(t *testing.T, kind bundle.Compression) (manifest.Layer, []byte) {
	t.Helper()
	plain := bundletest.Tar(t, map[string]string{"a": strings.Repeat("words ", 500_000), "b": string(bundletest.Bytes(1, 700_000))})
	packed := bundletest.Compress(t, kind, plain)
	return manifest.Layer{Blob: bundletest.BlobOf(packed), DiffID: digest.FromBytes(plain), DiffSize: int64(len(plain))}, packed
}

// rot changes a byte of a blob and leaves its file with the size and time that it has, as a bad disk does.
func rot(t *testing.T, s *bundle.Store, d digest.Digest) {
	t.Helper()
	path := filepath.Join(s.Dir(), "blobs", "sha256", d.Encoded())
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff, 0xfe, 0xfd}, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

func imageOf(t *testing.T, s *bundle.Store, l manifest.Layer) manifest.PlatformImage {
	t.Helper()
	return bundletest.Image(t, s, "app:1", "linux/amd64", l).Platforms[0]
}

// store writes a part in pieces, after the first of which step is called.
func store(t *testing.T, s *bundle.Store, l manifest.Layer, data []byte, step func(p *bundle.PartialFile)) error {
	t.Helper()
	p := begin(t, s, l.Blob)
	p.Unpack(l)
	for first := true; len(data) > 0; first = false {
		n := min(len(data), 100_000)
		appendTo(t, p, string(data[:n]))
		if data = data[n:]; first {
			step(p)
		}
	}
	return p.Finish()
}

// TestUnpackWhileStoring: whether a layer is read again shows by what a bad disk did to it since, which loading finds in every case.
func TestUnpackWhileStoring(t *testing.T) {
	nothing := func(*bundle.PartialFile) {}
	for _, kind := range kinds {
		l, data := carried(t, kind)
		for _, c := range []struct {
			name string
			do   func(s *bundle.Store) *bundle.Store
			read bool
		}{
			{"in one go", func(s *bundle.Store) *bundle.Store {
				if err := store(t, s, l, data, nothing); err != nil {
					t.Fatal(err)
				}
				return s
			}, false},
			{"by a process that has ended", func(s *bundle.Store) *bundle.Store {
				if err := store(t, s, l, data, nothing); err != nil {
					t.Fatal(err)
				}
				again, err := bundle.OpenStore(s.Dir())
				if err != nil {
					t.Fatal(err)
				}
				return again
			}, true},
			{"and cut", func(s *bundle.Store) *bundle.Store {
				back := func(p *bundle.PartialFile) {
					if err := p.CutTo(ctx, 10); err != nil {
						t.Fatal(err)
					}
					appendTo(t, p, string(data[10:100_000]))
				}
				if err := store(t, s, l, data, back); err != nil {
					t.Fatal(err)
				}
				return s
			}, kind != bundle.Plain},
			{"in two goes", func(s *bundle.Store) *bundle.Store {
				p := begin(t, s, l.Blob)
				p.Unpack(l)
				appendTo(t, p, string(data[:1000]))
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				if err := store(t, s, l, data[1000:], nothing); err != nil {
					t.Fatal(err)
				}
				return s
			}, kind != bundle.Plain},
			{"beside another", func(s *bundle.Store) *bundle.Store {
				other, _ := carried(t, kind)
				other.Digest, other.DiffID = digest.FromString("other"), digest.FromString("plain")
				p := begin(t, s, other.Blob)
				p.Unpack(other)
				if err := store(t, s, l, data, nothing); err != nil {
					t.Fatal(err)
				}
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				return s
			}, kind != bundle.Plain},
			{"and touched", func(s *bundle.Store) *bundle.Store {
				if err := store(t, s, l, data, nothing); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(s.Dir(), "blobs", "sha256", l.Digest.Encoded())
				if err := os.Chtimes(path, time.Time{}, bundletest.Made); err != nil {
					t.Fatal(err)
				}
				return s
			}, true},
			{"and stored again", func(s *bundle.Store) *bundle.Store {
				if err := store(t, s, l, data, nothing); err != nil {
					t.Fatal(err)
				}
				if err := s.Remove(l.Digest); err != nil {
					t.Fatal(err)
				}
				if err := s.Put(ctx, l.Blob, bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
				return s
			}, kind != bundle.Plain},
		} {
			t.Run(string(kind)+" "+c.name, func(t *testing.T) {
				s := c.do(bundletest.Store(t))
				p := imageOf(t, s, l)
				rot(t, s, l.Digest)
				if err := s.VerifyImage(ctx, p); errors.Is(err, bundle.ErrDamaged) != c.read || !c.read && err != nil {
					t.Errorf("error %v, it should be read again: %v", err, c.read)
				}
				if _, err := readLayer(s, l); !errors.Is(err, bundle.ErrDamaged) {
					t.Errorf("loading it: error %v", err)
				}
			})
		}
	}
}

// TestUnpackWhileStoringWrongLayer: what is not what is declared fails as if it had not been unpacked before, whatever was declared first.
func TestUnpackWhileStoringWrongLayer(t *testing.T) {
	for _, kind := range kinds[1:] {
		right, data := carried(t, kind)
		for _, c := range []struct {
			name   string
			change func(*manifest.Layer)
			kind   error
			want   string
		}{
			{"bomb", func(l *manifest.Layer) { l.DiffSize = 1234 }, bundle.ErrTooLarge, "unpacks to more than the 1234 bytes that the release declares"},
			{"less", func(l *manifest.Layer) { l.DiffSize += 10 }, bundle.ErrDamaged, "bytes, and the release declares"},
			{"other", func(l *manifest.Layer) { l.DiffID = digest.FromString("x") }, bundle.ErrDamaged, "it unpacks to the diff ID sha256:"},
		} {
			for _, declared := range []string{"wrong", "right"} {
				t.Run(string(kind)+" "+c.name+", stored as "+declared, func(t *testing.T) {
					s := bundletest.Store(t)
					wrong, as := right, right
					if c.change(&wrong); declared == "wrong" {
						as = wrong
					}
					if err := store(t, s, as, data, func(*bundle.PartialFile) {}); err != nil {
						t.Fatal(err)
					}
					if err := s.VerifyImage(ctx, imageOf(t, s, wrong)); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
						t.Errorf("error %v, want %q", err, c.want)
					}
					if err := s.VerifyImage(ctx, imageOf(t, s, right)); err != nil {
						t.Errorf("what is right: %v", err)
					}
				})
			}
		}
		t.Run(string(kind)+" cut short", func(t *testing.T) {
			s := bundletest.Store(t)
			l, short := right, data[:len(data)-100]
			l.Blob = bundletest.BlobOf(short)
			if err := store(t, s, l, short, func(*bundle.PartialFile) {}); err != nil {
				t.Fatal(err)
			}
			if err := s.VerifyImage(ctx, imageOf(t, s, l)); !errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestVerifyAbove leaves out layers that are known to be right, as long as they are here.
func TestVerifyAbove(t *testing.T) {
	s, r := bundletest.Sample(t, 100_000)
	p := r.Images[0].Platforms[0]
	s, err := bundle.OpenStore(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	rot(t, s, p.Layers[0].Digest)
	if err := s.VerifyAbove(ctx, p, 1); err != nil {
		t.Error(err)
	}
	if err := s.VerifyAbove(ctx, p, 0); !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	rot(t, s, p.Layers[1].Digest)
	if s, err = bundle.OpenStore(s.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyAbove(ctx, p, 1); !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("above: error %v", err)
	}
	if err := s.Remove(p.Layers[0].Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyAbove(ctx, p, 2); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without it: error %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.VerifyAbove(ended, p, 0); err == nil {
		t.Error("it goes on when it is told to stop")
	}
}
