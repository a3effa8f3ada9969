//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/journal"
	"dhow/agent/site"
	pipeline "dhow/agent/update"
)

// remains lists what should not be there when nothing is under way: changes that have not ended or not tidied up, temporary files, folders
// and tags of releases that are not kept, backups that are not complete. The agent is stopped: the journal is read as it is on the disk.
func (s *Site) remains(t testing.TB) []string {
	t.Helper()
	list := s.leftovers()
	paths := site.Paths{Prefix: s.prefix}
	j, err := journal.Open(paths.Journal())
	if err != nil {
		return append(list, fmt.Sprintf("a journal that can't be read: %v", err))
	}
	defer j.Close()
	open, err := j.Changes(func(c *change.Change) bool { return c.Finished.IsZero() || !c.Cleaned })
	for _, c := range open {
		list = append(list, fmt.Sprintf("change %d (%s), %s, finished %v, cleaned %v", c.ID, c.Kind, c.Status(), !c.Finished.IsZero(), c.Cleaned))
		for _, step := range c.Steps {
			if step.Trouble != "" {
				list = append(list, "step "+step.Name+": "+step.Trouble)
			}
		}
	}
	var good pipeline.Good
	var past []pipeline.Past
	_, gerr := j.Fact("known-good", &good)
	_, perr := j.Fact("past", &past)
	for _, err := range []error{err, gerr, perr} {
		if err != nil {
			list = append(list, fmt.Sprintf("a journal that can't be read: %v", err))
		}
	}
	folders, images, backups := ranHere(t, j), map[string]bool{}, map[string]bool{}
	folders[good.Folder] = true
	kept := []string{good.Release}
	for _, p := range past {
		folders[p.Folder], backups[p.Backup] = true, true
		kept = append(kept, p.Release)
	}
	for _, release := range kept {
		for _, image := range s.centre.document(t, release).Images {
			images[string(image.Platforms[0].Config.Digest)] = true
		}
	}
	for _, name := range names(t, paths.Stacks()) {
		if !folders[name] {
			list = append(list, "the folder of "+name)
		}
	}
	for _, name := range names(t, paths.Backups()) {
		if _, err := os.Stat(filepath.Join(paths.Backups(), name, "snapshot.json")); err != nil {
			list = append(list, "the incomplete backup "+name)
		}
		delete(backups, name)
	}
	for name := range backups {
		if name == "" {
			continue
		}
		list = append(list, "no backup "+name+" although a rollback may need it")
	}
	list = append(list, damagedBackups(t, paths.Archive())...)
	for _, left := range s.trials() {
		list = append(list, "of a trial restore: "+left)
	}
	for _, line := range ourImages(t, s.centre) {
		if id, ref, _ := strings.Cut(line, " "); strings.HasPrefix(ref, "dhow.local/") && !images[id] {
			list = append(list, "the tag "+ref)
		}
	}
	return list
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// ranHere names the folders of the releases that updates have put in place: those that are pinned are kept, even when a person has left them.
func ranHere(t testing.TB, j *journal.Journal) map[string]bool {
	t.Helper()
	folders := map[string]bool{}
	_, err := j.Changes(func(c *change.Change) bool {
		var plan struct {
			To pipeline.Good `json:"to"`
		}
		if c.Kind == pipeline.KindApply && c.Status() == change.Done && c.ReadPlan(&plan) == nil {
			folders[plan.To.Folder] = true
		}
		return false
	})
	if err != nil {
		t.Error(err)
	}
	return folders
}

// damagedBackups lists the portable backups that are not whole: one that is listed must be good.
func damagedBackups(t testing.TB, dir string) (list []string) {
	t.Helper()
	a, err := archive.Open(dir)
	if err != nil {
		return []string{fmt.Sprintf("an archive that can't be opened: %v", err)}
	}
	records, err := a.List()
	if err != nil {
		list = append(list, fmt.Sprintf("an archive that can't be read: %v", err))
	}
	for _, r := range records {
		if err := a.Verify(t.Context(), r.Name, nil); err != nil {
			list = append(list, err.Error())
		}
	}
	return list
}
