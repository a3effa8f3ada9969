package archive

import (
	"errors"
	"io"
	"testing"
)

func TestRefusals(t *testing.T) {
	a, dir := open(t), t.TempDir()
	create(t, a, contents("b0", dir))
	broken := File{"db.sql", func(io.Writer) error { return errors.New("the server went away") }}
	for want, do := range map[string]func() error{
		"cannot make backup b0: there is one of that name already": func() error {
			_, err := a.Create(t.Context(), contents("b0", dir), nil)
			return err
		},
		`cannot make backup ../b: "../b" cannot be the name of a backup`: func() error {
			_, err := a.Create(t.Context(), contents("../b", dir), nil)
			return err
		},
		"cannot make backup b1: volume data is named twice": func() error {
			c := contents("b1", dir)
			c.Trees = append(c.Trees, c.Trees...)
			_, err := a.Create(t.Context(), c, nil)
			return err
		},
		"cannot make backup b1: cannot back up db.sql: the server went away": func() error {
			_, err := a.Create(t.Context(), contents("b1", dir, broken), nil)
			return err
		},
		"cannot make backup b1: cannot read volume data: open /nowhere/at/all: no such file or directory": func() error {
			_, err := a.Create(t.Context(), contents("b1", "/nowhere/at/all"), nil)
			return err
		},
		"cannot read backup b1: there is no such backup": func() error {
			_, err := a.Read("b1")
			return err
		},
		"cannot verify backup b1: there is no such backup":                func() error { return a.Verify(t.Context(), "b1", nil) },
		"cannot note that backup b1 is verified: there is no such backup": func() error { return a.MarkVerified("b1", day, "x") },
		"cannot restore backup b0: volume other: the backup does not hold it": func() error {
			return a.Restore(t.Context(), "b0", []Tree{{"other", dir}}, nil)
		},
		"cannot read none of backup b0: the backup has no such file":       func() error { _, err := a.OpenFile(t.Context(), "b0", "none"); return err },
		`cannot delete backup: "../../etc" cannot be the name of a backup`: func() error { return a.Delete(t.Context(), "../../etc") },
		"cannot copy backup b1: there is no such backup":                   func() error { _, err := a.Objects("b1"); return err },
		`"packs/../records/b0.json" is no part of a backup`:                func() error { _, err := a.OpenObject("packs/../records/b0.json"); return err },
		`cannot take in lock: "lock" is no part of a backup`:               func() error { return a.PutObject(t.Context(), Object{Name: "lock"}, nil) },
	} {
		if err := do(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if got := namesIn(t, a, recordsDir); got != "b0.json" {
		t.Errorf("records: %s", got)
	}
}

func TestOneChangeAtATime(t *testing.T) {
	a, dir := open(t), t.TempDir()
	create(t, a, contents("b0", dir, stream1("db.sql", noise(1, 1000))))
	r, err := a.OpenFile(t.Context(), "b0", "db.sql")
	must(t, err)
	other, err := Open(a.dir)
	must(t, err)
	if _, err := other.Create(t.Context(), contents("b1", dir), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("while a stream is read: %v", err)
	}
	must(t, other.Verify(t.Context(), "b0", nil))
	must(t, r.Close())
	must(t, r.Close())
	inside := File{"x", func(io.Writer) error { return other.Verify(t.Context(), "b0", nil) }}
	if _, err := a.Create(t.Context(), contents("b1", dir, inside), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("while a backup is made: %v", err)
	}
	create(t, a, contents("b1", dir))
}
