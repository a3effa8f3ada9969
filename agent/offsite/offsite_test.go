package offsite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

const site = "kin-001"

// archive is a Source and a Sink in memory: backups are lists of names of objects.
type archive struct {
	content map[string][]byte
	backups map[string][]string
	order   []string // in which objects were put
	fail    error    // of OpenObject's readers, in the middle
}

func newArchive() *archive {
	return &archive{content: map[string][]byte{}, backups: map[string][]string{}}
}

// add makes objects of n bytes, named NAME, and a backup of them.
func (a *archive) add(backup string, objects map[string]int) {
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if _, ok := a.content[name]; !ok {
			data := make([]byte, objects[name])
			sum := sha256.Sum256([]byte(name))
			random := rand.NewChaCha8(sum)
			_, _ = random.Read(data)
			a.content[name] = data
		}
		a.backups[backup] = append(a.backups[backup], name)
	}
	record := "records/" + backup
	a.content[record] = []byte(`{"backup":"` + backup + `"}`)
	a.backups[backup] = append(a.backups[backup], record)
}

func (a *archive) object(name string) Object {
	sum := sha256.Sum256(a.content[name])
	return Object{Name: name, Size: int64(len(a.content[name])), SHA256: hex.EncodeToString(sum[:])}
}

func (a *archive) Objects(backup string) ([]Object, error) {
	var out []Object
	for _, name := range a.backups[backup] {
		out = append(out, a.object(name))
	}
	if out == nil {
		return nil, errors.New("there is no such backup")
	}
	return out, nil
}

func (a *archive) OpenObject(name string) (io.ReadCloser, error) {
	data := a.content[name]
	if a.fail != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:len(data)/2]), failing{a.fail})), nil
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (a *archive) PutObject(_ context.Context, o Object, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("cannot store it: %w", err)
	}
	a.content[o.Name] = data
	a.order = append(a.order, o.Name)
	return nil
}

// resuming is an archive that says what it has.
type resuming struct{ *archive }

func (r resuming) HasObject(o Object) bool {
	_, ok := r.content[o.Name]
	return ok && r.object(o.Name) == o
}

// keys are an identity and its public key.
func keys(t *testing.T) (Identities, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return Identities{id}, id.Recipient().String()
}

// stickAt is a marked folder, opened.
func stickAt(t *testing.T, dir string) Place {
	t.Helper()
	ctx := context.Background()
	if err := Init(ctx, dir, noSecret); err != nil {
		t.Fatal(err)
	}
	p, err := OpenPlace(ctx, dir, noSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func noSecret(string) string { return "" }

func mustSend(t *testing.T, p Place, backup string, a *archive, to string) int64 {
	t.Helper()
	n, err := Send(context.Background(), p, site, backup, a, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mustFetch brings a backup back and compares it with where it came from.
func mustFetch(t *testing.T, p Place, backup string, a *archive, ids Identities) {
	t.Helper()
	back := newArchive()
	if err := Fetch(context.Background(), p, site, backup, ids, back, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.order, a.backups[backup]) {
		t.Errorf("objects %v, want %v", back.order, a.backups[backup])
	}
	for _, name := range a.backups[backup] {
		if !bytes.Equal(back.content[name], a.content[name]) {
			t.Errorf("object %s has another content", name)
		}
	}
}

func whole2(t *testing.T, p Place, want ...string) {
	t.Helper()
	got, err := List(context.Background(), p, site)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("whole copies: %v, %v; want %v", got, err, want)
	}
}

// tree lists the files below dir, without the mark.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != markName {
			name, _ := filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Sizes around age's chunks, the empty object included, are what cryptSize says, and come back.
func TestSendAndFetch(t *testing.T) {
	a := newArchive()
	a.add("2026-11-21T2210", map[string]int{"empty": 0, "one": 1, "less": 65535, "chunk": 65536, "more": 65537, "large": 3_000_000})
	dir := t.TempDir()
	p := stickAt(t, dir)
	ids, to := keys(t)
	var last, total int64
	sent, err := Send(context.Background(), p, site, "2026-11-21T2210", a, to, func(done, all int64) { last, total = done, all })
	if err != nil {
		t.Fatal(err)
	}
	if sent != last || sent != total || sent < 3_000_000 || sent > 3_210_000 {
		t.Errorf("sent %d, progress %d of %d", sent, last, total)
	}
	for _, name := range []string{"empty", "one", "less", "chunk", "more", "large"} {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(objectPath(site, a.object(name), to))))
		if err != nil || info.Size() != cryptSize(int64(len(a.content[name]))) {
			t.Errorf("%s: %v, %v; want %d bytes", name, info, err, cryptSize(int64(len(a.content[name]))))
		}
	}
	whole2(t, p, "2026-11-21T2210")
	mustFetch(t, p, "2026-11-21T2210", a, ids)
	if n := mustSend(t, p, "2026-11-21T2210", a, to); n != 0 {
		t.Errorf("the second time %d bytes are sent", n)
	}
}

// A second backup sends what is new only; a new key sends everything, and both keys open what is theirs.
func TestOnlyTheDifferenceIsSent(t *testing.T) {
	a := newArchive()
	a.add("b1", map[string]int{"p1": 500_000, "p2": 500_000})
	a.add("b2", map[string]int{"p2": 500_000, "p3": 20_000})
	p := stickAt(t, t.TempDir())
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	if n := mustSend(t, p, "b2", a, to); n < 20_000 || n > 23_000 {
		t.Errorf("%d bytes are sent for 20000 new ones", n)
	}
	ids2, to2 := keys(t)
	if n := mustSend(t, p, "b2", a, to2); n < 520_000 {
		t.Errorf("with a new key %d bytes are sent", n)
	}
	mustFetch(t, p, "b1", a, ids)
	mustFetch(t, p, "b2", a, ids2)
	mustFetch(t, p, "b2", a, append(ids, ids2...))
	err := Fetch(context.Background(), p, site, "b1", ids2, newArchive(), nil)
	if !errors.Is(err, ErrWrongKey) || err.Error() != "cannot bring back backup b1 of site kin-001: "+ErrWrongKey.Error()+": "+to {
		t.Errorf("error %v", err)
	}
}

func TestTwoSitesAtOnePlace(t *testing.T) {
	dir := t.TempDir()
	p := stickAt(t, dir)
	ids, to := keys(t)
	a, b := newArchive(), newArchive()
	a.add("b1", map[string]int{"p1": 1000})
	b.add("b1", map[string]int{"p1": 2000})
	ctx := context.Background()
	mustSend(t, p, "b1", a, to)
	if _, err := Send(ctx, p, "kin-002", "b1", b, to, nil); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, p, "b1", a, ids)
	if _, err := Drop(ctx, p, "kin-002", []string{"b1"}, nil); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, p, "b1", a, ids)
	// The record of one site under the name of another one.
	for _, ext := range []string{cryptExt, listExt} {
		data, err := os.ReadFile(filepath.Join(dir, site, backupsDir, "b1"+ext))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "kin-002", backupsDir, "b1"+ext), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	back := newArchive()
	if err := Fetch(ctx, p, "kin-002", "b1", ids, back, nil); !errors.Is(err, ErrOther) || len(back.order) > 0 {
		t.Errorf("error %v, objects %v", err, back.order)
	}
	if got, err := List(ctx, p, "kin-002"); err != nil || len(got) > 0 {
		t.Errorf("whole copies: %v, %v", got, err)
	}
}

