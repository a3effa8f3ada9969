package sign_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// newKey makes a key and puts its file into the fleet's folder of keys.
func newKey(t *testing.T, f *manifesttest.Fleet, name, role string) sign.Key {
	t.Helper()
	k, err := sign.MakeKey(name, role)
	must(t, err)
	must(t, k.Save(keyFile(f, name), pass, sign.WithWork(2)))
	return k.Key
}

func keyFile(f *manifesttest.Fleet, name string) string {
	return filepath.Join(f.Dir(), "keys", name+".json")
}

// away moves key files out of the fleet's folder, as onto a stick, and returns where they are.
func away(t *testing.T, f *manifesttest.Fleet, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		must(t, os.Rename(keyFile(f, name), filepath.Join(dir, name+".json")))
	}
	return dir
}

func describe(n *sign.NextRoot) string {
	return fmt.Sprintf("root %d %s; signed by %s; missing %s", n.Version, strings.Join(n.Effect[:len(n.Effect)-1], ", "),
		strings.Join(n.Signed, ", "), strings.Join(n.Missing, " and "))
}

func TestRootChanges(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	accept(t, c, f.Publish())
	number := int64(1)
	for _, step := range []struct {
		what     string
		change   func() sign.RootChange
		want     string
		manifest int64 // whether the list of targets is signed anew
	}{
		{
			"renew", func() sign.RootChange { return sign.RootChange{} },
			"root 2 keeps all keys; signed by root-1, root-2, root-3; missing ", 0,
		},
		{"rotate the release key", func() sign.RootChange {
			return sign.RootChange{Add: []sign.Key{newKey(t, f, "release-2", sign.RoleRelease)}, Remove: []string{"release"}}
		}, "root 3 adds release-2, removes release; signed by root-1, root-2, root-3; missing ", 1},
		{"rotate the freshness key", func() sign.RootChange {
			return sign.RootChange{Add: []sign.Key{newKey(t, f, "freshness-2", sign.RoleFreshness)}, Remove: []string{"freshness"}}
		}, "root 4 adds freshness-2, removes freshness; signed by root-1, root-2, root-3; missing ", 0},
		{"rotate a root key", func() sign.RootChange {
			return sign.RootChange{Add: []sign.Key{newKey(t, f, "root-4", sign.RoleRoot)}, Remove: []string{"root-1"}}
		}, "root 5 adds root-4, removes root-1; signed by root-1, root-2, root-3, root-4; missing ", 0},
		{"two release keys that both sign", func() sign.RootChange {
			return sign.RootChange{Add: []sign.Key{newKey(t, f, "anna", sign.RoleRelease)}, Threshold: map[string]int{sign.RoleRelease: 2}}
		}, "root 6 adds anna, asks for 2 of 2 release keys; signed by root-2, root-3, root-4; missing ", 1},
		{"one of them again", func() sign.RootChange {
			return sign.RootChange{Remove: []string{"anna"}, Threshold: map[string]int{sign.RoleRelease: 1}}
		}, "root 7 removes anna, asks for 1 of 1 release keys; signed by root-2, root-3, root-4; missing ", 0},
	} {
		change := step.change()
		plan, err := f.PlanRoot(change, f.Now)
		must(t, err)
		if plan.Signed = nil; plan.Missing == nil {
			t.Errorf("%s: nobody has to sign", step.what)
		}
		n, err := f.PrepareRoot(change, pass, f.Now)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := describe(n); got != step.want {
			t.Errorf("%s:\n got %s\nwant %s", step.what, got, step.want)
		}
		if d, err := f.Documents(); err != nil || d.NewRoot != n.Version {
			t.Errorf("%s: the documents do not say that there is a new root: %v", step.what, err)
		}
		number += step.manifest
		d, err := f.Sign(pass, f.Now)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if d.Number != number || d.NewRoot != 0 || !d.New {
			t.Errorf("%s: manifest %d (new %v), new root %d, want manifest %d", step.what, d.Number, d.New, d.NewRoot, number)
		}
		// A site that follows every root, and one that was off all the time.
		if m := accept(t, c, d.Files); m.Number != number {
			t.Errorf("%s: the site has %d", step.what, m.Number)
		}
		accept(t, site(t, f), d.Files)
	}
}

