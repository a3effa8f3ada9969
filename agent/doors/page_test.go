package doors

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dhow/agent/words"
)

func TestPage(t *testing.T) {
	start := time.Date(2026, 11, 21, 21, 3, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		page  Page
		after time.Duration
		want  []string
		not   []string
	}{
		{
			Page{},
			0,
			[]string{
				`<html lang="en" dir="ltr">`, "<title>The system is being updated</title>", "<h1>The system is being updated</h1>",
				`<noscript><meta http-equiv="refresh" content="10"></noscript>`, "<script>", "This page comes back by itself.",
			},
			[]string{"Version", "Started", "Questions", "back at", "<bdi>", "not saved"},
		},
		{
			Page{Title: "drc-emr", From: "1.0.0", To: "1.1.0", Started: start, Expected: 3 * time.Minute, Contact: "Aline, 099 123 4567", Language: "fr-CD"},
			30 * time.Second,
			[]string{
				`<html lang="fr" dir="ltr">`, "<bdi>drc-emr</bdi>", "<title>Le système est en cours de mise à jour – drc-emr</title>",
				"<p>Le retour est prévu à 21:06, dans environ 3 minutes.</p>", "<p>Version 1.0.0 → 1.1.0</p>", "<p>Début à 21:03</p>",
				`<p>Questions : Aline, <a href="tel:0991234567" dir="ltr">099 123 4567</a></p>`,
			},
			nil,
		},
		{
			Page{To: "1.1.0", Started: start, Expected: 3 * time.Minute, Language: "ar"},
			time.Minute,
			[]string{`<html lang="ar" dir="rtl">`, "<h1>يجري تحديث النظام</h1>", "الساعة \u206821:06\u2069، بعد \u2068نحو دقيقتين\u2069.", "<p>الإصدار \u20681.1.0\u2069</p>"},
			nil,
		},
		{
			Page{To: "1.1.0", Started: start, Expected: 3 * time.Minute},
			150 * time.Second,
			[]string{"<p>Version 1.1.0</p>", "back at 21:06, in less than a minute."},
			nil,
		},
		{Page{Code: "KIN-001-0018-R"}, 0, []string{`<p class="strong">The update did not work`, "KIN-001-0018-R</p>"}, nil},
		{Page{Started: start, Expected: 3 * time.Minute}, 4 * time.Minute, []string{"It takes a little longer than usual."}, []string{"back at"}},
		{Page{Started: start, Expected: 3 * time.Minute}, -400 * time.Hour, []string{"It takes a little longer than usual."}, []string{"back at"}},
		{Page{Language: "de", Started: start}, 0, []string{`<html lang="en" dir="ltr">`, "Started at 21:03"}, []string{"back at", "longer"}},
		{
			Page{Title: "<script>", From: "{{heading}}", To: "&", Contact: `"><img src=x>`},
			0,
			[]string{"<bdi>&lt;script&gt;</bdi>", "{{heading}} → &amp;", "&#34;&gt;&lt;img"},
			[]string{"<img"},
		},
	} {
		html := c.page.render(words.For(c.page.Language), start.Add(c.after), false)
		for _, want := range c.want {
			if !strings.Contains(html, want) {
				t.Errorf("%+v: no %q in\n%s", c.page, want, html)
			}
		}
		for _, not := range append(c.not, "src=", "href=", "url(", "{{lines", "%s", "%!", "?</p>") {
			if strings.Contains(strings.ReplaceAll(html, `href="tel:`, ""), not) && !(not == "src=" && c.page.Contact != "") {
				t.Errorf("%+v: %q in\n%s", c.page, not, html)
			}
		}
		if len(html) > 8<<10 {
			t.Errorf("the page has %d bytes", len(html))
		}
	}
}

// ask sends one request to closed doors.
func ask(page Page, method, accept, languages string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/openmrs/patient?id=7", strings.NewReader("name=x"))
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Language", languages)
	w := httptest.NewRecorder()
	handler(func() *Page { return &page }, time.Now).ServeHTTP(w, r)
	return w
}

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// The site's own language counts, the browser's where the site has none.
func TestLanguageOfThePage(t *testing.T) {
	for _, c := range []struct{ site, browser, want string }{
		{"", "", "en"},
		{"", "ht", "ht"},
		{"", "de-DE,de;q=0.9,pt;q=0.4,es;q=0.7", "es"},
		{"sw", "fr", "sw"},
		{"de", "fr", "fr"},
	} {
		w := ask(Page{Language: c.site}, http.MethodGet, browser, c.browser)
		if got := w.Header().Get("Content-Language"); got != c.want || !strings.Contains(w.Body.String(), `<html lang="`+c.want+`"`) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// What was sent in a form has not arrived. The answer says so, and nothing in it loads it, or anything else, by itself.
func TestWhatWasSentIsNotSentAgain(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		w := ask(Page{}, method, browser, "en")
		html := w.Body.String()
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" || !strings.Contains(html, "What you have just sent was not saved.") {
			t.Errorf("%s: %d\n%s", method, w.Code, html)
		}
		if w.Header().Get("Refresh") != "" || strings.Contains(html, "http-equiv") || strings.Contains(html, "<script") || strings.Contains(html, "comes back by itself") {
			t.Errorf("%s: it is loaded again:\n%s", method, html)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if w := ask(Page{}, method, browser, "en"); w.Header().Get("Refresh") != "120" {
			t.Errorf("%s: refresh %q", method, w.Header().Get("Refresh"))
		}
	}
}

func TestProgramsGetJSON(t *testing.T) {
	start := time.Now()
	page := Page{Started: start, Expected: 3 * time.Minute, Language: "fr"}
	for _, accept := range []string{"application/json", "application/json, text/plain, */*", "application/fhir+JSON"} {
		w := ask(page, http.MethodPost, accept, "")
		var got struct {
			Error, Message string
			Left           *int `json:"seconds_left"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" || w.Header().Get("Content-Type") != "application/json" ||
			got.Error != "maintenance" || got.Message != "Le système est en cours de mise à jour" || got.Left == nil || *got.Left < 60 || *got.Left > 180 {
			t.Errorf("%s: %d %v %s", accept, w.Code, w.Header(), w.Body)
		}
	}
	if w := ask(Page{}, http.MethodGet, "application/json", ""); w.Body.String() != `{"error":"maintenance","message":"The system is being updated"}`+"\n" {
		t.Errorf("%s", w.Body)
	}
	for _, accept := range []string{browser, "", "*/*", "text/html, application/json"} {
		if w := ask(page, http.MethodGet, accept, ""); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%q: %v", accept, w.Header())
		}
	}
}

// The policy allows the very style and script that the page has, and nothing from elsewhere.
func TestPolicy(t *testing.T) {
	w := ask(Page{Title: "x"}, http.MethodGet, browser, "fr")
	got := w.Header().Get("Content-Security-Policy")
	html := w.Body.String()
	for _, want := range []string{"default-src 'none';", "style-src " + hash(between(html, "<style>", "</style>")) + " 'unsafe-inline';", "script-src " + hash(between(html, "<script>", "</script>")) + " 'unsafe-inline';"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	// Beside a hash it is for browsers alone that know none.
	if strings.Count(got, "unsafe") != 2 || strings.Contains(got, "*") || strings.Count(html, "<script") != 1 || strings.Count(html, "<style") != 1 || strings.Contains(html, "style=") {
		t.Errorf("%s\n%s", got, html)
	}
}
