package page_test

import (
	"errors"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/agent/page/pagetest"
	"dhow/agent/words"
)

var (
	unread    = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>`)
	english   = regexp.MustCompile(`(?s)<(li|bdi|span|a) [^>]*lang="[a-z]+"[^>]*>.*?</(li|bdi|span|a)>`) // marked with its language
	textNode  = regexp.MustCompile(`>([^<]+)<`)
	attribute = regexp.MustCompile(`\b(?:aria-label|data-title|title|alt|placeholder)="([^"]*)"`)
	word      = regexp.MustCompile(`\pL{3,}`)
	date      = regexp.MustCompile(`^\d+ \pL+ (\d{4} )?\d\d:\d\d( ·)?$`) // months are alike in many languages
)

// texts lists what a person, or a screen reader, reads on a page.
func texts(page string) (all []string) {
	page = english.ReplaceAllString(unread.ReplaceAllString(page, ""), "")
	for _, re := range []*regexp.Regexp{textNode, attribute} {
		for _, m := range re.FindAllStringSubmatch(page, -1) {
			if text := strings.TrimSpace(html.UnescapeString(m[1])); word.MatchString(text) && !date.MatchString(text) {
				all = append(all, text)
			}
		}
	}
	return all
}

// names are what the same in every language: it comes from the site, the central team, or is a word of those languages, too.
var names = []string{
	"kin-001", "drc-emr", "KIN-001-0017", "KIN-001-0017-R", "KIN-001-0012", "KIN-001-0009-R", "New malaria form", "/media",
	"oci://registry.example.org/drc-emr", "OK", "2 min 41 s", "Site", "Source", "Notes", "Agent", "agent",
}

// On a page in another language nothing stands in English.
func TestNoEnglishInOtherLanguages(t *testing.T) {
	states := pagetest.States()
	more := states[0]
	more.Name = "everything"
	more.Status.LastError = "source does not answer: registry.example.org: i/o timeout"
	more.Status.Agent = &api.Agent{Asked: "1.1.0", Trouble: "it did not start"}
	more.Status.LastDrill = &api.Drill{When: pagetest.Now, OK: false}
	more.Status.Line = &api.LineUse{Day: 1_100_000, DayBudget: 15_000_000, Month: 1_100_000, MonthBudget: 150_000_000}
	states = append(states, more)
	for _, kind := range []string{
		api.NeedStuck, api.NeedUnknown, api.NeedTrouble, api.NeedManifest, api.NeedUnassigned, api.NeedExpired, api.NeedUntrusted, api.NeedBackup, api.NeedDrill,
	} {
		s := states[0]
		s.Name = "needs-" + kind
		s.Status.Needs = []api.Need{{Kind: kind, Args: map[string]string{"release": "1.0.0", "day": "2026-11-20", "backup": "2026-11-21T020012-0031", "code": "KIN"}}}
		states = append(states, s)
	}
	for _, health := range []string{"starting", "unhealthy", "stopped", "unknown"} {
		s := states[0]
		s.Name, s.Status.Health = health, health
		states = append(states, s)
	}
	read := 0
	for _, s := range states {
		for _, target := range []string{"/", "/details"} {
			said := texts(shown(t, s, target+"?lang=en"))
			read += len(said)
			for _, l := range words.For("en").Languages()[1:] {
				for _, text := range texts(shown(t, s, target+"?lang="+l.Tag)) {
					if slices.Contains(said, text) && !slices.Contains(names, text) {
						t.Errorf("%s%s in %s says %q, as in English", s.Name, target, l.Tag, text)
					}
				}
			}
		}
	}
	if read < 1000 {
		t.Errorf("read only %d texts", read)
	}
}

// While the agent can't say how things are, the page keeps the language and the contact of the site.
func TestUnknownKeepsLanguageAndContact(t *testing.T) {
	a := &pagetest.Agent{}
	h := a.Page()
	s := pagetest.States()[0]
	s.Status.Language = "fr"
	a.Play(s)
	get := func() string { return ask(t, h, http.MethodGet, "/?", nil, true, false).Body.String() }
	if got := get(); !strings.Contains(got, `<html lang="fr"`) {
		t.Fatalf("the language of the site is not taken:\n%.200s", got)
	}
	s.Status, s.Err = api.Status{}, errors.New("cannot read the journal: input/output error")
	a.Play(s)
	ask(t, h, http.MethodPost, "/later", nil, true, false) // the answer from before is forgotten
	const want = "L’agent ne peut pas dire où en sont les choses. Redémarrez l’ordinateur. Si cela ne suffit pas, appelez à l’aide. " +
		"Qui appeler : Dr. Kalala, +243 81 555 0142 cela n’a pas marché ; détail technique, en anglais : cannot read the journal: input/output error"
	if got := said(get()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