// The root keys are on two computers: the new root is staged at one, signed at both, and only then counts.
func TestRootOverSeveralComputers(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stick := away(t, f, "root-2", "root-3")
	change := sign.RootChange{Add: []sign.Key{newKey(t, f, "root-4", sign.RoleRoot)}, Remove: []string{"root-1"}}
	n, err := f.PrepareRoot(change, pass, f.Now)
	must(t, err)
	if got, want := describe(n), "root 2 adds root-4, removes root-1; signed by root-1, root-4; missing 1 of root-2, root-3"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if d, err := f.Documents(); err != nil || d.NewRoot != 0 || d.Files["metadata/2.root.json"] != nil {
		t.Errorf("a root that lacks signatures counts: %v", err)
	}
	// A second change goes into the same root.
	n, err = f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "anna", sign.RoleRelease)}}, pass, f.Now)
	must(t, err)
	if got, want := describe(n), "root 2 adds root-4, anna, removes root-1; signed by root-1, root-4; missing 1 of root-2, root-3"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	staged := filepath.Join(f.Dir(), "metadata", "staged.root.json")
	envelope, err := os.ReadFile(staged)
	must(t, err)
	if again, err := f.StagedRoot(); err != nil || describe(again) != describe(n) {
		t.Errorf("staged: %+v, %v", again, err)
	}
	// Wrong passphrase: as it was.
	f.UseKeys(nil, stick)
	if _, err := f.SignRoot([]byte("sesame")); !errors.Is(err, sign.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	n, err = f.SignRoot(pass)
	must(t, err)
	if got, want := describe(n), "root 2 adds root-4, anna, removes root-1; signed by root-1, root-2, root-3, root-4; missing "; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	// What a power cut leaves behind does no harm.
	must(t, os.WriteFile(staged, envelope, 0o644))
	if again, err := f.StagedRoot(); err != nil || again != nil {
		t.Errorf("a root that counts is still staged: %+v, %v", again, err)
	}
	accept(t, site(t, f), f.Publish())
	must(t, os.WriteFile(staged, envelope, 0o644))
	if v, left, err := f.AbandonRoot(); err != nil || v != 2 || !left {
		t.Errorf("abandon: %d (left over %v), %v", v, left, err)
	}
	if _, _, err := f.AbandonRoot(); !errors.Is(err, sign.ErrNoRoot) {
		t.Errorf("abandon twice: %v", err)
	}
	if _, err := f.SignRoot(pass); !errors.Is(err, sign.ErrNoRoot) {
		t.Errorf("nothing staged: %v", err)
	}
}

