//go:build e2e

package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

// blobs makes contents of all sizes.
func blobs(r *rand.Rand, n int) (contents [][]byte, all []manifest.Blob) {
	for range n {
		data := make([]byte, r.IntN(1<<(3+r.IntN(13))))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		contents = append(contents, data)
		all = append(all, manifest.Blob{Digest: digest.FromBytes(data), Size: int64(len(data))})
	}
	return contents, all
}

// storeWork puts, imports, fetches in parts and removes blobs. Its marks are "has N", "gone N", "part N SIZE" and, before a removal, "going N".
func storeWork(t *testing.T, r *rand.Rand) workload {
	contents, all := blobs(r, 16)
	work := func(s *site) {
		store, err := bundle.OpenStore(filepath.Join(s.dir, "store"))
		must(s.t, err)
		ctx := s.t.Context()
		for i, b := range all {
			switch i % 3 {
			case 0:
				must(s.t, store.Put(ctx, b, bytes.NewReader(contents[i])))
			case 1:
				_, err := store.Import(ctx, bytes.NewReader(contents[i]), 1<<20)
				must(s.t, err)
			case 2:
				fetch(s, store, b, contents[i], i)
			}
			s.mark("has %d", i)
			if i == 9 {
				for n := range 4 {
					s.mark("going %d", n)
				}
				must(s.t, store.Remove(all[0].Digest))
				keep := map[digest.Digest]bool{}
				for n := 4; n <= i; n++ {
					keep[all[n].Digest] = true
				}
				_, err := store.Prune(keep)
				must(s.t, err)
			}
		}
		// What was removed comes back under the same name.
		must(s.t, store.Put(ctx, all[0], bytes.NewReader(contents[0])))
		s.mark("has %d", 0)
	}
	check := func(dir string, marks []string) error {
		store, err := bundle.OpenStore(filepath.Join(dir, "store"))
		if err != nil {
			return err
		}
		has, part := map[int]bool{}, map[int]int64{}
		for _, m := range marks {
			var n int
			var size int64
			switch what, rest, _ := strings.Cut(m, " "); what {
			case "has":
				fmt.Sscan(rest, &n)
				has[n] = true
			case "going":
				fmt.Sscan(rest, &n)
				delete(has, n)
				delete(part, n)
			case "part":
				fmt.Sscan(rest, &n, &size)
				part[n] = size
			}
		}
		for i, b := range all {
			if has[i] && !store.Has(b) {
				return fmt.Errorf("blob %d was stored and is gone", i)
			}
			if store.Has(b) {
				if data, err := store.Read(b, 1<<20); err != nil || !bytes.Equal(data, contents[i]) {
					return fmt.Errorf("blob %d is there and can't be read: %v", i, err)
				}
			} else if got, _ := os.ReadFile(filepath.Join(dir, "store", "partial", b.Digest.Encoded())); int64(len(got)) < part[i] ||
				!bytes.Equal(got[:part[i]], contents[i][:part[i]]) {
				return fmt.Errorf("%d bytes of blob %d were synced, and are not in its part", part[i], i)
			}
		}
		for i, b := range all { // and now a fresh start: all is fetched that is not there
			if store.Has(b) {
				continue
			}
			if err := resume(store, b, contents[i]); err != nil {
				return fmt.Errorf("blob %d can't be fetched again: %w", i, err)
			}
			if data, err := store.Read(b, 1<<20); err != nil || !bytes.Equal(data, contents[i]) {
				return fmt.Errorf("blob %d can't be read after it was fetched again: %v", i, err)
			}
		}
		return nil
	}
	return workload{work, check}
}

// fetch stores a blob in pieces, as a thin line brings it.
func fetch(s *site, store *bundle.Store, b manifest.Blob, data []byte, i int) {
	for at := 0; ; {
		p, err := store.Partial(s.t.Context(), b)
		must(s.t, err)
		if p.Size() != int64(at) {
			s.t.Fatalf("the part has %d bytes, want %d", p.Size(), at)
		}
		end := min(len(data), at+len(data)/3+1)
		_, err = p.Write(data[at:end])
		must(s.t, err)
		if at = end; at == len(data) {
			must(s.t, p.Finish())
			return
		}
		must(s.t, p.Close())
		s.mark("part %d %d", i, at)
	}
}

// resume does what a fetch does: goes on with the part that is there, and begins anew when that turns out to be damaged.
func resume(store *bundle.Store, b manifest.Blob, data []byte) error {
	for range 2 {
		p, err := store.Partial(context.Background(), b)
		if err != nil {
			return err
		}
		defer p.Close()
		if p.Size() > b.Size {
			return errors.New("the part is longer than the blob")
		}
		if _, err := io.Copy(p, bytes.NewReader(data[p.Size():])); err != nil {
			return err
		}
		err = p.Finish()
		if err == nil || !errors.Is(err, bundle.ErrDamaged) {
			return err
		}
	}
	return errors.New("it is damaged every time")
}
