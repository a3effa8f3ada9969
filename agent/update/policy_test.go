package update

import (
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// told lets the site read what the fleet publishes now, and returns the source.
func (m *Manager) told(t *testing.T, f *manifesttest.Fleet) bundle.Source {
	t.Helper()
	if m.Trust == nil {
		var err error
		if m.Trust, err = trust.Scratch(f.Root, trust.Options{Now: func() time.Time { return f.Now }}); err != nil {
			t.Fatal(err)
		}
		m.Log = slog.New(slog.DiscardHandler)
	}
	src := manifesttest.NewSource(f.Publish())
	if _, err := m.Trust.Refresh(t.Context(), src, false); err != nil {
		t.Fatal(err)
	}
	return src
}

func TestSettingsOfTheFleet(t *testing.T) {
	m := settled(t, map[string]string{"DB_PASSWORD": "s3cret", "PORT": "8081"})
	f := manifesttest.New(t, "emr")
	f.Assign("kin-001", "pilot", "")
	for _, err := range []error{
		f.Fleet().SetRingSettings("pilot", map[string]string{"PORT": "80", "LANGUAGE": "fr", "SITE_NAME": "pilot", "OTHER": "x"}),
		f.Fleet().SetSite("kin-001", manifest.Site{Ring: "pilot", Settings: map[string]string{"SITE_NAME": "Kinshasa"}}),
		f.SaveFleet(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.told(t, f)
	r := &manifest.Release{Version: "1.0.0", Settings: []manifest.Setting{
		{Name: "DB_PASSWORD", Required: true},
		{Name: "PORT", Default: "8080"},
		{Name: "LANGUAGE", Required: true},
		{Name: "SITE_NAME", Default: "nowhere"},
		{Name: "THEME", Default: "blue"},
	}}
	want := map[string]string{"DB_PASSWORD": "s3cret", "PORT": "8081", "LANGUAGE": "fr", "SITE_NAME": "Kinshasa"}
	if got, err := m.environment(Good{}, r); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	adopted, err := m.environment(Good{Dir: "/srv/emr"}, &manifest.Release{})
	if err != nil || !maps.Equal(adopted, map[string]string{"DB_PASSWORD": "s3cret", "PORT": "8081"}) {
		t.Errorf("an adopted stack: %v, %v", adopted, err)
	}
}

func TestMayGoBack(t *testing.T) {
	m := settled(t, nil)
	f := manifesttest.New(t, "emr")
	for version, rule := range map[string]string{"1.0.0": "restore", "1.1.0": "keep", "1.2.0": "restore", "1.3.0": "keep"} {
		r := f.NewRelease(version)
		r.Rollback.Data = rule
		f.AddRelease(version, r)
	}
	f.Assign("kin-001", "pilot", "1.0.0")
	src := m.told(t, f)
	for _, test := range []struct {
		from, to string
		allowed  bool
		want     string
	}{
		{"1.0.0", "1.1.0", false, ""},
		{"1.1.0", "1.0.0", true, ""},
		{"1.3.0", "1.2.0", true, ""},
		{"1.1.0", "1.0.0", false, "1.1.0 stays: a pin can't take a site back from 1.1.0 to 1.0.0: it does not say that it may"},
		{
			"1.2.0", "1.1.0", true,
			"1.2.0 stays: a pin can't take a site back from 1.2.0 to 1.1.0: release 1.2.0 says that an older one needs the data from before it (rollback: restore)",
		},
		{
			"1.3.0", "1.0.0", true,
			"1.3.0 stays: a pin can't take a site back from 1.3.0 to 1.0.0: release 1.2.0 says that an older one needs the data from before it (rollback: restore)",
		},
	} {
		to, _, err := m.Trust.Release(t.Context(), src, test.to)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Trust.Release(t.Context(), src, test.from); err != nil {
			t.Fatal(err)
		}
		as := manifest.Assignment{Site: "kin-001", Pin: test.to, Downgrade: test.allowed}
		err = m.mayGoBack(t.Context(), []bundle.Source{src}, as, to, &Good{Release: test.from})
		if test.want == "" {
			if err != nil {
				t.Errorf("%s to %s: %v", test.from, test.to, err)
			}
			continue
		}
		var failure *change.Failure
		if err == nil || err.Error() != test.want || !errors.As(err, &failure) || failure.Code != api.CodeRefused ||
			!strings.HasSuffix(failure.Hint, "dhow rollback --to "+test.to) {
			t.Errorf("%s to %s:\n got %v, %+v\nwant %s", test.from, test.to, err, failure, test.want)
		}
	}
	to, _, err := m.Trust.Release(t.Context(), src, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for what, good := range map[string]*Good{"a new site": nil, "an adopted stack": {Release: adoptedRelease, Dir: "/srv/emr"}} {
		if err := m.mayGoBack(t.Context(), nil, manifest.Assignment{Pin: "1.0.0"}, to, good); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPolicyFillsWhatTheSiteLeavesOut(t *testing.T) {
	policy := manifest.Policy{
		Window: "21:00-05:00", TimeZone: "Africa/Kinshasa", Rate: "64 kB/s", Languages: []string{"fr", "en"}, Contact: "+243 1",
		Quiet: "08:00-17:00", Budget: manifest.Budget{Day: "50 MB", Month: "1 GB"},
		Backup: manifest.BackupPolicy{At: "0 1 * * *", Drill: "never", Keep: 7, Days: 30, Space: "20 GB"},
	}
	want := site.Config{
		Site: "kin-001", Window: "21:00-05:00", TimeZone: "Africa/Kinshasa", Rate: "64 kB/s", Language: "fr", Contact: "+243 1",
		Quiet: "08:00-17:00", Budget: manifest.Budget{Day: "50 MB", Month: "1 GB"},
		Backup: site.Backup{At: "0 1 * * *", Drill: "never", Keep: 7, Days: 30, Space: "20 GB"},
	}
	if got := layered(site.Config{Site: "kin-001"}, policy); !reflect.DeepEqual(*got, want) {
		t.Errorf("nothing of its own:\n%+v\n%+v", *got, want)
	}
	own := site.Config{
		Site: "kin-001", Window: "01:00-02:00", TimeZone: "UTC", Rate: "1 MB/s", Language: "pt", Contact: "me",
		Quiet: "never", Budget: manifest.Budget{Day: "1 TB", Month: "2 TB"},
		Backup: site.Backup{At: "never", Drill: "0 3 * * *", Keep: 2, Days: 3, Space: "1 TB", Folders: []string{"/srv/scans"}},
	}
	if got := layered(own, policy); !reflect.DeepEqual(*got, own) {
		t.Errorf("all of its own: %+v", *got)
	}
	if got := layered(own, manifest.Policy{}); got.BytesPerSecond() != 1_000_000 {
		t.Errorf("rate %d", got.BytesPerSecond())
	}
	if got := layered(site.Config{}, manifest.Policy{}); !reflect.DeepEqual(*got, site.Config{}) || got.BytesPerSecond() != 0 {
		t.Errorf("nothing at all: %+v", *got)
	}
}

func TestPickNote(t *testing.T) {
	notes := map[string]string{"en": "New malaria form", "fr": "Nouveau formulaire", "pt-BR": "Novo formulário"}
	for _, test := range []struct {
		languages []string
		want      string
	}{
		{nil, "New malaria form"},
		{[]string{"", "fr", "en"}, "Nouveau formulaire"},
		{[]string{"sw", "fr"}, "Nouveau formulaire"},
		{[]string{"pt"}, "Novo formulário"},
		{[]string{"PT_br"}, "Novo formulário"},
		{[]string{"fr-CD", "en"}, "Nouveau formulaire"},
		{[]string{"sw"}, "New malaria form"},
	} {
		if got := pickNote(notes, test.languages); got != test.want {
			t.Errorf("%q: %q, want %q", test.languages, got, test.want)
		}
	}
	if got := pickNote(map[string]string{"sw": "Fomu mpya"}, []string{"fr"}); got != "Fomu mpya" {
		t.Errorf("the only one: %q", got)
	}
	if got := pickNote(nil, []string{"fr"}); got != "" {
		t.Errorf("none: %q", got)
	}
}
