//go:build e2e

package browser

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// paper is the receipt on paper: all that matters, on one sheet, and nothing that can't be pressed there.
func paper(t *testing.T, tab *Tab, s *stage) {
	for name, c := range map[string]struct{ want, not string }{
		"done": {
			"kin-001|Done. Version 1.1.0 is running.|KIN-001-0017|From version|1.0.0|To version|1.1.0|21 Nov 2026 13:58|The system was away for|2 min 41 s|Backup made|2026-11-21T135312-0017",
			"OK|Print|Details|Updates|Français",
		},
		"failed":  {"The update did not work. Version 1.0.0 is running as before.|KIN-001-0017-R|+243 81 555 0142|21 Nov 2026 13:58", "OK|Print|Details|Updates|Français"},
		"current": {"Everything is up to date.", "Details|Updates|Backups|Français"},
	} {
		s.Play(state(t, name))
		tab.Look(1000, true)
		tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#print button"))
		var sheet []byte
		tab.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
			sheet, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).WithPreferCSSPageSize(true).Do(ctx)
			return err
		}))
		if n := len(regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(sheet, -1)); n != 1 {
			t.Errorf("%s takes %d sheets", name, n)
		}
		if dir := os.Getenv("DHOW_E2E_SHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "paper-"+name+".pdf"), sheet, 0o644); err != nil {
				t.Error(err)
			}
		}
		tab.Do(emulation.SetEmulatedMedia().WithMedia("print"))
		text := Eval[string](tab, "document.body.innerText")
		for _, want := range strings.Split(c.want, "|") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q on paper:\n%s", name, want, text)
			}
		}
		for _, not := range strings.Split(c.not, "|") {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q on paper:\n%s", name, not, text)
			}
		}
		tab.Do(emulation.SetEmulatedMedia().WithMedia(""))
	}
	s.Play(state(t, "failed"))
	tab.Do(chromedp.Navigate(s.url("/details?lang=en")), chromedp.WaitReady("#title"), emulation.SetEmulatedMedia().WithMedia("print"))
	if text := tab.Text("body"); !strings.Contains(text, "2026-11-20T020009-0030") || !strings.Contains(text, "Version of the agent") || strings.Contains(text, "Back\n") {
		t.Errorf("all details on paper:\n%s", text)
	}
}

// colours looks at the bar as people see it, also with the few colours of their own that some need: what is done is told from what is not.
func colours(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "working"))
	for _, feature := range []emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: "light"},
		{Name: "prefers-color-scheme", Value: "dark"},
		{Name: "forced-colors", Value: "active"},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	} {
		tab.Do(emulation.SetDeviceMetricsOverride(360, 640, 1, false), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{&feature}),
			chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
		bar := Eval[struct{ X, Y, Width, Height float64 }](tab, `(r => ({x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height}))(document.querySelector("progress").getBoundingClientRect())`)
		var data []byte
		tab.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
			data, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
			return err
		}))
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		at := func(part float64) color.Color { return picture.At(int(bar.X+part*bar.Width), int(bar.Y+bar.Height/2)) }
		if done, left := at(0.25), at(0.75); done == left || done != at(0.4) {
			t.Errorf("%s: %s: the bar is %v where it is done and %v where it is not", feature.Name, feature.Value, done, left)
		}
		if turns := Eval[bool](tab, `document.getAnimations().length > 0`); turns != (feature.Value != "reduce") {
			t.Errorf("%s: %s: moves: %v", feature.Name, feature.Value, turns)
		}
		tab.Shot("working-" + feature.Name + "-" + feature.Value)
	}
}

// old is a browser whose JavaScript is too old for the page's: it takes the page again and again, as one without JavaScript does, and never says that
// nobody answers.
func old(t *testing.T, tab *Tab, s *stage) {
	tab.Do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`delete window.EventSource; Object.defineProperty(XMLHttpRequest.prototype, "responseType", {get: () => "", set: () => {}})`).Do(ctx)
		return err
	}))
	s.Play(state(t, "fetching-looks"))
	tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
	if Eval[bool](tab, `!!document.querySelector("#print button")`) {
		t.Error("the script runs by half")
	}
	s.Play(state(t, "ready"))
	tab.Until(15*time.Second, `document.body.className === "s-ready" && document.querySelector("#lost").hidden`)
}

// newer is what a browser of the first edition of content security policies does not know.
var newer = regexp.MustCompile(`'nonce-[^']*'|(form-action|frame-ancestors|base-uri) [^;]*;?`)

// noNonces is a browser that knows a policy but no nonces, such as Safari 9, Android 4.4 and Edge 14: it has colours and follows what happens as others do.
func noNonces(t *testing.T, tab *Tab, s *stage) {
	inside, err := url.Parse(s.url(""))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(inside) },
		ModifyResponse: func(r *http.Response) error {
			policy := r.Header.Get("Content-Security-Policy")
			if !newer.MatchString(policy) {
				return fmt.Errorf("the policy %q says nothing that an old browser does not know", policy)
			}
			r.Header.Set("Content-Security-Policy", newer.ReplaceAllString(policy, ""))
			return nil
		},
	})
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	s.Play(state(t, "current"))
	tab.Do(chromedp.Navigate(srv.URL+"/?lang=en"), chromedp.WaitReady("#title"), chromedp.Evaluate("window.before = 1", nil))
	if got, want := Eval[string](tab, `getComputedStyle(document.querySelector(".card")).borderTopColor`), "rgb(27, 107, 58)"; got != want {
		t.Errorf("what is well is %s, want %s", got, want)
	}
	s.Play(state(t, "ready"))
	tab.Until(15*time.Second, `document.body.className === "s-ready"`)
	if !Eval[bool](tab, "window.before === 1") {
		t.Error("the page was loaded anew, though its script runs")
	}
}
