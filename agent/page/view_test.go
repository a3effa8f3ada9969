package page_test

import (
	"bytes"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"dhow/agent/api"
	"dhow/agent/page"
	"dhow/agent/page/guard"
	"dhow/agent/page/pagetest"
	"dhow/agent/words"
)

// ask sends a request as the guard hands it on.
func ask(t *testing.T, h http.Handler, method, target string, form url.Values, here, proved bool) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, guard.As(r, here, proved))
	return w
}

// shown is the page of a state, as somebody at the computer sees it.
func shown(t *testing.T, s pagetest.State, target string) string {
	t.Helper()
	a := &pagetest.Agent{}
	a.Play(s)
	w := ask(t, a.Page(), http.MethodGet, target, nil, true, false)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", s.Name, w.Code, w.Body)
	}
	return w.Body.String()
}

var (
	bodyClass = regexp.MustCompile(`<body class="s-([a-z]+)"`)
	sentence  = regexp.MustCompile(`(?s)<h1 id="title">(.*?)</h1>`)
	lines     = regexp.MustCompile(`(?s)<div id="lines">(.*?)</div>`)
	buttons   = regexp.MustCompile(`<(?:button|a) class="button[^>]*>([^<]*)<`)
	tags      = regexp.MustCompile(`<[^>]*>`)
)

func first(re *regexp.Regexp, s string) string {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return html.UnescapeString(strings.TrimSpace(m[1]))
}

// said sums a page up: its sentence, its lines and its buttons.
func said(page string) string {
	text := []string{first(sentence, page)}
	for line := range strings.Lines(tags.ReplaceAllString(first(lines, page), "")) {
		text = append(text, strings.TrimSpace(line))
	}
	for _, m := range buttons.FindAllStringSubmatch(page, -1) {
		text = append(text, "["+html.UnescapeString(m[1])+"]")
	}
	return strings.Join(text, " ")
}

