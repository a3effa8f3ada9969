package offsite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every file of a copy, with a flipped bit, cut short, longer, empty and gone: the copy is refused, the older one comes back, and sending it
// again mends what can be seen from its names and sizes.
func TestDamagedCopies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newArchive()
	a.add("b1", map[string]int{"p1": 70_000, "p2": 10})
	a.add("b2", map[string]int{"p2": 10, "p3": 130_000})
	ids, to := keys(t)
	dir := t.TempDir()
	p := stickAt(t, dir)
	mustSend(t, p, "b1", a, to)
	mustSend(t, p, "b2", a, to)
	var files []string
	for _, name := range tree(t, dir) {
		switch base, _, _ := strings.Cut(filepath.Base(name), "."); base {
		case "p3", "records_b2", "b2":
			files = append(files, name)
		}
	}
	if len(files) != 4 { // pack, record of the archive, list, record
		t.Fatalf("files %v", files)
	}
	for _, name := range files {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flip := func(at int) []byte {
			data := bytes.Clone(good)
			data[at] ^= 4
			return data
		}
		for what, data := range map[string][]byte{
			"first bit": flip(0), "header": flip(60), "middle": flip(len(good) / 2), "last bit": flip(len(good) - 1),
			"half": good[:len(good)/2], "longer": append(bytes.Clone(good), 'x'), "empty": {}, "gone": nil,
		} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if data == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			back := newArchive()
			err := Fetch(ctx, p, site, "b2", ids, back, nil)
			isList := strings.HasSuffix(name, listExt)
			switch {
			case isList: // what is in clear is for this site only: the record says everything
				if err != nil {
					t.Errorf("%s, %s: %v", name, what, err)
				}
				whole2(t, p, "b1")
			case err == nil || Hint(err) == "":
				t.Errorf("%s, %s: error %v (%q)", name, what, err, Hint(err))
			case !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoCopy) && !errors.Is(err, ErrWrongKey):
				t.Errorf("%s, %s: error %v", name, what, err)
			}
			for got, data := range back.content {
				if !bytes.Equal(data, a.content[got]) {
					t.Errorf("%s, %s: the sink was given a wrong %s", name, what, got)
				}
			}
			mustFetch(t, p, "b1", a, ids)
			sent := mustSend(t, p, "b2", a, to)
			if len(data) != len(good) && sent == 0 {
				t.Errorf("%s, %s: not sent again", name, what)
			}
			if len(data) != len(good) || isList {
				mustFetch(t, p, "b2", a, ids)
				whole2(t, p, "b1", "b2")
			}
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			// Another copy of list and record may have come; what stands in clear is always the same.
			if isList || len(data) != len(good) {
				mustFetch(t, p, "b2", a, ids)
			}
		}
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newArchive()
	a.add("b1", map[string]int{"p1": 10, "p2": 10})
	a.add("b2", map[string]int{"p2": 10, "p3": 10})
	a.add("b3", map[string]int{"p3": 10, "p4": 10})
	ids, to := keys(t)
	packs := func(dir string) string {
		var out []string
		for _, name := range tree(t, dir) {
			if name, ok := strings.CutPrefix(name, site+"/objects/p"); ok {
				out = append(out, "p"+name[:1])
			}
		}
		return strings.Join(out, " ")
	}
	for _, test := range []struct {
		name    string
		keep    []string
		mine    []string // all, when nil
		spoil   func(dir string)
		dropped []string
		packs   string
		whole   []string
		err     bool
	}{
		{name: "keep all", keep: []string{"b1", "b2", "b3"}, packs: "p1 p2 p3 p4", whole: []string{"b1", "b2", "b3"}},
		{name: "keep the newest", keep: []string{"b3"}, dropped: []string{"b1", "b2"}, packs: "p3 p4", whole: []string{"b3"}},
		{name: "keep nothing", dropped: []string{"b1", "b2"}, packs: "p3 p4", whole: []string{"b3"}},
		{name: "keep the oldest", keep: []string{"b1"}, dropped: []string{"b2"}, packs: "p1 p2 p3 p4", whole: []string{"b1", "b3"}},
		{name: "keep one that is not there", keep: []string{"b9"}, dropped: []string{"b1", "b2"}, packs: "p3 p4", whole: []string{"b3"}},
		{name: "of another computer", mine: []string{"b2"}, dropped: []string{"b2"}, packs: "p1 p2 p3 p4", whole: []string{"b1", "b3"}},
		{name: "a new computer", mine: []string{"b3"}, keep: []string{"b3"}, packs: "p1 p2 p3 p4", whole: []string{"b1", "b2", "b3"}},
		{
			name: "half a copy of another computer", mine: []string{"b3"}, dropped: []string{"b2"}, packs: "p1 p2 p3 p4", whole: []string{"b1", "b3"},
			spoil: func(dir string) { _ = os.Remove(filepath.Join(dir, site, backupsDir, "b2.age")) },
		},
		{
			name: "the newest has no record", spoil: func(dir string) { _ = os.Remove(filepath.Join(dir, site, backupsDir, "b3.age")) },
			dropped: []string{"b1", "b3"}, packs: "p2 p3", whole: []string{"b2"},
		},
		{
			name: "the newest is under way", keep: []string{"b3"}, dropped: []string{"b1"}, packs: "p2 p3 p4", whole: []string{"b2"},
			spoil: func(dir string) { _ = os.Remove(filepath.Join(dir, site, backupsDir, "b3.age")) },
		},
		{
			name: "a kept list is damaged", keep: []string{"b1"}, packs: "p1 p2 p3 p4", whole: []string{"b2", "b3"}, err: true,
			spoil: func(dir string) {
				path := filepath.Join(dir, site, backupsDir, "b1.objects")
				data, _ := os.ReadFile(path)
				_ = os.WriteFile(path, bytes.Replace(data, []byte(`"p2"`), []byte(`"p7"`), 1), 0o600)
			},
		},
		{
			name: "a kept list is gone", keep: []string{"b1"}, packs: "p1 p2 p3 p4", whole: []string{"b2", "b3"}, err: true,
			spoil: func(dir string) { _ = os.Remove(filepath.Join(dir, site, backupsDir, "b1.objects")) },
		},
		{
			name: "somebody's file", dropped: []string{"b1", "b2"}, packs: "p3 p4", whole: []string{"b3"},
			spoil: func(dir string) {
				_ = os.WriteFile(filepath.Join(dir, site, objectsDir, "letter.doc"), []byte("x"), 0o600)
			},
		},
	} {
		dir := t.TempDir()
		p := stickAt(t, dir)
		if test.mine == nil {
			test.mine = []string{"b1", "b2", "b3", "b0"}
		}
		for _, b := range []string{"b1", "b2", "b3"} {
			mustSend(t, p, b, a, to)
		}
		if test.spoil != nil {
			test.spoil(dir)
		}
		dropped, err := Drop(ctx, p, site, test.mine, test.keep)
		if (err != nil) != test.err || !slices.Equal(dropped, test.dropped) || packs(dir) != test.packs {
			t.Errorf("%s: dropped %v, %v; packs %s", test.name, dropped, err, packs(dir))
		}
		whole2(t, p, test.whole...)
		for _, b := range test.whole {
			mustFetch(t, p, b, a, ids)
		}
		if test.err { // sending it again mends it
			mustSend(t, p, "b1", a, to)
			if _, err := Drop(ctx, p, site, test.mine, test.keep); err != nil {
				t.Errorf("%s: then %v", test.name, err)
			}
			whole2(t, p, "b1", "b3")
		}
	}
	if _, err := Drop(ctx, stickAt(t, t.TempDir()), "../x", nil, nil); err == nil {
		t.Error("a name that leads elsewhere is taken")
	}
}

