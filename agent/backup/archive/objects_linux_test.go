package archive

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dhow/agent/backup/tree/treetest"
)

func objectBytes(t *testing.T, a *Archive, o Object) []byte {
	t.Helper()
	r, err := a.OpenObject(o.Name)
	must(t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	must(t, err)
	if int64(len(data)) != o.Size || sha(data).String() != o.SHA256 {
		t.Errorf("%s has %d bytes, said %d", o.Name, len(data), o.Size)
	}
	return data
}

// TestObjectsAreTheBackup takes a backup to another archive, as by a stick.
func TestObjectsAreTheBackup(t *testing.T) {
	small(t)
	a, _, want := twoBackups(t)
	list, err := a.Objects("b1")
	must(t, err)
	if n := len(list); n < 5 || list[n-1].Name != "records/b1.json" {
		t.Fatalf("%v", list)
	}
	other := open(t)
	for i, o := range list {
		data := objectBytes(t, a, o)
		// Nothing but exactly that is taken in.
		for what, bad := range map[string][]byte{
			"flipped": append([]byte{data[0] ^ 1}, data[1:]...), "short": data[:len(data)-1], "long": append(bytes.Clone(data), 1),
		} {
			if err := other.PutObject(t.Context(), o, bytes.NewReader(bad)); !errors.Is(err, errContent) {
				t.Errorf("%s %s: %v", o.Name, what, err)
			}
		}
		if err := other.PutObject(treetest.NewCountdown(t.Context(), 0), o, bytes.NewReader(data)); err == nil {
			t.Errorf("%s: the context was not heard", o.Name)
		}
		if last := list[len(list)-1]; i == 2 {
			err := other.PutObject(t.Context(), last, bytes.NewReader(objectBytes(t, a, last)))
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("a record without its packs: %v", err)
			}
		}
		if all, err := other.List(); err != nil || len(all) != 0 {
			t.Errorf("a backup is listed before it is whole: %v %v", all, err)
		}
		must(t, other.PutObject(t.Context(), o, bytes.NewReader(data)))
	}
	must(t, other.Verify(t.Context(), "b1", nil))
	to := filepath.Join(t.TempDir(), "to")
	restore(t, other, "b1", to)
	treetest.Equal(t, "restored", treetest.Capture(t, to), want)
	for _, o := range list { // once more is no error
		must(t, other.PutObject(t.Context(), o, bytes.NewReader(objectBytes(t, a, o))))
	}
	if got := strings.Fields(namesIn(t, other, packsDir) + " " + namesIn(t, other, recordsDir)); len(got) != len(list) {
		t.Errorf("%d objects became %q", len(list), got)
	}
	// The same name, another backup.
	c := contents("b1", t.TempDir())
	third := open(t)
	create(t, third, c)
	foreign, err := third.Objects("b1")
	must(t, err)
	for _, o := range foreign[:len(foreign)-1] {
		must(t, other.PutObject(t.Context(), o, bytes.NewReader(objectBytes(t, third, o))))
	}
	o := foreign[len(foreign)-1]
	err = other.PutObject(t.Context(), o, bytes.NewReader(objectBytes(t, third, o)))
	if err == nil || err.Error() != "cannot take in records/b1.json: there is another backup of that name" {
		t.Errorf("%v", err)
	}
}

// A copy off site mends what is damaged here.
func TestObjectsMend(t *testing.T) {
	small(t)
	a, _, _ := twoBackups(t)
	list, err := a.Objects("b1")
	must(t, err)
	copies := map[string][]byte{}
	for _, o := range list {
		copies[o.Name] = objectBytes(t, a, o)
	}
	for _, o := range list[:len(list)-1] {
		flip(t, a.path(o.Name))
		if r, err := a.OpenObject(o.Name); err == nil {
			if _, err := io.ReadAll(r); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s is read as if it were good: %v", o.Name, err)
			}
			must(t, r.Close())
		}
	}
	if err := a.Verify(t.Context(), "b1", nil); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	for _, o := range list {
		must(t, a.PutObject(t.Context(), o, bytes.NewReader(copies[o.Name])))
	}
	must(t, a.Verify(t.Context(), "b1", nil))
	must(t, a.Verify(t.Context(), "b0", nil))
	if left := namesIn(t, a, damagedDir); left != "" {
		t.Errorf("still marked as damaged: %s", left)
	}
}

// What stands in two packs is read from the other one when one is damaged.
func TestTheOtherCopy(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), noise(1, 100_000), 0o600))
	a, other := open(t), open(t)
	create(t, a, contents("b0", dir))
	must(t, os.WriteFile(filepath.Join(dir, "g"), noise(2, 100_000), 0o600))
	create(t, other, contents("b1", dir))
	list, err := other.Objects("b1")
	must(t, err)
	first := namesIn(t, a, packsDir)
	for _, o := range list {
		must(t, a.PutObject(t.Context(), o, bytes.NewReader(objectBytes(t, other, o))))
	}
	flip(t, a.path(packsDir, first))
	// Nothing is known against the pack at first; then it is marked.
	if err := a.Verify(t.Context(), "b0", nil); err != nil && !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	must(t, a.Verify(t.Context(), "b1", nil))
	must(t, a.Delete(t.Context(), "b0"))
	must(t, a.Verify(t.Context(), "b1", nil))
	if got := namesIn(t, a, packsDir); strings.Contains(got, first) || namesIn(t, a, damagedDir) != "" {
		t.Errorf("packs %s, marked %s", got, namesIn(t, a, damagedDir))
	}
}

func TestPutObjectFailsAnywhere(t *testing.T) {
	small(t)
	a, _, _ := twoBackups(t)
	list, err := a.Objects("b1")
	must(t, err)
	var other *Archive
	putAll := func() error {
		for _, o := range list {
			r, err := a.OpenObject(o.Name)
			if err != nil {
				return err
			}
			err = other.PutObject(t.Context(), o, r)
			_ = r.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}
	faults(t, func() func() error {
		other = open(t)
		return putAll
	}, func(where string, _ error) {
		must(t, putAll())
		must(t, other.Verify(t.Context(), "b1", nil))
		must(t, other.Delete(t.Context(), "b1"))
		if left := namesIn(t, other, packsDir); left != "" {
			t.Errorf("%s: left over: %s", where, left)
		}
	})
}

func TestMarksFail(t *testing.T) {
	small(t)
	a, _, _ := twoBackups(t)
	at(t, func(name string) error {
		if strings.HasPrefix(name, "archive/mark-") {
			return syscall.EROFS
		}
		return nil
	})
	if err := a.MarkVerified("b0", day, "x"); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	for _, p := range strings.Fields(namesIn(t, a, packsDir)) {
		flip(t, a.path(packsDir, p))
	}
	if err := a.Verify(t.Context(), "b1", nil); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
}
