//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dhow/agent/page/browser"
	"dhow/agent/site"
)

// TestPage updates a clinic as its nurse does: she opens the page, presses the button, and reads that it is done.
func TestPage(t *testing.T) {
	t.Parallel()
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "page")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	port := freePort(t)
	s.configure(func(c *site.Config) { c.Page.Listen, c.Language = fmt.Sprintf("127.0.0.1:%d", port), "fr" })
	s.must("update", "--now")
	s.sane("1.0.0")
	centre.pin(t, s.name, "1.1.0", source)
	s.must("update") // it is fetched, and waits for its hour

	tab := browser.Open(t)
	tab.Look(400, false)
	poll(t, 20*time.Second, "the page", func() (bool, string) {
		err := tab.Try(chromedp.Navigate(fmt.Sprintf("http://127.0.0.1:%d/", port)))
		return err == nil, fmt.Sprint(err)
	})
	tab.Until(20*time.Second, `document.body.className === "s-done"`) // the first release; she knows
	tab.Do(chromedp.Click("#b-ok", chromedp.ByID))
	tab.Until(20*time.Second, `document.body.className === "s-ready"`)
	if got, want := tab.Text("#title"), "Une mise à jour est prête : 1.1.0."; got != want {
		t.Errorf("the page says %q, want %q", got, want)
	}
	tab.Shot("clinic-1-ready")
	tab.Do(chromedp.Click("#b-now", chromedp.ByID))
	tab.Until(time.Minute, `document.body.className === "s-working" && document.querySelector("progress")`)
	tab.Shot("clinic-2-working")
	tab.Until(3*time.Minute, `document.body.className === "s-done"`)
	tab.Shot("clinic-3-done")
	if got, want := tab.Text("#title"), "Terminé. La version 1.1.0 est en service."; got != want {
		t.Errorf("the page says %q, want %q", got, want)
	}
	s.sane("1.1.0")

	// An agent that goes away in the middle of a view is missed, and comes back.
	s.kill()
	tab.Until(30*time.Second, `!document.querySelector("#lost").hidden`)
	s.start()
	tab.Until(30*time.Second, `document.querySelector("#lost").hidden && document.body.className === "s-done"`)
}
