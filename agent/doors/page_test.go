package doors

import (
	"strings"
	"testing"
	"time"
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
			[]string{`<html lang="en">`, "<h1>The system is being updated</h1>", `http-equiv="refresh" content="10"`},
			[]string{"Version", "Started", "Questions"},
		},
		{
			Page{From: "1.0.0", To: "1.1.0", Started: start, Expected: 3 * time.Minute, Contact: "Aline, 099 123", Language: "fr-CD"},
			30 * time.Second,
			[]string{
				`<html lang="fr">`, "<h1>Le système est en cours de mise à jour</h1>", "<p>Version 1.0.0 → 1.1.0</p>", "<p>Début à 21:03</p>",
				"<p>Encore 3 min environ</p>", "<p>Questions : Aline, 099 123</p>",
			},
			nil,
		},
		{
			Page{To: "1.1.0", Started: start, Expected: 3 * time.Minute},
			150 * time.Second,
			[]string{"<p>Version 1.1.0</p>", "Less than a minute left"},
			nil,
		},
		{Page{Code: "KIN-001-0018-R"}, 0, []string{"<p>The update did not work", "KIN-001-0018-R</p>"}, nil},
		{Page{Started: start, Expected: 3 * time.Minute}, 4 * time.Minute, []string{"It takes a little longer than usual"}, []string{"left"}},
		{Page{Started: start, Expected: 3 * time.Minute}, -400 * time.Hour, []string{"It takes a little longer than usual"}, []string{"left"}},
		{Page{Language: "sw", Started: start}, 0, []string{`<html lang="en">`, "Started at 21:03"}, []string{"left", "longer"}},
		{
			Page{Title: "<script>", From: "{{title}}", To: "&", Contact: `"><img src=x>`},
			0,
			[]string{"&lt;script&gt;", "{{title}} → &amp;", "&#34;&gt;&lt;img"},
			[]string{"<script", "<img"},
		},
	} {
		html := c.page.render(start.Add(c.after))
		for _, want := range c.want {
			if !strings.Contains(html, want) {
				t.Errorf("%+v: no %q in\n%s", c.page, want, html)
			}
		}
		for _, not := range append(c.not, "src=", "href=", "url(", "{{wait", "%s", "%!") {
			if strings.Contains(html, not) && !(not == "src=" && c.page.Contact != "") {
				t.Errorf("%+v: %q in\n%s", c.page, not, html)
			}
		}
		if len(html) > 8<<10 {
			t.Errorf("the page has %d bytes", len(html))
		}
	}
}

func TestLanguagesAreComplete(t *testing.T) {
	for name, w := range languages {
		for _, s := range []string{w.title, w.wait, w.safe, w.power, w.change, w.started, w.left, w.longer, w.moment, w.contact} {
			if s == "" {
				t.Errorf("%s lacks a sentence", name)
			}
		}
	}
}
