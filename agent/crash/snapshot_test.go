//go:build e2e

package crash_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dhow/agent/backup"
	"dhow/agent/backup/tree/treetest"
	"dhow/bundle/durable"
)

var made = time.Date(2026, 11, 21, 21, 3, 42, 0, time.UTC)

// volumes are the trees below a site's folder.
func volumes(dir string) []backup.Tree {
	return []backup.Tree{{Name: "app", Path: filepath.Join(dir, "volumes", "app")}, {Name: "db", Path: filepath.Join(dir, "volumes", "db")}}
}

// snapshotWork makes two snapshots of changing volumes, goes back to the first, and uses its folder again. Marks: "finishing SNAP N", "finished SNAP N",
// "restoring N", "restored N", "changed", "moved N"; N counts the states of the volumes that promises speak of.
func snapshotWork(t *testing.T, r *rand.Rand) workload {
	var wants []map[string]string // what the volumes held then
	garden := newGarden(r, true)
	work := func(s *site) {
		ctx := s.t.Context()
		wants = nil
		trees := volumes(s.dir)
		want := func() int {
			w, err := lookAt(trees)
			must(s.t, err)
			wants = append(wants, w)
			return len(wants) - 1
		}
		garden.plant(s.t, trees)
		snap := func(name string) string {
			dir := filepath.Join(s.dir, "backups", name)
			must(s.t, durable.MkdirAll(dir, 0o700))
			return dir
		}
		ahead := func(name string) {
			treetest.Settled(s.t)
			must(s.t, backup.CopyAhead(ctx, snap(name), trees, nil))
		}
		finish := func(name string) {
			treetest.Settled(s.t)
			n := want()
			s.mark("finishing %s %d", name, n)
			_, err := backup.Finish(ctx, snap(name), trees, backup.Info{Release: fmt.Sprint(n), Made: made}, nil)
			must(s.t, err)
			s.mark("finished %s %d", name, n)
		}
		ahead("one")
		ahead("one")
		garden.change(s.t, trees, 1)
		ahead("one")
		garden.change(s.t, trees, 2)
		finish("one")
		garden.change(s.t, trees, 3)
		ahead("two")
		finish("two")
		garden.change(s.t, trees, 4)
		s.mark("restoring 0")
		must(s.t, backup.Restore(ctx, snap("one"), trees, nil))
		s.mark("restored 0")
		s.mark("changed")
		garden.change(s.t, trees, 5)
		must(s.t, backup.Restore(ctx, snap("two"), trees, nil))
		garden.change(s.t, trees, 6)
		finish("one")
		must(s.t, backup.Restore(ctx, snap("one"), volumes(filepath.Join(s.dir, "machine")), nil)) // folders that are not there yet
		s.mark("moved %d", len(wants)-1)
	}
	check := func(dir string, marks []string) error {
		done, doing, restoring, restored := promises(marks)
		for _, name := range []string{"one", "two"} {
			snap := filepath.Join(dir, "backups", name)
			err := backup.Verify(context.Background(), snap)
			n, finished := done[name]
			try := doing[name]
			switch {
			case finished && err != nil:
				return fmt.Errorf("snapshot %s was finished: %w", name, err)
			case errors.Is(err, backup.ErrIncomplete):
				continue
			case err != nil:
				return fmt.Errorf("snapshot %s: %w", name, err)
			}
			about, err := backup.Read(snap)
			if err != nil {
				return err
			}
			if finished {
				try = []int{n}
			}
			if n, err = strconv.Atoi(about.Release); err != nil || !slices.Contains(try, n) {
				return fmt.Errorf("snapshot %s is number %d, it may be %v", name, n, try)
			}
			if err := comesBack(snap, volumes(filepath.Join(dir, "new-"+name)), wants[n]); err != nil {
				return fmt.Errorf("snapshot %s: %w", name, err)
			}
		}
		if moved, ok := strings.CutPrefix(last(marks), "moved "); ok {
			n, _ := strconv.Atoi(moved)
			if got, err := lookAt(volumes(filepath.Join(dir, "machine"))); err != nil || !maps.Equal(got, wants[n]) {
				return fmt.Errorf("the snapshot was restored elsewhere: %v %s", err, differ(got, wants[n]))
			}
		}
		trees := volumes(dir)
		if restored >= 0 {
			if got, err := lookAt(trees); err != nil || !maps.Equal(got, wants[restored]) {
				return fmt.Errorf("the volumes were restored and are not what they were: %v %s", err, differ(got, wants[restored]))
			}
		}
		if restoring >= 0 {
			if err := comesBack(filepath.Join(dir, "backups", "one"), trees, wants[restoring]); err != nil {
				return fmt.Errorf("restored again: %w", err)
			}
		}
		return nil
	}
	return workload{work, check}
}

// promises reads the marks: which snapshot is finished, which others it may be, and what the volumes are or become. -1 stands for nothing.
func promises(marks []string) (done map[string]int, maybe map[string][]int, restoring, restored int) {
	done, maybe, restoring, restored = map[string]int{}, map[string][]int{}, -1, -1
	for _, m := range marks {
		var name string
		var n int
		switch what, rest, _ := strings.Cut(m, " "); what {
		case "finishing":
			fmt.Sscan(rest, &name, &n)
			maybe[name] = append(maybe[name], n) // or the one before, which is given up now
			delete(done, name)
		case "finished":
			fmt.Sscan(rest, &name, &n)
			done[name] = n
		case "restoring":
			fmt.Sscan(rest, &restoring)
		case "restored":
			fmt.Sscan(rest, &restored)
			restoring = -1
		case "changed":
			restoring, restored = -1, -1
		}
	}
	return done, maybe, restoring, restored
}

func last(marks []string) string {
	if len(marks) == 0 {
		return ""
	}
	return marks[len(marks)-1]
}

// comesBack restores a snapshot and compares.
func comesBack(snap string, trees []backup.Tree, want map[string]string) error {
	if err := backup.Restore(context.Background(), snap, trees, nil); err != nil {
		return err
	}
	got, err := lookAt(trees)
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("what comes back is not what was there: %s", differ(got, want))
	}
	return nil
}

// againWork is the same work; after the power cut the volumes are what they are, and the next snapshot, which may use what the interrupted one
// has left, must hold just that.
func againWork(t *testing.T, r *rand.Rand) workload {
	w := snapshotWork(t, r)
	w.check = func(dir string, marks []string) error {
		ctx, trees := context.Background(), volumes(dir)
		for _, t := range trees {
			if err := os.MkdirAll(t.Path, 0o700); err != nil {
				return err
			}
		}
		want, err := lookAt(trees)
		if err != nil {
			return err
		}
		snap := filepath.Join(dir, "backups", "one")
		if len(marks)%2 == 0 {
			if err := backup.CopyAhead(ctx, snap, trees, nil); err != nil {
				return err
			}
		}
		if _, err := backup.Finish(ctx, snap, trees, backup.Info{Made: made}, nil); err != nil {
			return err
		}
		if got, err := lookAt(trees); err != nil || !maps.Equal(got, want) {
			return fmt.Errorf("the snapshot has changed the volumes: %v %s", err, differ(got, want))
		}
		if err := backup.Verify(ctx, snap); err != nil {
			return err
		}
		return comesBack(snap, volumes(filepath.Join(dir, "new")), want)
	}
	return w
}

func differ(got, want map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			return fmt.Sprintf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%s is too much", name)
		}
	}
	return "nothing differs"
}
