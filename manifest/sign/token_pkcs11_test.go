//go:build pkcs11

package sign_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest/sign"
)

// softhsm makes a token in software and returns where its library is. Debian's softhsm2 is needed.
func softhsm(t *testing.T, label, pin string) string {
	t.Helper()
	libraries, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if more, _ := filepath.Glob("/usr/lib/softhsm/libsofthsm2.so"); err == nil {
		libraries = append(libraries, more...)
	}
	if len(libraries) == 0 {
		t.Fatal("the library of SoftHSM is missing: apt-get install softhsm2")
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "tokens"), 0o700))
	config := filepath.Join(dir, "softhsm2.conf")
	must(t, os.WriteFile(config, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nlog.level = ERROR\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", config)
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "administrator")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot make a token (is softhsm2 installed?): %v\n%s", err, out)
	}
	return libraries[0]
}

// TestToken: a fleet whose root-1 is in a token changes its keys, and sites follow.
func TestToken(t *testing.T) {
	const pin = "9753124"
	module := softhsm(t, "dhow", pin)
	f := fleet(t)
	c := site(t, f)
	accept(t, c, f.Publish())
	token := sign.Token{Module: module, Label: "dhow", Key: "root-hw"}
	key, err := sign.MakeTokenKey("root-hw", sign.RoleRoot, token, []byte(pin))
	must(t, err)
	must(t, key.Save(keyFile(f, "root-hw")))
	if again, err := sign.MakeTokenKey("root-hw", sign.RoleRoot, token, []byte(pin)); err != nil || again.ID != key.ID {
		t.Errorf("the key was made anew: %v", err)
	}
	if data, err := os.ReadFile(keyFile(f, "root-hw")); err != nil || bytes.Contains(data, []byte(pin)) || bytes.Contains(data, []byte("secret")) {
		t.Errorf("key file %s, %v", data, err)
	}
	var asked []string
	answer := []byte(pin)
	f.UseKeys(func(k sign.Key, isPIN bool) ([]byte, error) {
		if !isPIN {
			return nil, sign.ErrPassphrase
		}
		asked = append(asked, k.Name)
		return answer, nil
	})
	n, err := f.PrepareRoot(sign.RootChange{Add: []sign.Key{key.Key}, Remove: []string{"root-1"}}, pass, f.Now)
	must(t, err)
	if got, want := describe(n), "root 2 adds root-hw, removes root-1; signed by root-1, root-2, root-3; missing "; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if len(asked) != 0 {
		t.Errorf("a PIN was asked for without need: %v", asked)
	}
	accept(t, c, f.Publish())

	// One file and the token are enough, and necessary.
	stick := away(t, f, "root-3", "root-1")
	answer = []byte("0000000")
	if _, err := f.PrepareRoot(sign.RootChange{}, pass, f.Now); !errors.Is(err, sign.ErrPIN) || strings.Contains(err.Error(), "0000000") {
		t.Errorf("wrong PIN: %v", err)
	}
	answer = []byte(pin)
	n, err = f.PrepareRoot(sign.RootChange{Add: []sign.Key{newKey(t, f, "release-2", sign.RoleRelease)}, Remove: []string{"release"}}, pass, f.Now)
	must(t, err)
	if got, want := describe(n), "root 3 adds release-2, removes release; signed by root-2, root-hw; missing "; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if m := accept(t, c, f.Publish()); m.Number != 2 {
		t.Errorf("the site has manifest %d", m.Number)
	}
	accept(t, site(t, f), f.Publish())

	if _, err := f.ExportKey("root-hw", stick, false); err == nil ||
		err.Error() != "cannot export key root-hw: it is in the token dhow and never leaves it" {
		t.Errorf("export: %v", err)
	}
	for want, token := range map[string]sign.Token{
		"cannot make key x: there is no token other here":       {Module: module, Label: "other", Key: "x"},
		"cannot make key x: /bin/true is not a PKCS#11 library": {Module: "/bin/true", Label: "dhow", Key: "x"},
	} {
		if _, err := sign.MakeTokenKey("x", sign.RoleRoot, token, []byte(pin)); err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
	}
	// Another key under the same label is not the one that the root names.
	softhsm(t, "dhow", pin)
	_, err = sign.MakeTokenKey("root-hw", sign.RoleRoot, token, []byte(pin))
	must(t, err)
	if _, err := f.PrepareRoot(sign.RootChange{}, pass, f.Now); err == nil || !errors.Is(err, sign.ErrKey) ||
		!strings.Contains(err.Error(), "the token dhow holds another key under the label root-hw") {
		t.Errorf("another key: %v", err)
	}
}
