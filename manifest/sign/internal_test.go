package sign

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
)

func TestTwoSigningsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	if _, err := Init(dir, "drc", []byte("x"), WithWork(2)); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sign([]byte("x"), time.Now()); !errors.Is(err, ErrBusy) {
		t.Errorf("the second signing: %v", err)
	}
	unlock()
	if _, err := r.Sign([]byte("x"), time.Now()); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func key(t testing.TB) (dir string, file keyFile) {
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := MakeKey("release", RoleRelease)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Save(keyPath(dir, "release"), []byte("sesame"), WithWork(2)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(keyPath(dir, "release"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// openKey opens the key in dir as a Keyring does, and returns its public half.
func openKey(dir string) (string, error) {
	f, err := readKeyFile(keyPath(dir, "release"))
	if err != nil {
		return "", err
	}
	_, err = Keyring{Pass: []byte("sesame")}.signer(f, false)
	return f.key.Public, err
}

func TestKeys(t *testing.T) {
	dir, file := key(t)
	if key, err := openKey(dir); err != nil || key != file.Public {
		t.Fatalf("good passphrase: %v", err)
	}
	_, other := key(t)
	for name, test := range map[string]struct {
		change func(*keyFile)
		want   string
	}{
		"passphrase":    {func(f *keyFile) { f.Salt[0] ^= 1 }, "cannot open key release: wrong passphrase"},
		"secret":        {func(f *keyFile) { f.Secret[0] ^= 1 }, "cannot open key release: wrong passphrase"},
		"public":        {func(f *keyFile) { f.Public = other.Public }, "its public and private halves do not belong together"},
		"no public":     {func(f *keyFile) { f.Public = "" }, "its public key is damaged"},
		"short":         {func(f *keyFile) { f.Secret = f.Secret[1:] }, "it is cut short or damaged"},
		"nonce":         {func(f *keyFile) { f.Nonce = nil }, "it is cut short or damaged"},
		"memory eater":  {func(f *keyFile) { f.Work = 40 }, "its scrypt parameters are out of bounds"},
		"memory eater2": {func(f *keyFile) { f.R = 1 << 20 }, "its scrypt parameters are out of bounds"},
		"newer":         {func(f *keyFile) { f.Format = 2 }, "format 2 was made by a newer dhowctl"},
		"other":         {func(f *keyFile) { f.KDF = "none" }, "it is not a key file"},
		"token":         {func(f *keyFile) { f.KDF = "pkcs11" }, "it does not say where in which token the key is"},
		"role":          {func(f *keyFile) { f.Role = "king" }, `role "king": it is root, release or freshness`},
	} {
		_, f := key(t)
		f = clones(file)
		test.change(&f)
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keyPath(dir, "release"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openKey(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
	}
}

func clones(f keyFile) keyFile {
	f.Salt, f.Nonce, f.Secret = append([]byte{}, f.Salt...), append([]byte{}, f.Nonce...), append([]byte{}, f.Secret...)
	return f
}

func FuzzKeyFile(f *testing.F) {
	_, file := key(f)
	data, err := json.Marshal(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"kdf":"scrypt","cipher":"secretbox","work":1,"r":1,"p":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKey(data)
		if err != nil || k.Work > 4 || k.R > 8 {
			return
		}
		if private, err := k.open([]byte("sesame")); err == nil && private == nil {
			t.Error("opened to nothing")
		}
	})
}

const commented = `# our fleet
format: 1
name: drc # the name

rings:
  # the brave ones
  pilot:
    pin: 1.10 # unquoted on purpose
  all: {}

sites:
  kin-001: # Kinshasa, general hospital
    ring: pilot
  kin-002:
    ring: all
    pin: "1.0.0" # slow disk
    hold: {reason: "audit", since: 2026-11-01}
`

func TestFleetFile(t *testing.T) {
	f, err := parseFleetFile("fleet.yaml", []byte(commented))
	if err != nil {
		t.Fatal(err)
	}
	fleet := f.Fleet()
	if got := fleet.Rings["pilot"].Pin; got != "1.10.0" {
		t.Errorf("pin %s, want 1.10.0", got)
	}
	hold := fleet.Sites["kin-002"].Hold
	if hold == nil || hold.Reason != "audit" || !hold.Since.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("hold %+v", hold)
	}
}

func TestFleetFileMistakes(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"unknown key":      {"name: drc", "name: drc\nsitse: {}", `fleet.yaml:4:1: the file: unknown key "sitse" (did you mean "sites"?)`},
		"unknown site key": {"    ring: all", "    rings: all", `fleet.yaml:15:5: site kin-002: unknown key "rings" (did you mean "ring"?)`},
		"strange key":      {"    ring: all", "    ring: all\n    electricity: 1", `fleet.yaml:16:5: site kin-002: unknown key "electricity"`},
		"unknown ring":     {"ring: pilot", "ring: pilto", `fleet.yaml:13:11: site kin-001: there is no ring "pilto" (did you mean "pilot"?)`},
		"no ring":          {"    ring: pilot", "    pin: 1.0.0", `fleet.yaml:12:3: site kin-001: it needs a ring`},
		"bad pin":          {"1.10 #", "newest #", `fleet.yaml:8:10: "newest" is not a version such as 1.2.0, nor a line such as 1.2.x, nor "previous"`},
		"site twice":       {"  kin-002:", "  kin-001:", `fleet.yaml:14:3: sites: "kin-001" stands here twice`},
		"bad name":         {"kin-002:", "kin/002:", `fleet.yaml:14:3: "kin/002" is not a good name: letters, digits, dots and dashes, at most 63`},
		"list":             {"  all: {}", "  all: [a]", `fleet.yaml:9:8: ring all must be a list of "name: …" lines`},
		"mapping as pin":   {"1.10 #", "{} #", `fleet.yaml:8:10: a single value is expected here`},
		"format":           {"format: 1", "format: 2", `fleet.yaml:2:1: format 2 was made for a newer dhowctl`},
		"no format":        {"format: 1\n", "", `fleet.yaml:2:1: format and name are needed`},
		"keep":             {"rings:", "policy: {keep: 1}\nrings:", `fleet.yaml:5:16: keep: at least 2 snapshots must be kept`},
		"window":           {"rings:", "policy: {window: evening}\nrings:", `fleet.yaml:5:18: window: "evening" is not like 21:00-05:00`},
		"fetch":            {"rings:", "policy: {fetch: often}\nrings:", `fleet.yaml:5:17: fetch: "often" is not a schedule such as "*/30 * * * *"`},
		"quiet":            {"rings:", "policy: {quiet: by day}\nrings:", `fleet.yaml:5:17: quiet: quiet hours "by day" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`},
		"budget":           {"rings:", "policy: {budget: {day: 5}}\nrings:", `fleet.yaml:5:24: day: "5" is no amount of space: write it like "20 GB"`},
		"budget's key":     {"rings:", "policy: {budget: {week: 5 GB}}\nrings:", `fleet.yaml:5:19: budget: unknown key "week"`},
		"time zone":        {"rings:", "policy: {timeZone: Kinshasa/Africa}\nrings:", `fleet.yaml:5:20: timeZone: "Kinshasa/Africa" is not known`},
		"since":            {"2026-11-01", "yesterday", `fleet.yaml:17:36: since: a date such as 2026-11-21 is expected`},
		"alias":            {"  all: {}", "  all: &a {}\n  more: *a", `fleet.yaml:10:9: rings: anchors and aliases are not supported here`},
		"no yaml":          {"  all: {}", "\tall: {}", `fleet.yaml:9: found character that cannot start any token`},
	} {
		text := strings.Replace(commented, test.old, test.new, 1)
		_, err := parseFleetFile("fleet.yaml", []byte(text))
		if want := "mistake in fleet.yaml: " + test.want; !errors.Is(err, ErrFleetFile) || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		}
	}
	if _, err := parseFleetFile("fleet.yaml", nil); err == nil || err.Error() != "mistake in fleet.yaml: fleet.yaml: it is empty" {
		t.Errorf("empty: %v", err)
	}
}

func TestEditsKeepComments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, []byte(commented), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := openFleetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, err := range []error{
		f.Pin("pilot", "1.11"),
		f.Pin("kin-001", "1.10.0"),
		f.PinSite("kin-002", ""),
		f.SetRing("late", ""),
		f.SetRing("all", "1.0.0"),
		f.SetSite("kin-003", manifest.Site{Ring: "late", Hold: &manifest.Hold{Reason: "flood: closed", Since: since}}),
		f.SetSite("kin-002", manifest.Site{Ring: "all"}),
		f.save(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `# our fleet
format: 1
name: drc # the name

rings:
  # the brave ones
  pilot:
    pin: 1.11.0 # unquoted on purpose
  all:
    pin: 1.0.0
  late: {}

sites:
  kin-001: # Kinshasa, general hospital
    ring: pilot
    pin: 1.10.0
  kin-002:
    ring: all
  kin-003:
    ring: late
    hold:
      reason: 'flood: closed'
      since: "2026-11-21T12:00:00Z"
`
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
	if err := f.RemoveSite("kin-001"); err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveRing("pilot"); err != nil {
		t.Fatal(err)
	}
	if err := f.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openFleetFile(path)
	if err != nil || len(again.fleet.Sites) != 2 || len(again.fleet.Rings) != 2 {
		t.Errorf("after removing: %+v, %v", again, err)
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	f, err := parseFleetFile("fleet.yaml", []byte(strings.Replace(commented, "  all: {}", "  all: {}\n  kin-001: {}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		`cannot pin: there is no ring or site "pilto" (did you mean "pilot"?)`:                             f.Pin("pilto", "1.0.0"),
		`cannot pin: kin-001 is a ring and a site; say which`:                                              f.Pin("kin-001", "1.0.0"),
		`cannot pin: there is no ring "kin-002" (did you mean "kin-001"?)`:                                 f.PinRing("kin-002", "1.0.0"),
		`cannot pin: there is no site "kin-01" (did you mean "kin-001"?)`:                                  f.PinSite("kin-01", "1.0.0"),
		`cannot remove: there is no site "x"`:                                                              f.RemoveSite("x"),
		`cannot remove: there is no ring "north"`:                                                          f.RemoveRing("north"),
		`cannot pin: pin "x": not valid: write a version such as 1.2.0, a line such as 1.2.x, or previous`: f.SetRing("pilot", "x"),
		`mistake in fleet.yaml: fleet.yaml:14:11: site kin-001: there is no ring "pilot"`:                  f.RemoveRing("pilot"),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
	}
	if err := f.SetSite("kin-009", manifest.Site{Ring: "nowhere"}); !errors.Is(err, ErrFleetFile) {
		t.Errorf("site in no ring: %v", err)
	}
	if err := f.SetRing("a/b", ""); !errors.Is(err, ErrFleetFile) {
		t.Errorf("bad name: %v", err)
	}
	if _, ok := f.fleet.Sites["kin-009"]; ok || f.edited {
		t.Error("a refused edit left something behind")
	}
}

func TestSaveSeesOtherPeople(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, []byte(commented), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := openFleetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetRing("late", ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(commented+"# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.save(); err == nil || !strings.Contains(err.Error(), "was changed by somebody else") {
		t.Errorf("save: %v", err)
	}
}

func FuzzFleetFile(f *testing.F) {
	f.Add([]byte(commented))
	f.Add(newFleetFile("drc"))
	f.Add([]byte("format: 1\nname: x\nrings: &a\n  b: *a\n"))
	f.Add([]byte(loose))
	f.Add([]byte("format: 1\nname: x\npolicy: {rate: 64 kB/s, quiet: 08:00-17:00, budget: {day: 5 MB}, backup: {at: never, keep: 3}, languages: [fr]}\nrings:\n  a: {pin: 1.x, settings: {A: |\n    b\n}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseFleetFile("fleet.yaml", data)
		if err != nil {
			if !errors.Is(err, ErrFleetFile) {
				t.Errorf("no kind: %v", err)
			}
			return
		}
		if _, err := file.fleet.Encode(); err != nil {
			t.Errorf("read but not encoded: %v", err)
		}
		if err := file.SetSite("new-site", manifest.Site{Ring: "nowhere-at-all"}); err == nil {
			if _, ok := file.fleet.Rings["nowhere-at-all"]; !ok {
				t.Error("a site in no ring was accepted")
			}
		}
		if err := file.SetRing("new-ring", "1.0.0"); err != nil {
			t.Errorf("cannot add a ring: %v", err)
		}
		if _, _, err := file.text(); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
	})
}

func TestNote(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for by, want := range map[string]any{
		"":                       nil,
		"Marie K.":               "Marie K.",
		" two\n\tlines \x1b[2J":  "two lines [2J",
		strings.Repeat("é", 150): strings.Repeat("é", 100),
		"broken \xff text":       "broken text",
		"\n":                     nil,
	} {
		note := (&Repository{By: by}).note(at)
		if note["made"] != "2026-11-21T09:00:00Z" || note["by"] != want {
			t.Errorf("%q: %v", by, note)
		}
	}
}
