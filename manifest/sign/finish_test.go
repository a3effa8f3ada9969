package sign_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// carry writes a ceremony to a file and reads it back, as between two machines.
func carry(t *testing.T, c *sign.Ceremony) *sign.Ceremony {
	t.Helper()
	data, err := c.Encode()
	must(t, err)
	again, err := sign.ParseCeremony(data)
	must(t, err)
	return again
}

// elsewhere moves keys from the fleet's folder to one of their own and returns a keyring of that.
func elsewhere(t *testing.T, f *manifesttest.Fleet, names ...string) sign.Keyring {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		must(t, os.Rename(filepath.Join(f.Dir(), "keys", name+".json"), filepath.Join(dir, name+".json")))
	}
	return sign.Keyring{Places: []string{dir}, Pass: pass}
}

// stage puts a new root into the repository that has a second release key, both of which must sign.
func stage(t *testing.T, f *manifesttest.Fleet, change func(*metadata.RootType)) sign.Keyring {
	t.Helper()
	root, err := metadata.Root().FromFile(filepath.Join(f.Dir(), "metadata", "1.root.json"))
	must(t, err)
	key, err := sign.MakeKey("anna", sign.RoleRelease)
	must(t, err)
	dir := t.TempDir()
	must(t, key.Save(filepath.Join(dir, "anna.json"), pass, sign.WithWork(2)))
	must(t, root.Signed.AddKey(&metadata.Key{
		Type: metadata.KeyTypeEd25519, Scheme: metadata.KeySchemeEd25519,
		Value: metadata.KeyVal{PublicKey: strings.TrimPrefix(key.Public, "ed25519:")},
	}, metadata.TARGETS))
	root.Signed.Roles[metadata.TARGETS].Threshold = 2
	root.Signed.Version++
	root.Signed.UnrecognizedFields["names"].(map[string]any)[key.ID] = "anna"
	if change != nil {
		change(&root.Signed)
	}
	root.ClearSignatures()
	data, err := root.ToBytes(false)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(f.Dir(), "metadata", "staged.root.json"), data, 0o644))
	return sign.Keyring{Places: []string{dir}, Pass: pass}
}

func judge(t *testing.T, c *sign.Ceremony, f *manifesttest.Fleet) *sign.Proposal {
	t.Helper()
	p, err := c.Judge(f.Repository, f.Now)
	must(t, err)
	return p
}

// signWith lets a machine that has nothing but keys sign a file.
func signWith(t *testing.T, c *sign.Ceremony, f *manifesttest.Fleet, keys sign.Keyring, want ...string) *sign.Ceremony {
	t.Helper()
	p, err := carry(t, c).Judge(nil, f.Now)
	must(t, err)
	by, err := p.Sign(keys)
	if err != nil || !slices.Equal(by, want) {
		t.Fatalf("signed by %v, %v; want %v", by, err, want)
	}
	next, err := p.Ceremony()
	must(t, err)
	return carry(t, next)
}

