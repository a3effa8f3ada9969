//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dhow/agent/page/browser"
	"dhow/agent/site"
)

// until is how the maintenance page begins to say when the system is expected back.
var until = map[string]string{"fr": "Le retour est prévu à ", "ar": "يُتوقع أن يعود الساعة"}

// patients is true where the list of patients is shown, under its own address.
const patients = `location.pathname + location.search === "/patients?name=a" && document.body.innerText.includes("birthdate")`

// TestPage updates a clinic as its nurse does: she opens the page, presses the button, and reads that it is done. Two colleagues have a list of the
// medical record open; each sees in the own language that it is being updated, and has the list back without doing anything.
func TestPage(t *testing.T) {
	t.Parallel()
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "page")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	port := freePort(t)
	s.configure(func(c *site.Config) { c.Page.Listen = fmt.Sprintf("127.0.0.1:%d", port) })
	s.must("update", "--now")
	s.sane("1.0.0")
	centre.pin(t, s.name, "1.1.0", source)
	s.must("update") // it is fetched, and waits for its hour

	tab := browser.Open(t)
	tab.Speaks("fr-CD,fr;q=0.9")
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
	list := s.url("/patients?name=a")
	colleagues := map[string]*browser.Tab{"fr": tab.Tab(t), "ar": tab.Tab(t)}
	for language, tab := range colleagues {
		tab.Speaks(language)
		tab.Do(chromedp.Navigate(list))
		tab.Until(10*time.Second, patients)
	}
	tab.Do(chromedp.Click("#b-now", chromedp.ByID))
	tab.Until(time.Minute, `document.body.className === "s-working" && document.querySelector("progress")`)
	tab.Shot("clinic-2-working")
	told := map[string]bool{}
	poll(t, time.Minute, "the maintenance page", func() (bool, string) {
		for language, tab := range colleagues {
			if !told[language] {
				_ = tab.Try(chromedp.Navigate(list)) // which fails while the port is handed over
				told[language] = strings.Contains(tab.Text("#now"), until[language])
			}
		}
		return told["fr"] && told["ar"], fmt.Sprint(told)
	})
	for language, tab := range colleagues {
		if lang := browser.Eval[string](tab, "document.documentElement.lang"); lang != language {
			t.Errorf("who reads %s is told in %s", language, lang)
		}
		tab.Shot("clinic-door-" + language)
	}
	tab.Until(3*time.Minute, `document.body.className === "s-done"`)
	tab.Shot("clinic-3-done")
	if got, want := tab.Text("#title"), "Terminé. La version 1.1.0 est en service."; got != want {
		t.Errorf("the page says %q, want %q", got, want)
	}
	for _, tab := range colleagues {
		tab.Until(20*time.Second, patients)
	}
	s.sane("1.1.0")

	// An agent that goes away in the middle of a view is missed, and comes back.
	s.kill()
	tab.Until(30*time.Second, `!document.querySelector("#lost").hidden`)
	s.start()
	tab.Until(30*time.Second, `document.querySelector("#lost").hidden && document.body.className === "s-done"`)
}
