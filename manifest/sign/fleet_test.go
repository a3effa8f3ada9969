package sign_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
)

// pins signs and returns what a ring and a site are signed for.
func pins(t *testing.T, f *manifesttest.Fleet, ring, site string) (string, string) {
	t.Helper()
	if _, err := f.Sign(pass, f.Now); err != nil {
		t.Fatal(err)
	}
	signed, _, err := f.Signed()
	must(t, err)
	as, err := signed.Assignment(site)
	must(t, err)
	return signed.Rings[ring].Pin, as.Pin
}

// TestLinesAndPrevious follows a ring and a site through several signings.
func TestLinesAndPrevious(t *testing.T) {
	f := fleet(t)
	f.AddRelease("2.0.0-rc.1", nil)
	must(t, f.Fleet().SetSite("kin-002", manifest.Site{Ring: "pilot", Pin: "1.0.0"}))
	must(t, f.SaveFleet())
	expect := func(what, ring, site string) {
		t.Helper()
		if r, s := pins(t, f, "pilot", "kin-002"); r != ring || s != site {
			t.Errorf("%s: ring %s, site %s; want %s, %s", what, r, s, ring, site)
		}
	}
	refuse := func(what, want string, kind error) {
		t.Helper()
		_, err := f.Resolve()
		if err == nil || err.Error() != want || !errors.Is(err, kind) || !errors.Is(err, sign.ErrFleetFile) {
			t.Errorf("%s:\n got %v\nwant %s", what, err, want)
		}
	}
	say := func(edits ...error) {
		t.Helper()
		for _, err := range edits {
			must(t, err)
		}
		must(t, f.SaveFleet())
	}
	file := filepath.Join(f.Dir(), "fleet.yaml")
	say(f.Fleet().Pin("pilot", "previous"))
	refuse("previous before anything was signed", "mistake in fleet.yaml: "+file+":23:10: ring pilot: there is no previous release: "+
		"it was not signed for two releases yet, so name the version", sign.ErrNoPast)
	say(f.Fleet().Pin("pilot", "1.0.0"))
	expect("begin", "1.0.0", "1.0.0")
	say(f.Fleet().Pin("pilot", "previous"))
	refuse("previous with one release", "mistake in fleet.yaml: "+file+":23:10: ring pilot: there is no previous release: "+
		"it was not signed for two releases yet, so name the version", sign.ErrNoPast)

	say(f.Fleet().Pin("pilot", "1.x"), f.Fleet().PinSite("kin-002", "1.1.0"))
	expect("a line", "1.1.0", "1.1.0")
	f.AddRelease("1.2.0", nil)
	f.AddRelease("1.3.0-beta", nil)
	expect("a newer one in the line", "1.2.0", "1.1.0")
	say(f.Fleet().Pin("pilot", "3.x"))
	refuse("a line without a release", "mistake in fleet.yaml: "+file+":23:10: ring pilot is pinned to the line 3.x: no such release "+
		"(there is 1.0.0, 1.1.0, 1.2.0, 1.3.0-beta, 2.0.0-rc.1)", sign.ErrUnknownRelease)

	say(f.Fleet().Pin("pilot", "previous"))
	refuse("back without a word", "mistake in fleet.yaml: "+file+":23:10: ring pilot goes back to an older release: 1 site from 1.2.0 to 1.1.0",
		sign.ErrDowngrade)
	say(f.Fleet().AllowDowngrade("rings", "pilot"))
	expect("previous", "1.1.0", "1.1.0")
	f.AddRelease("1.4.0", nil)
	expect("it stays the same", "1.1.0", "1.1.0")
	expect("and again", "1.1.0", "1.1.0")
	say(f.Fleet().PinSite("kin-002", "previous"))
	refuse("a site goes back", "mistake in fleet.yaml: "+file+":32:10: site kin-002 goes back to an older release: from 1.1.0 to 1.0.0", sign.ErrDowngrade)
	say(f.Fleet().AllowDowngrade("sites", "kin-002"))
	expect("the site's previous one", "1.1.0", "1.0.0")
	say(f.Fleet().Pin("pilot", "1.4.0"))
	expect("up", "1.4.0", "1.0.0")
	if f.Fleet().Fleet().Rings["pilot"].Downgrade {
		t.Error("the permission to go back outlived its pin")
	}
	say(f.Fleet().Pin("pilot", "previous"), f.Fleet().AllowDowngrade("rings", "pilot"))
	expect("previous of another time", "1.1.0", "1.0.0")
	signed, releases, err := f.Signed()
	if r := signed.Rings["pilot"]; err != nil || r.Asked != "previous" || !r.Downgrade || len(releases) != 6 {
		t.Errorf("signed %+v, %d releases, %v", r, len(releases), err)
	}
}

