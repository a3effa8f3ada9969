package site

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dhow/manifest"
)

func TestConfigIsReadBackAsItWasSaved(t *testing.T) {
	want := &Config{
		Site: "kin-001", Sources: []string{"oci://registry.example.org/emr", "/srv/releases"}, Project: "emr", Fetch: "0 20 * * *",
		Mirrors: map[string]string{"docker.io": "http://registry.local:5000", "ghcr.io": "cache.example.org/ghcr"},
		Window:  "21:00-05:00", TimeZone: "Africa/Kinshasa", Language: "fr", Contact: "+243 000: office", Engine: "unix:///run/x.sock", Serve: ":8911",
		Rate: "64 kB/s", Quiet: "08:00-12:00, 13:00-17:00", Budget: manifest.Budget{Day: "50 MB", Month: "1 GB"},
		Adopt:  &Adopt{Dir: "/opt/emr", Files: []string{"compose.yaml"}, Project: "emr"},
		Sticks: Sticks{Watch: []string{"/media"}, Folder: "/srv/updates"},
	}
	path := filepath.Join(t.TempDir(), "dhow.yaml")
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, want %+v", got, want)
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"site: kin-001\nsorces: [a]\n", `dhow.yaml:2:1: unknown key "sorces" (did you mean "sources"?)`},
		{"site: a\ntimezone: UTC\n", `dhow.yaml:2:1: unknown key "timezone" (did you mean "time_zone"?)`},
		{
			"site: a\npassword: x\n",
			`dhow.yaml:2:1: unknown key "password" (known are adopt, backup, budget, contact, engine, fetch, hook, language, metrics, mirrors, notify, page, project, quiet, rate, restore, serve, site, sources, sticks, time_zone, window)`,
		},
		{"site: a\nsite: b\n", `dhow.yaml:2:1: key "site" stands here twice`},
		{"sources: [a]\n", `dhow.yaml:1:1: "site" is missing: the name of this computer in the fleet`},
		{"", "dhow.yaml: the configuration is empty"},
		{"- a\n", `dhow.yaml:1:1: keys and values are expected here, like "site: kin-001"`},
		{"site: a\nsources: x\n", `dhow.yaml:2:10: a list is expected here, each entry on a line that begins with "- "`},
		{"site: a\nsources:\n  - b\n  - [c]\n", "dhow.yaml:4:5: a single value is expected here"},
		{"site: a\nsources:\n  - b\n  -\n", "dhow.yaml:4:4: an entry of this list is empty"},
		{"site: \"a b\"\n", `dhow.yaml:1:7: "a b" can't be the name of a site: use up to 63 letters, digits, '.', '_' and '-', a letter or digit first`},
		{"site: a\nwindow: at night\n", `dhow.yaml:2:9: window "at night" is not understood: write it like 21:00-05:00`},
		{
			"site: a\nfetch: daily\n",
			`dhow.yaml:2:8: schedule "daily" is not understood: write five fields, like "0 20 * * *" for 20:00 every day`,
		},
		{"site: a\ntime_zone: Kinshasa\n", `dhow.yaml:2:12: time zone "Kinshasa" is not known: write it like Africa/Kinshasa`},
		{"site: a\nsticks: on\n", `dhow.yaml:2:9: keys and values are expected here, like "site: kin-001"`},
		{"site: a\nsticks: {watch: [/media, usb]}\n", `dhow.yaml:2:26: "usb" is not the whole path of a folder`},
		{"site: a\nrate: slowly\n", `dhow.yaml:2:7: "slowly" is no speed: write it like "64 kB/s" or "512 kbit/s", at least 1 kB/s`},
		{"site: a\nserve: 8911\n", `dhow.yaml:2:8: serve must look like ":8911", or "192.168.1.5:8911" for one network`},
		{"site: a\nserve: \":0\"\n", `dhow.yaml:2:8: serve must look like ":8911", or "192.168.1.5:8911" for one network`},
		{"site: a\nserve: lan:8911\n", `dhow.yaml:2:8: serve: the host must be an address of this computer, or be left out`},
		{
			"site: a\nquiet: by day\n",
			`dhow.yaml:2:8: quiet hours "by day" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		},
		{"site: a\nmirrors: [docker.io]\n", `dhow.yaml:2:10: a registry and its mirror are expected here, like "docker.io: registry.local:5000"`},
		{"site: a\nmirrors:\n  docker.io: [a]\n", `dhow.yaml:3:14: a single value is expected here`},
		{"site: a\nmirrors:\n  docker.io: a:5000\n  index.docker.io: b:5000\n", `dhow.yaml:4:3: docker.io has a mirror already`},
		{
			"site: a\nmirrors: {ghcr.io: \"http://cache.example.org\"}\n",
			`dhow.yaml:2:11: plain http to cache.example.org is not allowed: http:// is for hosts of the same building (10.0.0.5, registry.local)`,
		},
		{"site: a\nbudget: {day: much}\n", `dhow.yaml:2:15: "much" is no amount of space: write it like "20 GB"`},
		{"site: a\nbudget: {days: 50 MB}\n", `dhow.yaml:2:10: unknown key "days" (did you mean "day"?)`},
		{"site: a\nadopt: {dir: /opt}\n", "dhow.yaml:2:8: adopt needs dir, files and project"},
		{"site: a\nadopt: {folder: /opt}\n", `dhow.yaml:2:9: unknown key "folder" (known are dir, files, project)`},
		{"site: a\n\tsources: b\n", "dhow.yaml:2:1: found a tab character that violates indentation"},
		{"site: &x a\nproject: *x\n", "dhow.yaml:2:10: a single value is expected here"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "dhow.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(path)
		if err == nil {
			t.Errorf("%q: no error", c.text)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), dir+string(filepath.Separator)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
		var mistake *ConfigError
		if !errors.As(err, &mistake) {
			t.Errorf("%q: %T is no *ConfigError", c.text, err)
		}
	}
}