// A release key away from the repository: the list is signed where it is.
func TestReleaseKeyElsewhere(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	keys := elsewhere(t, f, "release")
	if _, err := f.Sign(pass, f.Now); !errors.Is(err, sign.ErrMissing) {
		t.Errorf("without the key: %v", err)
	}
	for n, want := range []string{"1.0.0", "1.1.0"} {
		f.Assign("", "pilot", want)
		prepared, err := f.Prepare(f.Now)
		must(t, err)
		before := tree(t, f.Dir())
		_, err = f.Finish([]*sign.Ceremony{carry(t, prepared)}, pass, f.Now)
		number := []string{"1", "2"}[n]
		if text := "cannot finish: signatures are missing: manifest " + number + " has 0 of 1; still to sign: release"; err == nil || err.Error() != text {
			t.Errorf("unsigned:\n got %v\nwant %s", err, text)
		}
		if now := tree(t, f.Dir()); !equal(before, now) {
			t.Error("preparing or a refused finish changed the repository")
		}
		signed := signWith(t, prepared, f, keys, "release")
		signed = signWith(t, signed, f, keys)
		d, err := f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
		must(t, err)
		if m := accept(t, c, d.Files); m.Number != int64(n+1) || m.Fleet.Rings["pilot"].Pin != want {
			t.Errorf("the site has %d, %+v", m.Number, m.Fleet.Rings)
		}
		// Repeated, as after an interruption.
		again, err := f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
		if err != nil || again.New || again.Number != d.Number {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	if _, err := f.Prepare(f.Now); !errors.Is(err, sign.ErrNothingNew) {
		t.Errorf("nothing new: %v", err)
	}
}

func equal(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// Two root keys and two release keys on four machines, signed apart and in any order.
func TestSignedApart(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	accept(t, c, f.Publish())
	anna := stage(t, f, nil)
	one, two, release := elsewhere(t, f, "root-1"), elsewhere(t, f, "root-2", "root-3"), elsewhere(t, f, "release")
	f.Assign("", "pilot", "1.1.0")
	prepared, err := f.Prepare(f.Now)
	must(t, err)

	p := judge(t, prepared, f)
	added, removed, thresholds := p.Keys()
	if len(added) != 1 || added[0].Name != "anna" || len(removed) != 0 || !slices.Equal(thresholds, []string{"targets is signed by 2 keys in place of 1"}) {
		t.Errorf("keys: %+v, %+v, %v", added, removed, thresholds)
	}
	before, after := p.Fleets()
	e, err := sign.EffectOf(before, after)
	must(t, err)
	if want := []sign.Move{{From: "1.0.0", To: "1.1.0", Sites: []string{"kin-001"}}}; !reflect.DeepEqual(e.Moves, want) || len(p.Added)+len(p.Removed) != 0 {
		t.Errorf("moves %+v, added %v", e.Moves, p.Added)
	}
	if n, _ := p.Root(); n != 2 {
		t.Errorf("root %d", n)
	}

	left := signWith(t, signWith(t, prepared, f, release, "release"), f, one, "root-1")
	right := signWith(t, signWith(t, prepared, f, two, "root-2", "root-3"), f, anna, "anna")
	p = judge(t, left, f)
	var wanted []string
	for _, w := range p.Wanting() {
		wanted = append(wanted, w.Document+": "+strings.Join(w.Signed, ",")+" | "+strings.Join(w.Missing, ","))
	}
	want := []string{"root 2: root-1 | root-2,root-3", "manifest 2: release | anna"}
	if !slices.Equal(wanted, want) {
		t.Errorf("wanting %q", wanted)
	}
	for _, files := range [][]*sign.Ceremony{{left}, {right}, {left, left}} {
		if _, err := f.Finish(files, pass, f.Now); !errors.Is(err, sign.ErrMissing) {
			t.Errorf("half-signed: %v", err)
		}
	}
	d, err := f.Finish([]*sign.Ceremony{right, left, prepared}, pass, f.Now)
	must(t, err)
	if m := accept(t, c, d.Files); m.Number != 2 || m.Fleet.Rings["pilot"].Pin != "1.1.0" {
		t.Errorf("the site has %+v", m)
	}
	if _, err := os.Stat(filepath.Join(f.Dir(), "metadata", "staged.root.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the staged root is still there: %v", err)
	}
	if m := accept(t, site(t, f), d.Files); m.Number != 2 {
		t.Errorf("a new site has %+v", m)
	}
	if _, err := f.Finish([]*sign.Ceremony{right, left}, pass, f.Now); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A root alone: the list of targets stays, the timestamp names the new root.
func TestRootAlone(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stage(t, f, func(r *metadata.RootType) { r.Roles[metadata.TARGETS].Threshold = 1 })
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	if prepared.Targets != nil {
		t.Errorf("a new list: %s", prepared.Targets)
	}
	signed := signWith(t, prepared, f, f.Keyring(pass), "root-1", "root-2", "root-3")
	d, err := f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
	must(t, err)
	var stamp struct{ Signed struct{ Root, Version int } }
	must(t, json.Unmarshal(d.Files["metadata/timestamp.json"], &stamp))
	if d.Number != 1 || stamp.Signed.Root != 2 || stamp.Signed.Version != 2 {
		t.Errorf("number %d, timestamp %+v", d.Number, stamp)
	}
	accept(t, site(t, f), d.Files)
}

// A finish that was cut after any of its writes has changed nothing for sites, and is repeated.
func TestInterruptedFinish(t *testing.T) {
	f := fleet(t)
	accept(t, site(t, f), f.Publish())
	anna := stage(t, f, nil)
	f.Assign("", "pilot", "1.1.0")
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	signed := signWith(t, signWith(t, prepared, f, f.Keyring(pass), "release", "root-1", "root-2", "root-3"), f, anna, "anna")
	before := tree(t, f.Dir())
	_, err = f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
	must(t, err)
	after := tree(t, f.Dir())
	var written []string
	for path := range after {
		if after[path] != before[path] {
			written = append(written, path)
		}
	}
	slices.Sort(written) // metadata/2.…, timestamp.json, targets/…
	if len(written) != 5 {
		t.Fatalf("written: %q", written)
	}
	for cut := range 1 << len(written) { // every set of files that a cut could leave, and more
		stamp := false
		for n, path := range written {
			text, ok := before[path]
			if cut&(1<<n) != 0 {
				text, ok = after[path], true
				stamp = stamp || strings.HasSuffix(path, "timestamp.json")
			}
			if !ok {
				must(t, os.RemoveAll(path))
				continue
			}
			must(t, os.WriteFile(path, []byte(text), 0o644))
		}
		must(t, os.WriteFile(filepath.Join(f.Dir(), "metadata", "staged.root.json"), []byte(before[filepath.Join(f.Dir(), "metadata", "staged.root.json")]), 0o644))
		if stamp && cut != 1<<len(written)-1 {
			continue // it comes last
		}
		d, err := f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
		if err != nil {
			t.Fatalf("cut %b: %v", cut, err)
		}
		if m := accept(t, site(t, f), d.Files); m.Number != 2 || m.Fleet.Rings["pilot"].Pin != "1.1.0" {
			t.Errorf("cut %b: the site has %+v", cut, m)
		}
		if _, err := os.Stat(filepath.Join(f.Dir(), "metadata", "staged.root.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cut %b: the staged root is still there: %v", cut, err)
		}
	}
}

func TestOutdatedAndForeign(t *testing.T) {
	f := fleet(t)
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	signed := signWith(t, prepared, f, f.Keyring(pass), "release")
	f.Publish()
	_, err = f.Finish([]*sign.Ceremony{signed}, pass, f.Now)
	_ = err // the same list was signed: nothing is lost
	f.Assign("", "pilot", "1.1.0")
	f.Publish()
	for _, try := range []func() error{
		func() error { _, err := f.Finish([]*sign.Ceremony{signed}, pass, f.Now); return err },
		func() error { _, err := signed.Judge(f.Repository, f.Now); return err },
	} {
		if err := try(); !errors.Is(err, sign.ErrOutdated) ||
			!strings.HasSuffix(err.Error(), "it follows manifest 0, and the newest here is 2") {
			t.Errorf("outdated: %v", err)
		}
	}
	other := fleet(t)
	theirs, err := other.Prepare(other.Now)
	must(t, err)
	if _, err := theirs.Judge(f.Repository, f.Now); !errors.Is(err, trust.ErrOtherFleet) {
		t.Errorf("foreign: %v", err)
	}
	// Somebody signed something else under the same number.
	clone := filepath.Join(t.TempDir(), "clone")
	must(t, os.CopyFS(clone, os.DirFS(f.Dir())))
	f.AddRelease("1.2.0", nil)
	f.Publish()
	r, err := sign.Open(clone)
	must(t, err)
	must(t, r.Fleet().SetRing("north", ""))
	must(t, r.SaveFleet())
	_, err = r.Sign(pass, f.Now)
	must(t, err)
	must(t, r.Fleet().SetRing("south", ""))
	must(t, r.SaveFleet())
	prepared, err = r.Prepare(f.Now)
	must(t, err)
	want := "it follows another manifest 3 than the one that was signed here"
	if _, err := prepared.Judge(f.Repository, f.Now); !errors.Is(err, sign.ErrOutdated) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("other: %v", err)
	}
	// A clone that is behind may sign, but not finish.
	f.AddRelease("1.3.0", nil)
	behind := filepath.Join(t.TempDir(), "behind")
	must(t, os.CopyFS(behind, os.DirFS(f.Dir())))
	f.Publish()
	f.AddRelease("1.4.0", nil)
	prepared, err = f.Prepare(f.Now)
	must(t, err)
	old, err := sign.Open(behind)
	must(t, err)
	p, err := prepared.Judge(old, f.Now)
	if err != nil || !p.Behind || !p.Compared {
		t.Fatalf("behind: %+v, %v", p, err)
	}
	_, err = p.Sign(f.Keyring(pass))
	must(t, err)
	ready, err := p.Ceremony()
	must(t, err)
	if _, err := old.Finish([]*sign.Ceremony{ready}, pass, f.Now); err == nil || !strings.Contains(err.Error(), "newer state of the fleet") {
		t.Errorf("finish behind: %v", err)
	}
	_, err = f.Finish([]*sign.Ceremony{ready}, pass, f.Now.Add(time.Minute))
	must(t, err)
}
