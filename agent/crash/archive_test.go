//go:build e2e

package crash_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/backup/tree/treetest"
	"dhow/bundle/durable"
)

// kept is what a backup holds.
type kept struct {
	trees map[string]string
	dump  []byte
}

// archiveWork makes and deletes backups, so that packs are packed anew, and copies one into another archive. Marks: "making NAME", "has NAME",
// "going NAME", "restored NAME", "copying NAME" and "copied NAME".
func archiveWork(t *testing.T, r *rand.Rand) workload {
	garden := newGarden(r, true)
	dumps := rand.New(rand.NewPCG(garden.seed, 99))
	wants := map[string]kept{}
	work := func(s *site) {
		ctx := s.t.Context()
		trees := volumes(s.dir)
		garden.plant(s.t, trees)
		must(s.t, durable.SyncTree(filepath.Join(s.dir, "volumes")))
		a, err := archive.Open(filepath.Join(s.dir, "archive"))
		must(s.t, err)
		n := uint64(0)
		create := func(name string) {
			n++
			garden.change(s.t, trees, n)
			treetest.Settled(s.t)
			all, err := lookAt(trees)
			must(s.t, err)
			wants[name] = kept{all, bytesOf(dumps, 30000)}
			s.mark("making %s", name)
			_, err = a.Create(ctx, contents(name, n, trees, wants[name].dump), nil)
			must(s.t, err)
			s.mark("has %s", name)
		}
		remove := func(names ...string) {
			for _, name := range names {
				s.mark("going %s", name)
			}
			must(s.t, a.Delete(ctx, names...))
		}
		create("a")
		create("b")
		must(s.t, a.MarkVerified("b", made, "read back"))
		create("c")
		remove("a")
		create("d")
		remove("b", "c")
		create("e")
		must(s.t, a.Restore(ctx, "e", contents("e", 0, volumes(filepath.Join(s.dir, "machine")), nil).Trees, nil)) // folders that are not there yet
		s.mark("restored e")
		other, err := archive.Open(filepath.Join(s.dir, "other"))
		must(s.t, err)
		for _, name := range []string{"d", "e"} {
			objects, err := a.Objects(name)
			must(s.t, err)
			s.mark("copying %s", name)
			for _, o := range objects {
				r, err := a.OpenObject(o.Name)
				must(s.t, err)
				must(s.t, other.PutObject(ctx, o, r))
				must(s.t, r.Close())
			}
			s.mark("copied %s", name)
		}
	}
	check := func(dir string, marks []string) error {
		here, there := map[string]bool{}, map[string]bool{} // true: must be listed, false: may be
		for _, m := range marks {
			switch what, name, _ := strings.Cut(m, " "); what {
			case "making", "going":
				here[name] = false
			case "has":
				here[name] = true
			case "restored":
				if got, err := lookAt(volumes(filepath.Join(dir, "machine"))); err != nil || !maps.Equal(got, wants[name].trees) {
					return fmt.Errorf("backup %s was restored: %v %s", name, err, differ(got, wants[name].trees))
				}
			case "copying":
				there[name] = false
			case "copied":
				there[name] = true
			}
		}
		for folder, listed := range map[string]map[string]bool{"archive": here, "other": there} {
			if err := sound(dir, folder, listed, wants); err != nil {
				return fmt.Errorf("%s: %w", folder, err)
			}
		}
		return nil
	}
	return workload{work, check}
}

func contents(name string, n uint64, trees []backup.Tree, dump []byte) archive.Contents {
	c := archive.Contents{Record: archive.Record{Name: name, Made: made.Add(time.Duration(n) * time.Hour)}}
	for _, t := range trees {
		c.Trees = append(c.Trees, archive.Tree(t))
	}
	c.Files = []archive.File{{Name: "dump", Write: func(w io.Writer) error {
		_, err := w.Write(dump)
		return err
	}}}
	return c
}

// sound checks all backups of an archive, makes another one and deletes the oldest.
func sound(dir, folder string, listed map[string]bool, wants map[string]kept) error {
	ctx := context.Background()
	a, err := archive.Open(filepath.Join(dir, folder))
	if err != nil {
		return err
	}
	all, err := a.List()
	if err != nil {
		return err
	}
	var names []string
	for _, rec := range all {
		if _, ok := listed[rec.Name]; !ok || rec.Problem != nil {
			return fmt.Errorf("backup %s is listed: %v", rec.Name, rec.Problem)
		}
		names = append(names, rec.Name)
	}
	for name, must := range listed {
		if must && !slices.Contains(names, name) {
			return fmt.Errorf("backup %s was made and is not listed", name)
		}
	}
	whole := func(names ...string) error {
		for _, name := range names {
			if err := comesBackFrom(a, name, filepath.Join(dir, "new", folder, name), wants[name]); err != nil {
				return fmt.Errorf("backup %s: %w", name, err)
			}
		}
		return nil
	}
	if err := whole(names...); err != nil {
		return err
	}
	trees := volumes(dir)
	now, err := lookAt(trees)
	if err != nil {
		return nil // the volumes are younger than the power cut
	}
	if _, err := a.Create(ctx, contents("next", 99, trees, []byte("dump")), nil); err != nil {
		return err
	}
	if len(names) > 0 {
		if err := a.Delete(ctx, names[len(names)-1]); err != nil {
			return err
		}
		names = names[:len(names)-1]
	}
	if err := whole(names...); err != nil {
		return fmt.Errorf("after the next backup: %w", err)
	}
	return comesBackFrom(a, "next", filepath.Join(dir, "new", folder, "next"), kept{now, []byte("dump")})
}

// comesBackFrom verifies and restores a backup and compares.
func comesBackFrom(a *archive.Archive, name, to string, want kept) error {
	ctx := context.Background()
	if err := a.Verify(ctx, name, nil); err != nil {
		return err
	}
	trees := volumes(to)
	if err := a.Restore(ctx, name, contents(name, 0, trees, nil).Trees, nil); err != nil {
		return err
	}
	got, err := lookAt(trees)
	if err != nil {
		return err
	}
	if !maps.Equal(got, want.trees) {
		return fmt.Errorf("what comes back is not what was there: %s", differ(got, want.trees))
	}
	r, err := a.OpenFile(ctx, name, "dump")
	if err != nil {
		return err
	}
	defer r.Close()
	if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, want.dump) {
		return fmt.Errorf("the dump is not what was written: %v", err)
	}
	return nil
}