func TestConfigBounds(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadConfig(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("site: a\n#"+strings.Repeat("x", maxFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(big); err == nil || err.Error() != "cannot read configuration: "+big+": larger than 1 MiB" {
		t.Errorf("big file: %v", err)
	}
}

func TestNullValuesAreDefaults(t *testing.T) {
	c, err := ParseConfig([]byte("site: a\nsources:\nfetch:\nwindow: \"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, &Config{Site: "a"}) {
		t.Errorf("got %+v", c)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{
		"site: kin-001\nsources: [a, b]\n", "site: a\nadopt: {dir: d, files: [x], project: p}\n", "", "- a", "site: [", "a: &a [*a]",
		"site: a\nquiet: 22:00-06:00, 12:00-13:00\nbudget: {day: 5 MB, month: 1 GB}\n", "site: a\nfetch: TZ=\n", "site: a\nwindow: 1-2\n", "? {a: b}\n: c\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		if err := CheckName(c.Site); err != nil {
			t.Errorf("accepted: %v", err)
		}
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		back, err := LoadConfig(path)
		if err != nil {
			t.Fatalf("saved, but not read back: %v", err)
		}
		if !reflect.DeepEqual(back, c) {
			t.Errorf("read back %+v, want %+v", back, c)
		}
	})
}

func TestBackupSection(t *testing.T) {
	c, err := ParseConfig([]byte(`site: kin-001
restore: {backup: 2026-11-21T020004-0042, from: /media/usb}
backup:
  at: never
  drill: "0 4 * * 0"
  keep: 7
  days: 30
  space: 1.5 GB
  folders: [/srv/scans]
  copies: [/media/backup, "s3://s3.example.org/emr"]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Backup{
		At: "never", Drill: "0 4 * * 0", Keep: 7, Days: 30, Space: "1.5 GB", Folders: []string{"/srv/scans"},
		Copies: []string{"/media/backup", "s3://s3.example.org/emr"},
	}
	if !reflect.DeepEqual(c.Backup, want) || c.Backup.Budget() != 1_500_000_000 {
		t.Fatalf("%+v, budget %d", c.Backup, c.Backup.Budget())
	}
	if c.Restore == nil || *c.Restore != (Restore{Backup: "2026-11-21T020004-0042", From: "/media/usb"}) {
		t.Fatalf("%+v", c.Restore)
	}
	path := filepath.Join(t.TempDir(), "dhow.yaml")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := LoadConfig(path)
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Fatalf("%+v %v", again, err)
	}
	for text, want := range map[string]string{
		"backup: {at: at night}":       `:2:14: schedule "at night"`,
		"backup: {keep: 0}":            `"0" is no number of backups`,
		"backup: {space: 20}":          `"20" is no amount of space`,
		"backup: {folders: [scans]}":   `folder "scans": write the whole path`,
		"backup: {folders: [/srv/..]}": `folder "/srv/.."`,
		"backup: {kepp: 3}":            `did you mean "keep"?`,
		"restore: {from: /media/usb}":  "restore needs the name of a backup",
	} {
		if _, err := ParseConfig([]byte("site: kin-001\n" + text + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSticks(t *testing.T) {
	for text, want := range map[string]Sticks{
		"":                                    {},
		"sticks:":                             {},
		"sticks: off":                         {Off: true},
		"sticks: {watch: [/data/usb]}":        {Watch: []string{"/data/usb"}},
		"sticks: {folder: /srv/updates}":      {Folder: "/srv/updates"},
		"sticks: {watch: [], folder: /a}":     {Folder: "/a"},
		"sticks: {watch: [/a, /b], folder: }": {Watch: []string{"/a", "/b"}},
	} {
		c, err := ParseConfig([]byte("site: a\n" + text + "\n"))
		if err != nil || !reflect.DeepEqual(c.Sticks, want) {
			t.Errorf("%s: got %+v, %v", text, c, err)
			continue
		}
		path := filepath.Join(t.TempDir(), "dhow.yaml")
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		if again, err := LoadConfig(path); err != nil || !reflect.DeepEqual(again.Sticks, want) {
			t.Errorf("%s: read back %+v, %v", text, again, err)
		}
	}
	for want, s := range map[string]Sticks{"/media /mnt /run/media": {Folder: "/a"}, "": {Off: true}, "/b": {Watch: []string{"/b"}}} {
		if got := strings.Join(s.Places(), " "); got != want {
			t.Errorf("%+v: got %s, want %s", s, got, want)
		}
	}
}
