//go:build e2e

package crash_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/change"
	"dhow/agent/journal"
)

// book is what a journal should hold: changes by number, facts by name.
type book struct {
	changes map[uint64]string
	facts   map[string]string
}

func (b book) clone() book { return book{maps.Clone(b.changes), maps.Clone(b.facts)} }

func (b book) equal(o book) bool {
	return maps.Equal(b.changes, o.changes) && maps.Equal(b.facts, o.facts)
}

// factNames are all facts that the workload ever sets.
var factNames = []string{"known-good", "ready", "bad", "last"}

// journalWork saves, changes and deletes changes and facts, with values of all sizes, so that pages split, are freed and are used again.
func journalWork(t *testing.T, r *rand.Rand) workload {
	type step func(j *journal.Journal, b *book) error
	var steps []step
	var ids uint64
	for range 70 {
		text := strings.Repeat(string(rune('a'+r.IntN(26))), 1<<r.IntN(13))
		name := factNames[r.IntN(len(factNames))]
		clear := r.IntN(4) == 0
		id := ids + 1
		kind := r.IntN(4)
		if ids > 0 && kind > 0 {
			id = 1 + r.Uint64N(ids)
		} else if kind != 2 {
			kind, ids = 0, id
		}
		steps = append(steps, func(j *journal.Journal, b *book) error {
			switch kind {
			case 0: // a new change
				n, err := j.NextID()
				if err != nil || n != id {
					return fmt.Errorf("number %d for a new change, want %d: %v", n, id, err)
				}
				fallthrough
			case 1: // a change and a fact
				fact, _ := json.Marshal(text)
				facts := map[string]json.RawMessage{name: fact}
				b.changes[id], b.facts[name] = text, text
				if clear {
					facts[name] = nil
					delete(b.facts, name)
				}
				return j.Save(&change.Change{ID: id, Kind: text}, facts)
			case 2:
				b.facts[name] = text
				return j.SetFact(name, text)
			}
			delete(b.changes, id)
			return j.Delete(id)
		})
	}
	books := make([]book, len(steps)+1) // after each step
	books[0] = book{map[uint64]string{}, map[string]string{}}
	work := func(s *site) {
		j, err := journal.Open(filepath.Join(s.dir, "journal.db"))
		must(s.t, err)
		s.mark("open")
		for i, do := range steps {
			books[i+1] = books[i].clone()
			must(s.t, do(j, &books[i+1]))
			s.mark("step")
			if i == len(steps)/2 {
				must(s.t, j.Close())
				j, err = journal.Open(filepath.Join(s.dir, "journal.db"))
				must(s.t, err)
			}
		}
		must(s.t, j.Close())
	}
	check := func(dir string, marks []string) error {
		j, err := journal.Open(filepath.Join(dir, "journal.db"))
		if err != nil {
			return err
		}
		defer j.Close()
		got, err := read(j)
		if err != nil {
			return err
		}
		done := max(0, len(marks)-1)
		if !got.equal(books[done]) && (done == len(steps) || !got.equal(books[done+1])) {
			return fmt.Errorf("the journal holds neither what it held after step %d nor after the next", done)
		}
		b := got.clone()
		id, err := j.NextID()
		if err != nil {
			return err
		}
		for old := range got.changes {
			if id <= old {
				return fmt.Errorf("number %d was given out again", id)
			}
		}
		if err := j.Save(&change.Change{ID: id, Kind: "after"}, map[string]json.RawMessage{"last": json.RawMessage(`"after"`)}); err != nil {
			return err
		}
		b.changes[id], b.facts["last"] = "after", "after"
		if err := j.Close(); err != nil {
			return err
		}
		if j, err = journal.Open(filepath.Join(dir, "journal.db")); err != nil {
			return err
		}
		defer j.Close()
		if got, err = read(j); err != nil || !got.equal(b) {
			return fmt.Errorf("the next change is not in the journal: %v", err)
		}
		return nil
	}
	return workload{work, check}
}

func read(j *journal.Journal) (book, error) {
	b := book{map[uint64]string{}, map[string]string{}}
	all, err := j.Changes(func(*change.Change) bool { return true })
	if err != nil {
		return b, err
	}
	for _, c := range all {
		b.changes[c.ID] = c.Kind
	}
	for _, name := range factNames {
		var v string
		found, err := j.Fact(name, &v)
		if err != nil {
			return b, err
		}
		if found {
			b.facts[name] = v
		}
	}
	return b, nil
}
