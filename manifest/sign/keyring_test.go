package sign_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/manifest/sign"
)

// Keys may have passphrases of their own: they are asked for, one by one, and only as many as are needed.
func TestPassphraseOfEachKey(t *testing.T) {
	f := fleet(t)
	secrets := map[string]string{}
	var change sign.RootChange
	for name, old := range map[string]string{"anna": "root-1", "bea": "root-2", "carl": "root-3"} {
		k, err := sign.MakeKey(name, sign.RoleRoot)
		must(t, err)
		secrets[name] = "the words of " + name
		must(t, k.Save(keyFile(f, name), []byte(secrets[name]), sign.WithWork(2)))
		change.Add, change.Remove = append(change.Add, k.Key), append(change.Remove, old)
	}
	var asked []string
	f.UseKeys(func(k sign.Key, pin bool) ([]byte, error) {
		asked = append(asked, k.Name)
		return []byte(secrets[k.Name]), nil
	})
	n, err := f.PrepareRoot(change, pass, f.Now)
	must(t, err)
	if n.Missing != nil || len(asked) != 0 && len(n.Signed) < 4 {
		t.Errorf("%s, asked for %v", describe(n), asked)
	}
	if n, err = f.PrepareRoot(sign.RootChange{}, pass, f.Now); err != nil || n.Missing != nil {
		t.Fatalf("%+v, %v", n, err)
	}
	if want := []string{"anna", "bea"}; !slices.Equal(asked[max(0, len(asked)-2):], want) {
		t.Errorf("asked for %v, want %v at the end", asked, want)
	}
	secrets["bea"], secrets["carl"] = "forgotten", "forgotten"
	_, err = f.PrepareRoot(sign.RootChange{}, pass, f.Now)
	if want := "cannot open key bea, carl: wrong passphrase"; !errors.Is(err, sign.ErrPassphrase) || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	for _, secret := range secrets {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Error("a passphrase stands in the error")
		}
	}
}

// Two people change the keys at once: both changes are in the end in a root, or one of them was told to wait.
func TestChangesAtOnce(t *testing.T) {
	f := fleet(t)
	away(t, f, "root-1", "root-2", "root-3")
	var group sync.WaitGroup
	errs := make([]error, 4)
	names := []string{"a", "b", "c", "d"}
	keys := make([]sign.Key, len(names))
	for i, name := range names {
		keys[i] = newKey(t, f, name, sign.RoleRelease)
	}
	for i := range names {
		group.Add(1)
		go func() {
			defer group.Done()
			r, err := sign.Open(f.Dir())
			if err == nil {
				_, err = r.PrepareRoot(sign.RootChange{Add: []sign.Key{keys[i]}}, pass, f.Now)
			}
			errs[i] = err
		}()
	}
	group.Wait()
	n, err := f.StagedRoot()
	must(t, err)
	for i, name := range names {
		switch {
		case errs[i] == nil && !strings.Contains(strings.Join(n.Effect, " "), name):
			t.Errorf("the change of %s is lost: %v", name, n.Effect)
		case errs[i] != nil && !errors.Is(errs[i], sign.ErrBusy):
			t.Errorf("%s: %v", name, errs[i])
		}
	}
}

func TestExpiries(t *testing.T) {
	f := fleet(t)
	f.Publish()
	begin, day := f.Now, 24*time.Hour
	for _, test := range []struct {
		after time.Duration
		want  []string
	}{
		{0, nil},
		{59 * day, nil},
		{61 * day, []string{"the manifest's date of signing expires soon"}},
		{84 * day, []string{"the manifest's date of signing expires very soon"}},
		{280 * day, []string{"the signed list of releases expires on", "the snapshot of the signed list expires on", "the manifest's date of signing expired on"}},
		{1736 * day, []string{"the fleet's root expires on", "expired", "expired", "expired"}},
		{1800 * day, []string{"the fleet's root expires soon", "expired", "expired", "expired"}},
		{1820 * day, []string{"the fleet's root expires very soon", "expired", "expired", "expired"}},
		{1830 * day, []string{"the fleet's root expired on", "expired", "expired", "expired"}},
	} {
		list, err := f.Expiries(begin.Add(test.after))
		must(t, err)
		ok := len(list) == len(test.want)
		for i := range min(len(list), len(test.want)) {
			ok = ok && strings.Contains(list[i].Text, test.want[i])
		}
		if !ok {
			t.Errorf("after %d days: %v, want %v", test.after/day, list, test.want)
		}
	}
	// An expired root is renewed with the keys that are there, and then everything can be signed again.
	f.Now = begin.Add(1830 * day)
	if _, err := f.Sign(pass, f.Now); !errors.Is(err, sign.ErrRootExpired) {
		t.Errorf("signing under an expired root: %v", err)
	}
	if _, err := f.PrepareRoot(sign.RootChange{}, pass, f.Now); err != nil {
		t.Fatal(err)
	}
	accept(t, site(t, f), f.Publish())
	if list, err := f.Expiries(f.Now); err != nil || list != nil {
		t.Errorf("after the renewal: %v, %v", list, err)
	}
}

// An export that was interrupted is repeated; a copy that is not the same is never taken for one.
func TestExportKey(t *testing.T) {
	f := fleet(t)
	data, err := os.ReadFile(keyFile(f, "root-2"))
	must(t, err)
	dir := t.TempDir()
	to := filepath.Join(dir, "root-2.json")
	must(t, os.WriteFile(to, data[:100], 0o600))
	if _, err := f.ExportKey("root-2", dir, false); !errors.Is(err, sign.ErrExists) {
		t.Errorf("onto half a copy: %v", err)
	}
	must(t, os.WriteFile(to, data, 0o600))
	if got, err := f.ExportKey("root-2", dir, false); err != nil || got != to {
		t.Errorf("again: %s, %v", got, err)
	}
	if _, err := os.Stat(keyFile(f, "root-2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still here: %v", err)
	}
	if k, err := sign.ReadKey(to); err != nil || k.Name != "root-2" {
		t.Errorf("the copy: %+v, %v", k, err)
	}
}

func FuzzKeyLine(f *testing.F) {
	k, err := sign.MakeKey("anna", sign.RoleRelease)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Line())
	f.Add("a:root:ecdsa:3059301306072a8648ce3d020106082a8648ce3d030107034200")
	f.Add("a:b:c:d")
	f.Fuzz(func(t *testing.T, line string) {
		k, err := sign.ParseKeyLine(line)
		if err != nil {
			return
		}
		if again, err := sign.ParseKeyLine(k.Line()); err != nil || again.ID != k.ID {
			t.Errorf("%q: %v", k.Line(), err)
		}
	})
}
