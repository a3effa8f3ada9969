//go:build e2e

package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/bundle"
	"dhow/manifest"
)

// plot is a place with volumes, a snapshot and an archive.
type plot struct {
	ctx     context.Context
	dir     string
	garden  garden
	round   uint64
	trees   []backup.Tree
	snap    string
	archive *archive.Archive
	dump    []byte
	wants   map[string]kept
}

func bed(t *testing.T, dir string, big bool) *plot {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	b := &plot{
		ctx: t.Context(), dir: dir, garden: newGarden(r, big), trees: volumes(dir), snap: filepath.Join(dir, "snap"), dump: bytesOf(r, 40000),
		wants: map[string]kept{},
	}
	b.garden.plant(t, b.trees)
	var err error
	b.archive, err = archive.Open(filepath.Join(dir, "archive"))
	must(t, err)
	return b
}

func (b *plot) grow(t *testing.T) {
	t.Helper()
	b.round++
	b.garden.change(t, b.trees, b.round)
}

func (b *plot) want(t *testing.T) map[string]string {
	t.Helper()
	want, err := lookAt(b.trees)
	must(t, err)
	return want
}

func (b *plot) holds(want map[string]string) error {
	got, err := lookAt(b.trees)
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("the volumes are not what they were: %s", differ(got, want))
	}
	return err
}

func (b *plot) finish() error {
	_, err := backup.Finish(b.ctx, b.snap, b.trees, backup.Info{Made: made}, nil)
	return err
}

func (b *plot) unfinished() error {
	if _, err := backup.Read(b.snap); !errors.Is(err, backup.ErrIncomplete) {
		return fmt.Errorf("an unfinished snapshot reads as %v", err)
	}
	return nil
}

// comesBack proves that the snapshot holds what the volumes are.
func (b *plot) comesBack() error {
	want, err := lookAt(b.trees)
	if err != nil {
		return err
	}
	return errors.Join(backup.Verify(b.ctx, b.snap), comesBack(b.snap, volumes(filepath.Join(b.dir, "new-snap")), want))
}

func (b *plot) create(t *testing.T, name string) {
	t.Helper()
	b.wants[name] = kept{b.want(t), b.dump}
	_, err := b.archive.Create(b.ctx, contents(name, 1, b.trees, b.dump), nil)
	must(t, err)
}

func (b *plot) lists(names ...string) error {
	list, err := b.archive.List()
	var got []string
	for _, rec := range list {
		got = append(got, rec.Name)
		err = errors.Join(err, rec.Problem)
	}
	if err == nil && fmt.Sprint(got) != fmt.Sprint(names) {
		err = fmt.Errorf("listed are %v, want %v", got, names)
	}
	return err
}

// backs proves that a backup holds what the volumes were, or what they are if it was not made by create.
func (b *plot) backs(name string) error {
	want, ok := b.wants[name]
	if !ok {
		now, err := lookAt(b.trees)
		if err != nil {
			return err
		}
		want = kept{now, b.dump}
	}
	return comesBackFrom(b.archive, name, filepath.Join(b.dir, "new", name), want)
}

func transfer(ctx context.Context, from, to *archive.Archive, o archive.Object) error {
	r, err := from.OpenObject(o.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	return to.PutObject(ctx, o, r)
}

// one is a blob with its content.
func one(data []byte) ([]byte, manifest.Blob) {
	return data, manifest.Blob{Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// storing puts one blob into a store that has another.
func storing(t *testing.T, dir string, put func(s *bundle.Store, data []byte) error) scene {
	t.Helper()
	r := rand.New(rand.NewPCG(2, 2))
	old, oldBlob := one(bytesOf(r, 5000))
	data, b := one(bytesOf(r, 300000))
	s, err := bundle.OpenStore(filepath.Join(dir, "store"))
	must(t, err)
	must(t, s.Put(t.Context(), oldBlob, bytes.NewReader(old)))
	reads := func() error {
		got, err := s.Read(b, 1<<20)
		if err == nil && !bytes.Equal(got, data) {
			err = errors.New("another content")
		}
		return errors.Join(err, leftovers(dir))
	}
	return scene{func() error { return put(s, data) }, func() error {
		if s.Has(b) { // only the sync of the folder may have failed
			return reads()
		}
		_, err := s.Read(oldBlob, 1<<20)
		return errors.Join(err, leftovers(dir))
	}, reads}
}