func TestStates(t *testing.T) {
	want := map[string]string{
		"current":         "Everything is up to date. Version 1.0.0 is running.",
		"current-hold":    "Version 1.0.0 is running. The central team holds this site where it is: audit until June",
		"current-bad":     "Version 1.0.0 is running. Version 1.1.0 did not work here and is not tried again by itself. The central team decides what comes next.",
		"current-by-hand": "Version 1.0.0 is running. A person here chose another version: 1.1.0 is not put in place by itself. The central team decides what comes next.",
		"current-to-come": "Version 1.0.0 is running. Version 1.1.0 is still to come.",
		"current-backup":  "Everything is up to date. Version 1.0.0 is running. A backup is being looked after. You can go on working.",
		"current-bundle":  "Everything is up to date. Version 1.0.0 is running. A bundle for other sites is being written. You can go on working.",
		"current-stick": "Everything is up to date. Version 1.0.0 is running. The stick EMR JUNE holds version 1.0.0, which already runs here. " +
			"A report for the central team is on the stick.",
		"ready": "An update is ready: 1.1.0. What is new: New malaria form It is planned for tonight at 21:00. " +
			"The system will be away for about 3 minutes. [Update now] [Not today]",
		"ready-later": "An update is ready: 1.1.0. What is new: New malaria form It is planned for tomorrow at 21:00. " +
			"The system will be away for about 3 minutes. [Update now]",
		"ready-first":   "An update is ready: 1.1.0. It begins by itself in a moment. [Update now] [Not today]",
		"stick":         "Update 1.3.0 was found on the stick. Install it? What is new: New malaria form The system will be away for about 3 minutes. [Install]",
		"stick-many":    "Update 1.3.0 was found on the stick. Install it? What is new: New malaria form The system will be away for about 3 minutes. 1 other bundle is listed under Details. [Install]",
		"stick-looking": "Reading the stick EMR JUNE. Please wait.",
		"stick-foreign": "What is on the stick EMR JUNE does not come from the central team of this site. It was left alone. " +
			"Nothing was changed. You can take the stick out. Version 1.0.0 is running.",
		"stick-older": "What is on the stick EMR JUNE is older than what this computer has already. Use a newer stick. " +
			"Nothing was changed. You can take the stick out. Version 1.0.0 is running.",
		"stick-damaged": "The bundle on the stick EMR JUNE is damaged. Copy it to the stick again, or use another stick. " +
			"Nothing was changed. You can take the stick out. Version 1.0.0 is running.",
		"fetching":       "Version 1.1.0 is on its way to this computer. You can go on working: nothing has been changed yet. Time left: about 16 minutes",
		"fetching-looks": "Looking at what is needed. You can go on working: nothing has been changed yet.",
		"fetching-waits": "Version 1.1.0 is on its way to this computer. You can go on working: nothing has been changed yet. It waits, and goes on today at 17:00.",
		"paused":         "Nothing is fetched at present. A person has paused it; it goes on today at 16:00. Version 1.0.0 is running.",
		"working":        "Updating, step 6 of 11: keeping a safe copy. 1.0.0 → 1.1.0 Time left: about 2 minutes Do not switch off the computer.",
		"working-first":  "Updating, step 8 of 11: starting the version. 1.0.0 → 1.1.0 Do not switch off the computer.",
		"working-held": "The Docker Engine of this computer does not answer. What is under way waits for it. Do not switch off the computer in the first ten minutes. " +
			"If it stays like this for longer, start the computer again. If that does not help, call for help. Whom to call: Dr. Kalala, +243 81 555 0142 " +
			"Updating, step 6 of 11: keeping a safe copy. 1.0.0 → 1.1.0",
		"undoing": "Step 8 of 11, backwards: stopping the new version. The update did not work. The system goes back to what it was; no data is lost. " +
			"Code for whoever helps: KIN-001-0017-R Do not switch off the computer.",
		"stuck": "Please call for help: the system can’t go back by itself. It stays closed so that no data is lost, and it is tried again by itself. " +
			"Code for whoever helps: KIN-001-0017-R Whom to call: Dr. Kalala, +243 81 555 0142 Do not switch off the computer.",
		"done": "Done. Version 1.1.0 is running. What is new: New malaria form [OK]",
		"failed": "The update did not work. Version 1.0.0 is running as before. No data was lost. You can go on working. " +
			"Code for whoever helps: KIN-001-0017-R Whom to call: Dr. Kalala, +243 81 555 0142 [OK]",
		"failed-refused": "The update was not started. Version 1.0.0 is running as before. Code for whoever helps: KIN-001-0017-R " +
			"Whom to call: Dr. Kalala, +243 81 555 0142 [OK]",
		"failed-first": "The update did not work. Nothing is installed, as before. Code for whoever helps: KIN-001-0017-R " +
			"Whom to call: Dr. Kalala, +243 81 555 0142 [OK]",
		"needs-clock": "The clock of this computer is wrong: it says 2010-01-01 00:04. Set the date and the time of this computer. " +
			"An update is ready: 1.1.0. While the clock of this computer is wrong, the hour can’t be told: press the button when nobody needs the system. [Update now] [Not today]",
		"needs-disk": "The disk is too full: 1.2 GB more must be free. Delete what is not needed, such as films and downloads, but nothing of the system. It goes on by itself.",
		"needs-offline": "There has been no connection to the central team for a long time (days: 12). " +
			"Look at the cable and the modem, or ask the central team for a stick.",
		"needs-engine": "The Docker Engine of this computer does not answer. Start the computer again. If that does not help, call for help. " +
			"Whom to call: Dr. Kalala, +243 81 555 0142",
		"needs-health": "Version 1.0.0 does not run well. Wait a few minutes. If it stays like this, call for help. Whom to call: Dr. Kalala, +243 81 555 0142",
		"needs-config": `The configuration can’t be used: /etc/dhow/dhow.yaml, line 3, column 5: unknown key "windwo" (did you mean "window"?) ` +
			"Correct the file. Until then the last good one counts. Whom to call: Dr. Kalala, +243 81 555 0142",
		"new": "Nothing is installed here yet. Plug in the stick from the central team, or wait until the first version has come over the network. " +
			"Whom to call: Dr. Kalala, +243 81 555 0142",
		"unknown": "The agent can’t say how things are. Start the computer again. If that does not help, call for help. Whom to call: Dr. Kalala, +243 81 555 0142 " +
			"cannot read the journal: input/output error",
	}
	for _, s := range pagetest.States() {
		page := shown(t, s, "/?lang=en")
		if got := first(bodyClass, page); got != s.Want {
			t.Errorf("%s is shown as %s, want %s", s.Name, got, s.Want)
		}
		if got := said(page); got != want[s.Name] {
			t.Errorf("%s says\n%s\nwant\n%s", s.Name, got, want[s.Name])
		}
		delete(want, s.Name)
	}
	for name := range want {
		t.Errorf("there is no state %s", name)
	}
}

