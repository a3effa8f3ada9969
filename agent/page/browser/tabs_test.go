//go:build e2e

package browser

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// tabs opens more tabs than a browser has connections to one server: each of them follows what happens, and its button works.
func tabs(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "ready"))
	first := tab
	for range 7 {
		tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
		tab = tab.Tab(t)
	}
	// The last gets no stream, and must not be loaded anew for it: that would close what a person has opened.
	tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"), chromedp.Click("summary", chromedp.ByQuery), chromedp.Evaluate("window.mine = 1", nil))
	s.Play(state(t, "done"))
	for _, tab := range []*Tab{first, tab} {
		tab.Until(15*time.Second, `document.body.className === "s-done"`)
	}
	if !Eval[bool](tab, `window.mine === 1 && document.querySelector("details").open`) {
		t.Error("a page without a stream is loaded anew")
	}
	s.Play(state(t, "ready"))
	tab.Until(15*time.Second, `document.body.className === "s-ready" && document.title.startsWith("Update ready")`)
	if got := s.live(); got != http.StatusServiceUnavailable {
		t.Fatalf("a stream more is answered with %d", got)
	}
	first.Do(chromedp.Evaluate(`Object.defineProperty(document, "hidden", {get: () => true}); document.dispatchEvent(new Event("visibilitychange"))`, nil))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); s.live() != http.StatusOK; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("a tab that nobody sees keeps its stream")
		}
	}
	s.Calls()
	tab.Do(chromedp.Click("#b-now", chromedp.ByID))
	tab.asked(s, `update from="" release="1.1.0" now=true`)
}

// live asks for a stream, and leaves it.
func (s *stage) live() int {
	s.t.Helper()
	resp, err := http.Get(s.url("/live"))
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