// A change on top of a root that waits takes its place when it is whole, and nothing stays behind that blocks the next one.
func TestWholeRootOverAStagedOne(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stick := away(t, f, "root-2", "root-3")
	_, err := f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "anna", sign.RoleRelease)}}, pass, f.Now)
	must(t, err)
	staged := filepath.Join(f.Dir(), "metadata", "staged.root.json")
	envelope, err := os.ReadFile(staged)
	must(t, err)
	f.UseKeys(nil, stick)
	f.By = "Marie"
	n, err := f.PrepareRoot(sign.RootChange{}, pass, f.Now.Add(time.Hour))
	must(t, err)
	if got, want := describe(n), "root 2 adds anna; signed by root-1, root-2, root-3; missing "; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if _, err := os.Stat(staged); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the staged root is still there: %v", err)
	}
	root, err := metadata.Root().FromFile(filepath.Join(f.Dir(), "metadata", "2.root.json"))
	must(t, err)
	if made, by := trust.MadeBy(root.Signed.UnrecognizedFields); by != "Marie" || !made.Equal(f.Now.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("made %v by %q", made, by)
	}
	// Power was lost between the two: the next commands go on, and the next whole root clears it away.
	must(t, os.WriteFile(staged, envelope, 0o644))
	if again, err := f.StagedRoot(); err != nil || again != nil {
		t.Errorf("staged: %+v, %v", again, err)
	}
	if _, err := f.Keys(); err != nil {
		t.Error(err)
	}
	if _, err := f.SignRoot(pass); !errors.Is(err, sign.ErrNoRoot) {
		t.Errorf("nothing staged: %v", err)
	}
	accept(t, site(t, f), f.Publish())
	n, err = f.PrepareRoot(sign.RootChange{Remove: []string{"anna"}}, pass, f.Now)
	must(t, err)
	if got, want := describe(n), "root 3 removes anna; signed by root-1, root-2, root-3; missing "; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if _, err := os.Stat(staged); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the staged root is still there: %v", err)
	}
	accept(t, site(t, f), f.Publish())
}

// What was changed in the root that waits after a ceremony was prepared is not dropped unseen.
func TestFinishOverAnotherStagedRoot(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stick := away(t, f, "root-2", "root-3")
	_, err := f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "anna", sign.RoleRelease)}}, pass, f.Now)
	must(t, err)
	c, err := f.Prepare(f.Now)
	must(t, err)
	_, err = f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "ben", sign.RoleRelease)}}, pass, f.Now)
	must(t, err)
	c = signWith(t, c, f, sign.Keyring{Places: []string{stick}, Pass: pass}, "root-2", "root-3")
	_, err = f.Finish([]*sign.Ceremony{c}, pass, f.Now)
	want := "another than the one in it (adds anna, expires "
	if !errors.Is(err, sign.ErrOutdated) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "(adds anna, ben, expires ") {
		t.Fatalf("\n got %v\nwant … %s", err, want)
	}
	if _, left, err := f.AbandonRoot(); err != nil || left {
		t.Errorf("abandon: left over %v, %v", left, err)
	}
	_, err = f.Finish([]*sign.Ceremony{c}, pass, f.Now)
	must(t, err)
	accept(t, site(t, f), f.Publish())
}