func TestFetchGoesOn(t *testing.T) {
	a := newArchive()
	a.add("b1", map[string]int{"p1": 100_000, "p2": 100_000})
	p := stickAt(t, t.TempDir())
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	back := newArchive()
	back.content["p1"] = a.content["p1"]
	back.content["p2"] = a.content["p2"][:5000] // half of it is nothing
	if err := Fetch(context.Background(), p, site, "b1", ids, resuming{back}, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.order, []string{"p2", "records/b1"}) || !bytes.Equal(back.content["p2"], a.content["p2"]) {
		t.Errorf("objects %v", back.order)
	}
}

func TestSourceThatIsDamaged(t *testing.T) {
	ctx := context.Background()
	_, to := keys(t)
	for name, spoil := range map[string]func(a *archive){
		"no such backup": func(a *archive) { delete(a.backups, "b1") },
		"unreadable":     func(a *archive) { a.fail = errors.New("input/output error") },
	} {
		a := newArchive()
		a.add("b1", map[string]int{"p1": 200_000})
		spoil(a)
		dir := t.TempDir()
		p := stickAt(t, dir)
		if _, err := Send(ctx, p, site, "b1", a, to, nil); !errors.Is(err, ErrSource) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: error %v", name, err)
		}
		whole2(t, p)
	}
	a := newArchive()
	a.add("b1", map[string]int{"p1": 200_000})
	p := stickAt(t, t.TempDir())
	if _, err := Send(ctx, p, site, "b1", lying{a}, to, nil); !errors.Is(err, ErrSource) {
		t.Errorf("error %v", err)
	}
	whole2(t, p)
	for _, bad := range []string{"../x", "a/b", "", "a:b", strings.Repeat("x", 200), ".hidden", "dot."} {
		if _, err := Send(ctx, p, bad, "b1", a, to, nil); err == nil {
			t.Errorf("site %q is taken", bad)
		}
		if _, err := Send(ctx, p, site, bad, a, to, nil); err == nil {
			t.Errorf("backup %q is taken", bad)
		}
	}
	if _, err := Send(ctx, p, site, "b1", a, "age1nonsense", nil); !errors.Is(err, ErrKey) {
		t.Errorf("error %v", err)
	}
}

// lying gives other bytes than it promises.
type lying struct{ *archive }

func (l lying) OpenObject(name string) (io.ReadCloser, error) {
	data := bytes.Clone(l.content[name])
	data[len(data)-1] ^= 1
	return io.NopCloser(bytes.NewReader(data)), nil
}
