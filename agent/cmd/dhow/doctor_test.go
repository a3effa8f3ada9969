package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/bundle/fetch"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// TestDoctorAndTheClock examines a site, to which the source has something newer, with every sort of clock.
func TestDoctorAndTheClock(t *testing.T) {
	f := manifesttest.New(t, "emr")
	f.AddRelease("1.0.0", nil)
	f.Assign("kin-001", "pilot", "1.0.0")
	old := f.Publish()
	signed := f.Now
	day := func(n int) string { return signed.AddDate(0, 0, n).Format(time.DateOnly) }
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := old[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Date", signed.AddDate(0, 0, 1).Format(http.TimeFormat))
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	}))
	defer source.Close()
	const publish = "\n             remedy: ask the central team to publish again; a stick works with an old manifest, too\n"
	clockRemedy := "\n             remedy: " + words.For("en").Say("doctor.clock.set") + "\n"
	for name, c := range map[string]struct {
		now  time.Time
		want []string
	}{
		"right": {signed.AddDate(0, 0, 1), nil},
		"1970": {time.Unix(0, 0), []string{
			"✗ clock      this computer's clock looks wrong: it says 1970-01-01, but it is at least " + day(0) + clockRemedy,
		}},
		"a month ahead": {signed.AddDate(0, 0, 31), []string{
			"! clock      this computer's clock looks wrong: it says " + signed.AddDate(0, 0, 31).Format("2006-01-02 15:04 MST") + ", and 127.0.0.1 says ",
		}},
		"near the expiry": {signed.AddDate(0, 0, 70), []string{
			"! clock      ", "! manifest   the manifest expires soon: on " + day(90) + ", in 20 days" + publish,
		}},
		"a year ahead": {signed.AddDate(1, 0, 0), []string{
			"✗ source     " + source.URL + ": the manifest expired on " + day(90) + "; by this computer's clock it is " +
				signed.AddDate(1, 0, 0).Format(time.DateOnly) + ", by what was signed last at least " + day(0) + ": if the clock is ahead, set it\n" +
				"             remedy: ask the central team to publish again; a stick still works: dhow update --from PATH\n",
			"! clock      ", "✗ manifest   the manifest expired on " + day(90) + publish,
		}},
		"2038": {time.Unix(1<<31, 0), []string{
			"✗ source     " + source.URL + ": the fleet's root expired on ", "! clock      ",
			"✗ manifest   ", "✗ root       the fleet's root expired on ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			now := signed
			dir := filepath.Join(t.TempDir(), "trust")
			if err := trust.Init(dir, f.Root); err != nil {
				t.Fatal(err)
			}
			client, err := trust.Open(dir, trust.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Refresh(t.Context(), manifesttest.NewSource(old), true); err != nil {
				t.Fatal(err)
			}
			now = c.now
			var out bytes.Buffer
			s := &shell{out: &out, words: words.For()}
			p := &patient{
				shell: s, config: &site.Config{Site: "kin-001", TimeZone: "UTC", Sources: []string{source.URL}}, trust: client,
				network: fetch.NewNetwork().WithClock(clockOf(client)),
			}
			p.paths.Prefix = t.TempDir()
			// What the agent says of the clock and the manifest is said once.
			current, err := client.Current()
			if err != nil {
				t.Fatal(err)
			}
			p.status = &api.Status{State: api.StateIdle, Warnings: current.Warnings}
			d := examine(t.Context(), p, whole)
			s.tellDiagnosis(d)
			text := out.String()
			rest := text
			for _, w := range c.want {
				if !strings.Contains(rest, w) {
					t.Errorf("no %q in\n%s", w, text)
				}
				rest = strings.Replace(rest, w, "", 1)
			}
			for _, mark := range []string{"✗ ", "! "} {
				for _, line := range strings.Split(rest, "\n") {
					if strings.HasPrefix(line, mark) && !strings.HasPrefix(line, "✗ engine ") && !strings.HasPrefix(line, "! service ") {
						t.Errorf("too much: %q", line)
					}
				}
			}
		})
	}
}

// TestDoctorIsNotHeldUp: a server that is silent does not hold up the rest.
func TestDoctorIsNotHeldUp(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	f := manifesttest.New(t, "emr")
	client, err := trust.Scratch(f.Root, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{config: &site.Config{Sources: []string{silent.URL}}, trust: client, network: fetch.NewNetwork()}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	list := checkSources(ctx, p)
	if len(list) != 1 || list[0].Result != isBad || !strings.Contains(list[0].Text, silent.URL) {
		t.Errorf("%+v", list)
	}
}