// Whatever is going on is more important than what has been or could be.
func TestTheMostImportantIsSaid(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	for _, tt := range []struct {
		name string
		s    pagetest.State
		more func(*api.Status)
		want string
	}{
		{"an update with a stick plugged in", by["working"], func(s *api.Status) { s.Offers = by["stick"].Status.Offers }, "working"},
		{"an update while the engine is away", by["working"], func(s *api.Status) { s.Needs = by["needs-engine"].Status.Needs }, "needs"},
		{"stuck on a full disk", by["stuck"], func(s *api.Status) { s.Needs = by["needs-disk"].Status.Needs }, "stuck"},
		{"done, and a stick with another one", by["done"], func(s *api.Status) { s.Offers = by["stick"].Status.Offers }, "done"},
		{"done, and the system is ill", by["done"], func(s *api.Status) { s.Needs = by["needs-health"].Status.Needs }, "needs"},
		{"failed for want of disk", by["failed"], func(s *api.Status) { s.Needs = by["needs-disk"].Status.Needs }, "failed"},
		{"done, and a stick that was brought since", by["done"], func(s *api.Status) {
			s.Offers = slices.Clone(by["stick"].Status.Offers)
			s.Offers[0].Found = pagetest.Now
		}, "stick"},
		{"failed, and a foreign stick that was brought since", by["failed"], func(s *api.Status) {
			s.Offers = slices.Clone(by["stick-foreign"].Status.Offers)
			s.Offers[0].Found = pagetest.Now
		}, "needs"},
		{"no connection, and a stick", by["needs-offline"], func(s *api.Status) { s.Offers = by["stick"].Status.Offers }, "stick"},
		{"ready, and no disk", by["ready"], func(s *api.Status) { s.Needs = by["needs-disk"].Status.Needs }, "needs"},
		{"ready while paused", by["ready"], func(s *api.Status) { s.Paused = by["paused"].Status.Paused }, "ready"},
		{"new with a stick", by["new"], func(s *api.Status) { s.Offers = by["stick"].Status.Offers }, "stick"},
		{"looking for news, nothing new", by["current"], func(s *api.Status) { s.State = api.StateFetching }, "current"},
	} {
		s := tt.s
		tt.more(&s.Status)
		if got := first(bodyClass, shown(t, s, "/")); got != tt.want {
			t.Errorf("%s: shown as %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The end of an update hides nothing that a person should know.
func TestBesideTheEndOfAnUpdate(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	soon := pagetest.Now.Add(time.Hour)
	s := by["failed-refused"]
	s.Status.Needs, s.Status.State, s.Status.NextApply = by["needs-disk"].Status.Needs, api.StateReady, &soon
	want := "The update was not started. Version 1.0.0 is running as before. Code for whoever helps: KIN-001-0017-R Whom to call: Dr. Kalala, +243 81 555 0142 " +
		"The disk is too full: 1.2 GB more must be free. Delete what is not needed, such as films and downloads, but nothing of the system. It goes on by itself. " +
		"An update is ready: 1.1.0. It is planned for today at 15:00. [OK]"
	if got := said(shown(t, s, "/?lang=en")); got != want {
		t.Errorf("refused for want of disk, and tried again:\n%s\nwant\n%s", got, want)
	}
	s = by["done"]
	s.Status.Pinned, s.Status.State, s.Status.NextApply, s.Status.Note = "1.2.0", api.StateReady, &soon, ""
	want = "Done. Version 1.1.0 is running. An update is ready: 1.2.0. It is planned for today at 15:00. [OK]"
	if got := said(shown(t, s, "/?lang=en")); got != want {
		t.Errorf("done, and another one in an hour:\n%s\nwant\n%s", got, want)
	}
}

// That a release is not tried again is known from the agent, not from what happened last.
func TestBadOrToCome(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	s := by["current-bad"]
	s.Status.LastUpdate = by["current"].Status.LastUpdate // a restore came after it
	if got := said(shown(t, s, "/?lang=en")); !strings.Contains(got, "Version 1.1.0 did not work here") {
		t.Errorf("bad, and something else came last: %s", got)
	}
	s = by["current-bad"]
	s.Status.Bad = nil // it was refused, or had rotted in the store
	if got := said(shown(t, s, "/?lang=en")); !strings.Contains(got, "Version 1.1.0 is still to come.") {
		t.Errorf("refused once: %s", got)
	}
}

// Further bundles are told apart by their files, and who comes over the network is asked for the PIN before one is installed.
func TestFurtherBundles(t *testing.T) {
	a := &pagetest.Agent{}
	for _, s := range pagetest.States() {
		if s.Name == "stick-many" {
			s.Status.Offers = append(slices.Clone(s.Status.Offers), s.Status.Offers[1])
			s.Status.Offers[2].ID = "usb3"
			a.Play(s)
		}
	}
	h := a.Page()
	for _, here := range []bool{true, false} {
		got := ask(t, h, http.MethodPost, "/details?lang=en", nil, here, true).Body.String()
		if strings.Count(got, "Install 1.2.0 from EMR MAY: emr-2.tgz") != 1 {
			t.Errorf("here %v: the second bundle is missing, or told twice", here)
		}
		if form := strings.Contains(got, "<form"); form != here {
			t.Errorf("here %v: form without the PIN %v", here, form)
		}
		if link := strings.Contains(got, `href="/?lang=en&amp;ask=offer-usb2"`); link == here {
			t.Errorf("here %v: link to the form with the PIN %v", here, link)
		}
	}
	form := ask(t, h, http.MethodGet, "/?lang=en&ask=offer-usb2", nil, false, false).Body.String()
	for _, want := range []string{`name="pin"`, `name="from" value="usb2"`, `name="release" value="1.2.0"`} {
		if !strings.Contains(form, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
}

// In a language that is written from the right the arrow of the history leads from the old version to the new one.
func TestDirectionOfTheHistory(t *testing.T) {
	for _, s := range pagetest.States() {
		if s.Name == "failed" && !strings.Contains(shown(t, s, "/details?lang=ar"), `<b><bdi dir="rtl">`) {
			t.Error("the history has no direction of its own")
		}
	}
}

// Every page in every language is complete, small, in the right direction, and loads nothing from anywhere.
func TestLanguagesAndSize(t *testing.T) {
	largest := 0
	for _, l := range words.For("en").Languages() {
		for _, s := range append(pagetest.States(), hostile()...) {
			for _, target := range []string{"/", "/details"} {
				got := shown(t, s, target+"?lang="+l.Tag)
				largest = max(largest, len(got))
				if len(got) > page.MaxBytes {
					t.Errorf("%s%s in %s: %d bytes", s.Name, target, l.Tag, len(got))
				}
				if !strings.Contains(got, `<html lang="`+l.Tag+`" dir="`+l.Direction+`">`) {
					t.Errorf("%s in %s: language or direction is missing", s.Name, l.Tag)
				}
				for _, bad := range []string{"src=\"", "@import", "url(", ">page.", "need.", "offer.", "ZgotmplZ", "<no value>", "style=\""} {
					if strings.Contains(got, bad) {
						t.Errorf("%s%s in %s holds %s", s.Name, target, l.Tag, bad)
					}
				}
			}
		}
	}
	t.Logf("the largest page has %d bytes", largest)
}

func hostile() (list []pagetest.State) {
	for _, s := range pagetest.States() {
		list = append(list, pagetest.HostileState(s.Name))
	}
	return list
}

// Text from outside stays text.
func TestHostileText(t *testing.T) {
	for _, s := range hostile() {
		got := shown(t, s, "/details")
		for _, bad := range []string{"<script>document", "<img", "<b>&amp", "onerror=alert(1)>", "secret@"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s holds %s", s.Name, bad)
			}
		}
		text := html.UnescapeString(tags.ReplaceAllString(got[strings.Index(got, "<body"):], ""))
		for _, r := range text {
			if r == '\n' || r == '\u2068' || r == '\u2069' { // isolates are ours
				continue
			}
			if unicode.Is(unicode.Cc, r) || r >= '\u202a' && r <= '\u202e' || r == '\u2066' || r == '\u2067' {
				t.Fatalf("%s holds %U", s.Name, r)
			}
		}
		if strings.Contains(text, "\u0300\u0301\u0302\u0303") {
			t.Errorf("%s holds a tower of accents", s.Name)
		}
	}
}

func TestOrders(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	busy := api.Fail(api.CodeBusy, "follow it with: dhow status", "another change is under way: apply 17")
	full := api.Fail(api.CodeRefused, "", "the disk is full")
	for _, tt := range []struct {
		name, state, target string
		form                url.Values
		fails               error
		code                int
		to, calls, says     string
	}{
		{"now", "ready", "/update", nil, nil, 303, "/", `update from="" release="" now=true`, ""},
		{"in a language", "ready", "/update?lang=fr", nil, nil, 303, "/?lang=fr", `update from="" release="" now=true`, ""},
		{"in no language", "ready", "/update?lang=%0d%0aX:y", nil, nil, 303, "/", `update from="" release="" now=true`, ""},
		{"pressed twice", "working", "/update", nil, busy, 303, "/", `update from="" release="" now=true`, ""},
		{"refused", "ready", "/update", nil, full, 422, "", `update from="" release="" now=true`, "This was not done. the disk is full [Back]"},
		{"from a stick", "stick", "/update", url.Values{"from": {"usb1"}}, nil, 303, "/", `update from="/media/usb/emr.tgz" release="" now=true`, ""},
		{"what was shown", "ready", "/update", url.Values{"release": {"1.1.0"}}, nil, 303, "/", `update from="" release="1.1.0" now=true`, ""},
		{
			"what is not asked for any more", "ready", "/update",
			url.Values{"release": {"1.0.9"}},
			nil, 422, "", "",
			"This was not done. the central team asks for 1.1.0 now, not for 1.0.9 look at the page again, and choose anew [Back]",
		},
		{"what the stick holds", "stick", "/update", url.Values{"from": {"usb1"}, "release": {"1.3.0"}}, nil, 303, "/", `update from="/media/usb/emr.tgz" release="1.3.0" now=true`, ""},
		{
			"what the stick held before", "stick", "/update",
			url.Values{"from": {"usb1"}, "release": {"1.2.9"}},
			nil, 422, "", "",
			"This was not done. the central team asks for 1.3.0 now, not for 1.2.9 look at the page again, and choose anew [Back]",
		},
		{"from a stick that is gone", "current", "/update", url.Values{"from": {"usb1"}}, nil, 400, "", "", "This was not done. the stick is not there any more put it in again [Back]"},
		{"from a path of one's own", "stick", "/update", url.Values{"from": {"/etc/passwd"}}, nil, 400, "", "", "This was not done. the stick is not there any more put it in again [Back]"},
		{"from a stick that is not ours", "stick-foreign", "/update", url.Values{"from": {"a"}}, nil, 400, "", "", "This was not done. the stick is not there any more put it in again [Back]"},
		{"not today", "ready", "/later", nil, nil, 303, "/", "later", ""},
		{"seen", "done", "/seen", url.Values{"note": {"KIN-001-0017"}}, nil, 303, "/", "", ""},
	} {
		a := &pagetest.Agent{}
		a.Play(by[tt.state])
		a.Fail(tt.fails)
		w := ask(t, a.Page(), http.MethodPost, tt.target, tt.form, true, false)
		got := ""
		if w.Code != 303 {
			got = said(w.Body.String())
		}
		if w.Code != tt.code || w.Header().Get("Location") != tt.to || strings.Join(a.Calls(), ", ") != tt.calls || got != tt.says {
			t.Errorf("%s: %d to %q, says %q", tt.name, w.Code, w.Header().Get("Location"), got)
		}
	}
}

// A note goes when it was seen, and only that one.
func TestSeen(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	a := &pagetest.Agent{}
	a.Play(by["done"])
	h := a.Page()
	see := func(note string) string {
		t.Helper()
		ask(t, h, http.MethodPost, "/seen", url.Values{"note": {note}}, true, false)
		return first(bodyClass, ask(t, h, http.MethodGet, "/", nil, true, false).Body.String())
	}
	if got := see("KIN-001-0016"); got != "done" {
		t.Errorf("after another note was seen the page shows %s", got)
	}
	if got := see("KIN-001-0017"); got != "current" {
		t.Errorf("after the note was seen the page shows %s", got)
	}
	h = a.Page() // the agent has started anew
	if got := first(bodyClass, ask(t, h, http.MethodGet, "/", nil, true, false).Body.String()); got != "current" {
		t.Errorf("after a restart the page shows %s again", got)
	}
}

// Over the network nothing is told that is not on the front, and every button leads to a form with the PIN, which is not loaded anew.
func TestStranger(t *testing.T) {
	a := &pagetest.Agent{}
	for _, s := range pagetest.States() {
		a.Play(s)
		got := ask(t, a.Page(), http.MethodGet, "/?lang=fr", nil, false, false).Body.String()
		for _, bad := range []string{"<form", "registry.example.org", "dob_estimated", "2026-11-20T020009"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s shows a stranger %s", s.Name, bad)
			}
		}
		for _, target := range []string{"/details", "/live"} {
			if strings.Contains(part(t, a.Page(), target), "registry.example.org") {
				t.Errorf("%s: %s shows a stranger details", s.Name, target)
			}
		}
		if s.Name != "ready" {
			continue
		}
		if !strings.Contains(got, `href="/?lang=fr&amp;ask=now"`) || !strings.Contains(got, `href="/?lang=fr&amp;ask=details"`) {
			t.Error("no way to the form")
		}
		form := ask(t, a.Page(), http.MethodGet, "/?lang=fr&ask=now", nil, false, false).Body.String()
		for _, want := range []string{`action="/update?lang=fr"`, `name="pin"`, `<label for="pin">`} {
			if !strings.Contains(form, want) {
				t.Errorf("the form lacks %s", want)
			}
		}
		for _, bad := range []string{"refresh", "<script"} {
			if strings.Contains(form, bad) {
				t.Errorf("the form holds %s", bad)
			}
		}
		if proved := ask(t, a.Page(), http.MethodPost, "/details", nil, false, true).Body.String(); !strings.Contains(proved, "registry.example.org") {
			t.Error("the PIN shows no details")
		}
	}
}

// part is the answer to a stranger; of the stream, which does not end, its first event.
func part(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &impatient{httptest.NewRecorder(), cancel}
	h.ServeHTTP(w, guard.As(httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil), false, false))
	if !strings.Contains(w.Body.String(), "title") {
		t.Errorf("%s says nothing: %s", target, w.Body)
	}
	return w.Body.String()
}

// impatient goes away after the first event of a stream.
type impatient struct {
	*httptest.ResponseRecorder
	leave func()
}

func (w *impatient) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("event: page")) {
		defer w.leave()
	}
	return w.ResponseRecorder.Write(p)
}

func TestStreams(t *testing.T) {
	a := &pagetest.Agent{}
	a.Play(pagetest.States()[0])
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.Page().ServeHTTP(w, guard.As(r, true, false)) }))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/live?lang=fr")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("type %s", got)
	}
	buffer := make([]byte, 0, 1<<20)
	until := func(want string) {
		t.Helper()
		for !bytes.Contains(buffer, []byte(want)) {
			chunk := make([]byte, 32<<10)
			n, err := resp.Body.Read(chunk)
			buffer = append(buffer, chunk[:n]...)
			if err != nil {
				t.Fatalf("no %s in the stream: %v\n%s", want, err, buffer)
			}
		}
	}
	until("Tout est à jour.")
	for _, s := range pagetest.States() {
		if s.Name == "working" {
			a.Play(s)
		}
	}
	until(`"state":"working"`)
	resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// TestDhowItself: the details say which version of Dhow runs, which is asked for, and why it does not run; and what a line of the history is about.
func TestDhowItself(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	s := by["current"]
	s.Status.Agent = &api.Agent{Version: "1.0.0", Asked: "1.4.0", Trouble: "agent 1.4.0 did not work here: <b>it ended</b>", Kind: "failed"}
	u := s.History[0]
	u.Kind, u.From, u.To, u.Result = "agent", "1.0.0", "1.4.0", api.ResultRolledBack
	s.History = append([]api.Update{u}, s.History...)
	got := shown(t, s, "/details")
	for _, want := range []string{
		"Version of the agent asked for by the central team", "1.4.0", "Why that one does not run", "agent 1.4.0 did not work here: &lt;b&gt;it ended&lt;/b&gt;",
		"Dhow itself, 1.0.0 → 1.4.0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the details do not say %q", want)
		}
	}
	if got := shown(t, by["current"], "/details"); strings.Contains(got, "Why that one does not run") || strings.Contains(got, "Dhow itself") {
		t.Error("the details speak of another version when none is asked for")
	}
}