// broken is a place at which one call fails, before or after it had its effect.
type broken struct {
	Place
	at    int // the call that fails, counted from 0
	after bool
	calls int
	log   []string // what was written and deleted
}

var errPulled = errors.New("pulled out")

func (b *broken) do(what string, call func() error) error {
	n := b.calls
	b.calls++
	if n == b.at && !b.after {
		return errPulled
	}
	if n > b.at && b.at >= 0 {
		return errPulled
	}
	err := call()
	if err == nil {
		b.log = append(b.log, what)
	}
	if n == b.at {
		return errPulled
	}
	return err
}

func (b *broken) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	return b.do("put "+name, func() error { return b.Place.Put(ctx, name, size, r) })
}

func (b *broken) Delete(ctx context.Context, name string) error {
	return b.do("delete "+name, func() error { return b.Place.Delete(ctx, name) })
}

// Interrupted at each write and each deletion: the older copies are whole, no record stands without its objects, and trying again ends
// well. The second backup is a new one, one for another key (its record is replaced), and then the older one is dropped.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newArchive()
	a.add("b1", map[string]int{"p1": 1000, "p2": 1000})
	a.add("b2", map[string]int{"p2": 1000, "p3": 1000, "p4": 1000})
	ids, to := keys(t)
	ids2, to2 := keys(t)
	for name, op := range map[string]struct {
		prepare func(p Place)
		run     func(p Place) error
		whole   []string // once it has ended well
		ids     Identities
	}{
		"send": {
			run: func(p Place) error { _, err := Send(ctx, p, site, "b2", a, to, nil); return err }, whole: []string{"b1", "b2"}, ids: ids,
		},
		"another key": {
			prepare: func(p Place) { mustSend(t, p, "b2", a, to) }, ids: ids2,
			run: func(p Place) error { _, err := Send(ctx, p, site, "b2", a, to2, nil); return err }, whole: []string{"b1", "b2"},
		},
		"drop": {
			prepare: func(p Place) { mustSend(t, p, "b2", a, to) }, ids: ids,
			run: func(p Place) error { _, err := Drop(ctx, p, site, []string{"b1"}, nil); return err }, whole: []string{"b2"},
		},
	} {
		tried := 0
		for at := 0; ; at++ {
			ended := false
			for _, after := range []bool{false, true} {
				p := stickAt(t, t.TempDir())
				mustSend(t, p, "b1", a, to)
				if op.prepare != nil {
					op.prepare(p)
				}
				b := &broken{Place: p, at: at, after: after}
				err := op.run(b)
				if err == nil {
					ended = true
					break
				}
				tried++
				if !errors.Is(err, errPulled) {
					t.Fatalf("%s %d: %v", name, at, err)
				}
				whole, err := List(ctx, p, site)
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range whole {
					from := ids
					if got == "b2" {
						from = append(ids, ids2...)
					}
					mustFetch(t, p, got, a, from)
				}
				if name != "drop" && !slices.Contains(whole, "b1") || name == "drop" && !slices.Contains(whole, "b2") {
					t.Errorf("%s %d: whole copies %v", name, at, whole)
				}
				if err := op.run(p); err != nil {
					t.Errorf("%s %d, again: %v", name, at, err)
				}
				whole2(t, p, op.whole...)
				mustFetch(t, p, "b2", a, op.ids)
			}
			if ended {
				break
			}
		}
		if tried < 8 {
			t.Errorf("%s: only %d interruptions were tried", name, tried)
		}
	}
}

// The record is written last.
func TestOrder(t *testing.T) {
	a := newArchive()
	a.add("b1", map[string]int{"p1": 10, "p2": 10})
	_, to := keys(t)
	p := &broken{Place: stickAt(t, t.TempDir()), at: -1}
	mustSend(t, p, "b1", a, to)
	o := func(name string) string { return "put " + objectPath(site, a.object(name), to) }
	want := []string{"put kin-001/backups/b1.objects", o("p1"), o("p2"), o("records/b1"), "put kin-001/backups/b1.age"}
	if !slices.Equal(p.log, want) {
		t.Errorf("order %v", p.log)
	}
}
