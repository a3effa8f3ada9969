//go:build e2e

package crash_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"dhow/agent/offsite"
)

// stock holds backups to copy; it is an offsite.Source.
type stock struct {
	backups map[string][]offsite.Object
	data    map[string][]byte
}

func (s stock) Objects(backup string) ([]offsite.Object, error) { return s.backups[backup], nil }

func (s stock) OpenObject(name string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.data[name])), nil
}

// sink takes copies back; it is an offsite.Sink.
type sink map[string][]byte

func (s sink) PutObject(_ context.Context, o offsite.Object, r io.Reader) error {
	data, err := io.ReadAll(r)
	s[o.Name] = data
	return err
}

// copiesWork copies backups that have parts in common to a folder, and drops old copies. Marks: "marked", "sending NAME", "sent NAME", "going NAME".
func copiesWork(t *testing.T, r *rand.Rand) workload {
	key, err := age.GenerateX25519Identity()
	must(t, err)
	shelf := stock{map[string][]offsite.Object{}, map[string][]byte{}}
	names := []string{"b1", "b2", "b3", "b4", "b5"}
	for i, name := range names {
		for part := range 4 {
			object := fmt.Sprintf("packs/%d", i+part)
			if shelf.data[object] == nil {
				shelf.data[object] = bytesOf(r, 1+r.IntN(20000))
			}
		}
		shelf.data["records/"+name] = []byte("the record of " + name)
		for _, object := range []string{fmt.Sprintf("packs/%d", i), fmt.Sprintf("packs/%d", i+1), fmt.Sprintf("packs/%d", i+2), "records/" + name} {
			data := shelf.data[object]
			shelf.backups[name] = append(shelf.backups[name], offsite.Object{
				Name: object, Size: int64(len(data)), SHA256: fmt.Sprintf("%x", sha256.Sum256(data)),
			})
		}
	}
	const here = "kin-001"
	secret := func(string) string { return "" }
	send := func(ctx context.Context, place offsite.Place, name string) error {
		_, err := offsite.Send(ctx, place, here, name, shelf, key.Recipient().String(), nil)
		return err
	}
	work := func(s *site) {
		ctx, dir := s.t.Context(), filepath.Join(s.dir, "stick")
		must(s.t, offsite.Init(ctx, dir, secret))
		s.mark("marked")
		place, err := offsite.OpenPlace(ctx, dir, secret)
		must(s.t, err)
		defer place.Close()
		for i, name := range names {
			s.mark("sending %s", name)
			must(s.t, send(ctx, place, name))
			s.mark("sent %s", name)
			if i == 2 {
				s.mark("going b1")
				s.mark("going b2")
				_, err := offsite.Drop(ctx, place, here, []string{"b1", "b2", "b3"}, []string{"b3"})
				must(s.t, err)
			}
		}
	}
	check := func(dir string, marks []string) error {
		ctx, dir := context.Background(), filepath.Join(dir, "stick")
		marked, copies := false, map[string]bool{} // true: must be there, false: may be
		for _, m := range marks {
			switch what, name, _ := strings.Cut(m, " "); what {
			case "marked":
				marked = true
			case "sent":
				copies[name] = true
			case "sending", "going":
				copies[name] = false
			}
		}
		if !marked {
			if err := offsite.Init(ctx, dir, secret); err != nil {
				return err
			}
		}
		place, err := offsite.OpenPlace(ctx, dir, secret)
		if err != nil {
			return err
		}
		defer place.Close()
		for _, after := range []string{"the power cut", "the next copy"} {
			have, err := offsite.List(ctx, place, here)
			if err != nil {
				return err
			}
			for name, must := range copies {
				if must && !slices.Contains(have, name) {
					return fmt.Errorf("after %s: copy %s was made and is not listed", after, name)
				}
			}
			for _, name := range have {
				got := sink{}
				if err := offsite.Fetch(ctx, place, here, name, offsite.Identities{key}, got, nil); err != nil {
					return fmt.Errorf("after %s: copy %s: %w", after, name, err)
				}
				for _, o := range shelf.backups[name] {
					if !bytes.Equal(got[o.Name], shelf.data[o.Name]) {
						return fmt.Errorf("after %s: copy %s gives back another %s", after, name, o.Name)
					}
				}
			}
			if err := send(ctx, place, "b5"); err != nil {
				return err
			}
			copies["b5"] = true
		}
		return leftovers(filepath.Join(dir, here))
	}
	return workload{work, check}
}