func TestRootsThatAreRefused(t *testing.T) {
	f := fleet(t)
	f.Publish()
	known, err := sign.ReadKey(keyFile(f, "root-2"))
	must(t, err)
	same, err := sign.MakeKey("release", sign.RoleRelease)
	must(t, err)
	before := tree(t, f.Dir())
	for want, change := range map[string]sign.RootChange{
		"it would lock the fleet out: no release key would be left":                          {Remove: []string{"release"}},
		"it would lock the fleet out: 2 of the root keys must sign, and 1 would be left":     {Remove: []string{"root-1", "root-2"}},
		"it would lock the fleet out: 4 of the root keys must sign, and 3 would be left":     {Threshold: map[string]int{"root": 4}},
		"it would lock the fleet out: 0 root keys can't sign":                                {Threshold: map[string]int{"root": 0}},
		`role "king": it is root, release or freshness`:                                      {Threshold: map[string]int{"king": 1}},
		"cannot add key root-2: the root has it already, as root-2 for the role root":        {Add: []sign.Key{known}},
		"cannot add key release: the root has another key of that name":                      {Add: []sign.Key{same.Key}},
		`cannot remove key rot-1: the root names none of that name (did you mean "root-1"?)`: {Remove: []string{"rot-1"}},
	} {
		for _, prepare := range []func() error{
			func() error { _, err := f.PlanRoot(change, f.Now); return err },
			func() error { _, err := f.PrepareRoot(change, pass, f.Now); return err },
		} {
			if err := prepare(); err == nil || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		}
	}
	if _, err := f.PrepareRoot(sign.RootChange{}, []byte("sesame"), f.Now); err == nil || !errors.Is(err, sign.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := f.PrepareRoot(sign.RootChange{}, pass, f.Now.AddDate(-1, 0, 0)); err == nil || !strings.Contains(err.Error(), "this computer's clock says") {
		t.Errorf("clock behind: %v", err)
	}
	if !mapsEqual(before, tree(t, f.Dir())) {
		t.Error("what was refused has left something behind")
	}
}

func mapsEqual(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// A thief of the keys that are at hand counts ahead of us; sites come back when the keys are replaced.
func TestFastForwardRecovery(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	accept(t, c, f.Publish())
	stolen := t.TempDir()
	must(t, os.CopyFS(stolen, os.DirFS(f.Dir())))
	thief, err := sign.Open(stolen)
	must(t, err)
	for n := range 5 {
		must(t, thief.Fleet().SetRing(fmt.Sprintf("r-%d", n), ""))
		must(t, thief.SaveFleet())
		d, err := thief.Sign(pass, f.Now.Add(time.Duration(n)*time.Minute))
		must(t, err)
		accept(t, c, d.Files)
	}
	if _, err := c.Refresh(context.Background(), manifesttest.NewSource(f.Publish()), false); !errors.Is(err, trust.ErrStale) {
		t.Fatalf("the site has not gone ahead: %v", err)
	}
	change := sign.RootChange{
		Add:    []sign.Key{newKey(t, f, "release-2", sign.RoleRelease), newKey(t, f, "freshness-2", sign.RoleFreshness)},
		Remove: []string{"release", "freshness"},
	}
	_, err = f.PrepareRoot(change, pass, f.Now)
	must(t, err)
	d, err := f.Sign(pass, f.Now)
	must(t, err)
	if m := accept(t, c, d.Files); m.Number != 2 {
		t.Errorf("the site has %d", m.Number)
	}
	if d, err = thief.Sign(pass, f.Now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(context.Background(), manifesttest.NewSource(d.Files), false); !errors.Is(err, trust.ErrForged) {
		t.Errorf("the thief's next manifest: %v", err)
	}
}

// A thief of the freshness key names a time years ahead: until the key is replaced every manifest seems expired, and then none does.
func TestRecoveryFromTimeAhead(t *testing.T) {
	for _, years := range []int{4, 8} { // within the life of the root, and beyond it
		t.Run(fmt.Sprint(years), func(t *testing.T) { recoverFromTimeAhead(t, years) })
	}
}

func recoverFromTimeAhead(t *testing.T, years int) {
	f := fleet(t)
	c := site(t, f)
	files := f.Publish()
	accept(t, c, files)
	root, err := metadata.Root().FromBytes(f.Root)
	must(t, err)
	keys, err := f.Keyring(pass).Open(root, sign.RoleFreshness, 1)
	must(t, err)
	m, err := metadata.Timestamp().FromBytes(files["metadata/timestamp.json"])
	must(t, err)
	m.ClearSignatures()
	m.Signed.Version += 5
	m.Signed.Expires = f.Now.AddDate(years, 0, 0)
	m.Signed.UnrecognizedFields["made"] = f.Now.AddDate(years, -1, 0).Format(time.RFC3339)
	_, err = m.Sign(keys[0].Signer)
	must(t, err)
	files["metadata/timestamp.json"], err = m.ToBytes(false)
	must(t, err)
	accept(t, c, files)
	if at := c.Time(); at.Before(f.Now.AddDate(years-1, 0, 0)) {
		t.Fatalf("the site was not misled: %v", at)
	}
	_, err = f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "freshness-2", sign.RoleFreshness)}, Remove: []string{"freshness"}}, pass, f.Now)
	must(t, err)
	accept(t, c, f.Publish())
	if at := c.Time(); !at.Equal(f.Now) {
		t.Errorf("the site has the time %v, want %v", at, f.Now)
	}
}