func TestEffect(t *testing.T) {
	f := manifesttest.New(t, "drc")
	for version, from := range map[string]string{"1.0.0": "", "1.1.0": "", "2.0.0": ">=1.1.0"} {
		r := f.NewRelease(version)
		r.From = from
		if version == "1.1.0" {
			r.Rollback.Data = "keep"
		}
		f.AddRelease(version, r)
	}
	hold := &manifest.Hold{Reason: "flood", Since: f.Now}
	sites := map[string]manifest.Site{}
	for i, pin := range []string{"", "", "1.1.0", "1.1.0", "", ""} {
		sites[fmt.Sprintf("kin-00%d", i+1)] = manifest.Site{Ring: "pilot", Pin: pin}
	}
	sites["kin-005"] = manifest.Site{Ring: "pilot", Hold: hold}
	f.Assign("", "pilot", "1.0.0")
	must(t, f.Fleet().SetSites(sites))
	must(t, f.SaveFleet())
	f.Publish()
	must(t, f.Fleet().Pin("pilot", "2.0.0"))
	must(t, f.Fleet().SetSites(map[string]manifest.Site{
		"kin-002": {Ring: "pilot", Hold: hold},
		"kin-003": {Ring: "pilot"},
		"kin-004": {Ring: "pilot", Pin: "1.0.0", Downgrade: true},
		"kin-005": {Ring: "pilot", Settings: map[string]string{"PORT": "80"}},
		"kin-007": {Ring: "pilot"},
	}))
	must(t, f.Fleet().RemoveSite("kin-006"))
	now, err := f.Resolve()
	must(t, err)
	e, err := f.Effect(now)
	must(t, err)
	var got []string
	for _, m := range e.Moves {
		got = append(got, fmt.Sprintf("%s→%s %v back=%v %s", m.From, m.To, m.Sites, m.Back, m.Cannot))
	}
	want := []string{
		"1.1.0→1.0.0 [kin-004] back=true ",
		"1.1.0→2.0.0 [kin-003] back=false ",
		"1.0.0→2.0.0 [kin-001] back=false release 2.0.0 cannot be reached directly from 1.0.0 (only from >=1.1.0)",
		"→2.0.0 [kin-005 kin-007] back=false ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("moves\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	rest := fmt.Sprint(e.Held, e.Released, e.Removed, e.Settings)
	if rest != "[kin-002] [kin-005] [kin-006] [kin-005]" {
		t.Errorf("held, released, removed, settings: %s", rest)
	}
}

// TestTenThousandSites imports, pins and signs them: a team with a big fleet waits seconds, not minutes.
func TestTenThousandSites(t *testing.T) {
	f := fleet(t)
	var list strings.Builder
	list.WriteString("site,ring,pin,hold,CLINIC\n")
	for i := range 10_000 {
		pin := ""
		if i%50 == 0 {
			pin = "1.0.0"
		}
		fmt.Fprintf(&list, "site-%05d,pilot,%s,,Clinic %d\n", i, pin, i)
	}
	begin := time.Now()
	step := func(what string) {
		t.Logf("%-8s %.2f s", what, time.Since(begin).Seconds())
		begin = time.Now()
	}
	sites, err := f.Fleet().ReadSites("sites.csv", []byte(list.String()), f.Now)
	must(t, err)
	step("read")
	must(t, f.Fleet().SetSites(sites))
	step("set")
	must(t, f.SaveFleet())
	step("save")
	f.Publish()
	step("sign")
	r, err := sign.Open(f.Dir())
	must(t, err)
	step("open")
	must(t, r.Fleet().Pin("pilot", "1.1.0"))
	step("pin")
	now, err := r.Resolve()
	must(t, err)
	step("resolve")
	e, err := r.Effect(now)
	must(t, err)
	step("effect")
	if len(e.Moves) != 1 || len(e.Moves[0].Sites) != 9801 {
		t.Errorf("%d moves", len(e.Moves))
	}
	data, err := os.ReadFile(filepath.Join(f.Dir(), "fleet.yaml"))
	must(t, err)
	if !strings.Contains(string(data), "  site-09999:\n    ring: pilot\n    settings:\n      CLINIC: Clinic 9999\n") {
		t.Error("the last site does not stand in fleet.yaml")
	}
}
