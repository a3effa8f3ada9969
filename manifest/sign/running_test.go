package sign_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
)

// moves are those of what fleet.yaml says, a line for each.
func moves(t *testing.T, dir string) string {
	t.Helper()
	r, err := sign.Open(dir)
	must(t, err)
	now, err := r.Resolve()
	must(t, err)
	e, err := r.Effect(now)
	must(t, err)
	var lines []string
	for _, m := range e.Moves {
		lines = append(lines, fmt.Sprintf("%s→%s %s can=%v", m.From, m.To, strings.Join(m.Sites, ","), m.Cannot == ""))
	}
	return strings.Join(lines, "\n")
}

// TestWhatSitesRun follows a site that can't take its pins, and one that is held while its ring moves on.
func TestWhatSitesRun(t *testing.T) {
	f := manifesttest.New(t, "drc")
	for version, from := range map[string]string{"1.0.0": "", "1.1.0": "", "1.2.0": ">=1.1.0", "1.3.0": ">=1.2.0"} {
		r := f.NewRelease(version)
		r.From = from
		f.AddRelease(version, r)
	}
	hold := &manifest.Hold{Reason: "flood", Since: f.Now}
	publish := func(edits ...error) {
		t.Helper()
		for _, err := range edits {
			must(t, err)
		}
		must(t, f.SaveFleet())
		_, err := f.Sign(pass, f.Now)
		must(t, err)
	}
	f.Assign("far", "wave", "1.0.0")
	f.Assign("held", "ring", "1.0.0")
	f.Assign("free", "ring", "1.0.0")
	publish()
	publish(f.Fleet().SetSite("held", manifest.Site{Ring: "ring", Hold: hold}), f.Fleet().Pin("wave", "1.2.0"))
	publish(f.Fleet().Pin("ring", "1.1.0"))
	publish(f.Fleet().Pin("ring", "1.2.0"), f.Fleet().Pin("wave", "1.3.0"))
	publish(f.Fleet().SetSite("held", manifest.Site{Ring: "ring"}))
	if got, want := moves(t, f.Dir()), "1.0.0→1.2.0 held can=false\n1.0.0→1.3.0 far can=false"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A release in between is taken by both, and is no way back.
	publish(f.Fleet().Pin("wave", "1.1.0"), f.Fleet().PinSite("held", "1.1.0"))
	publish(f.Fleet().Pin("wave", "1.2.0"), f.Fleet().PinSite("held", ""))
	if got := moves(t, f.Dir()); got != "" {
		t.Errorf("all run their pins, but\n%s", got)
	}
	must(t, f.Fleet().Pin("wave", "1.3.0"))
	must(t, f.SaveFleet())
	if got := moves(t, f.Dir()); got != "1.2.0→1.3.0 far can=true" {
		t.Error(got)
	}
	// Where a part of the history is gone or damaged, the rest counts.
	must(t, os.Remove(filepath.Join(f.Dir(), "metadata", "5.targets.json")))
	must(t, os.WriteFile(filepath.Join(f.Dir(), "metadata", "2.targets.json"), []byte("{"), 0o600))
	if got := moves(t, f.Dir()); got != "1.2.0→1.3.0 far can=true" {
		t.Error(got)
	}
}

// TestLongHistory has a ring that moved often, until all of it runs what it should.
func TestLongHistory(t *testing.T) {
	f := manifesttest.New(t, "drc")
	for i := range 30 {
		f.AddRelease(fmt.Sprintf("1.%d.0", i), nil)
	}
	f.Assign("", "pilot", "1.0.0")
	sites := map[string]manifest.Site{}
	for i := range 100 {
		sites[fmt.Sprintf("site-%05d", i)] = manifest.Site{Ring: "pilot"}
	}
	must(t, f.Fleet().SetSites(sites))
	for i := range 30 {
		must(t, f.Fleet().Pin("pilot", fmt.Sprintf("1.%d.0", i)))
		must(t, f.SaveFleet())
		_, err := f.Sign(pass, f.Now)
		must(t, err)
	}
	if got := moves(t, f.Dir()); got != "" {
		t.Error(got)
	}
}
