//go:build e2e

package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"dhow/agent/doors"
)

// record is a medical record with a form at every path.
type record struct {
	mu   sync.Mutex
	sent []string
}

func (m *record) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		m.mu.Lock()
		m.sent = append(m.sent, r.PostFormValue("weight"))
		m.mu.Unlock()
	}
	_, _ = fmt.Fprintf(w, `<!doctype html><title>Record</title><h1>Record %s</h1><form method="post" action="/save"><input id="weight" name="weight"><button id="save">Save</button></form>`, r.Method)
}

func (m *record) saved() string { m.mu.Lock(); defer m.mu.Unlock(); return fmt.Sprint(m.sent) }

// door is what people see who work in the medical record while it is updated: the page in their language, which goes away by itself, and, for who has
// just sent a form, that it was not saved.
func door(t *testing.T, tab *Tab, _ *stage) {
	app := &record{}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	serve := func(l net.Listener) *http.Server {
		srv := &http.Server{Handler: app}
		go func() { _ = srv.Serve(l) }()
		return srv
	}
	srv := serve(l)
	t.Cleanup(func() { _ = srv.Close() })
	const path = "/openmrs/patient?id=7&visit=12"
	here := "http://" + addr.String() + path

	french, arabic, nurse := tab, tab.Tab(t), tab.Tab(t)
	arabic.Do(chromedp.ActionFunc(func(ctx context.Context) error { // an old browser
		_, err := page.AddScriptToEvaluateOnNewDocument("delete window.fetch").Do(ctx)
		return err
	}))
	for tab, languages := range map[*Tab]string{french: "fr-CD,fr;q=0.9,en;q=0.5", arabic: "ar", nurse: "fr"} {
		tab.Speaks(languages)
		tab.Look(narrow, false)
		tab.Do(chromedp.Navigate(here), chromedp.WaitReady("#save"))
	}
	nurse.Do(chromedp.SendKeys("#weight", "12.5 kg", chromedp.ByID))
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	closed, err := doors.Close(ctx, []doors.Port{{HostIP: addr.Addr().String(), Port: addr.Port()}}, doors.Page{
		Title: "drc-emr", From: "1.0.0", To: "1.1.0", Started: time.Now(), Expected: 10 * time.Minute, Contact: "Dr. Kalala, +243 81 555 0142",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closed.Open() })

	nurse.Do(chromedp.Click("#save", chromedp.ByID))
	nurse.Until(10*time.Second, `document.querySelector("#now") && document.querySelector("#now").innerText.includes("n’a pas été enregistré")`)
	for _, c := range []struct {
		tab                *Tab
		name, title, until string
	}{
		{french, "fr", "Le système est en cours de mise à jour", "Le retour est prévu à "},
		{arabic, "ar", "يجري تحديث النظام", "الساعة"},
		{nurse, "fr-sent", "Le système est en cours de mise à jour", "Le retour est prévu à "},
	} {
		if c.tab != nurse {
			c.tab.Do(chromedp.Reload(), chromedp.WaitReady("#now"))
		}
		if got := c.tab.Text("h1"); got != c.title {
			t.Errorf("%s: the title is %q", c.name, got)
		}
		if got := c.tab.Text("#now"); !strings.Contains(got, c.until) {
			t.Errorf("%s: it does not say until when:\n%s", c.name, got)
		}
		for _, dark := range []bool{false, true} {
			for _, width := range []int64{narrow, 1000} {
				c.tab.Look(width, dark)
				if w := Eval[int64](c.tab, "document.documentElement.scrollWidth"); w > width {
					t.Errorf("%s is %d pixels wide on a screen of %d", c.name, w, width)
				}
			}
			for _, v := range append(c.tab.Axe(), Eval[[]string](c.tab, touch)...) {
				t.Errorf("%s, dark %v: %s", c.name, dark, v)
			}
			c.tab.Shot(fmt.Sprintf("door-%s-dark-%v", c.name, dark))
		}
	}
	if err := closed.Open(); err != nil {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp4", addr.String()); err != nil {
		t.Fatal(err)
	}
	back := serve(l)
	t.Cleanup(func() { _ = back.Close() })
	for _, tab := range []*Tab{french, arabic} {
		tab.Until(20*time.Second, fmt.Sprintf(`location.href === %q && document.title === "Record" && document.querySelector("h1").innerText === "Record GET"`, here))
	}
	// Who has sent a form is still told, until she goes back to it; nothing is sent by itself.
	if got := nurse.Text("#now"); !strings.Contains(got, "n’a pas été enregistré") {
		t.Errorf("the nurse is not told any more that her form was not saved:\n%s", got)
	}
	if got := app.saved(); got != "[]" {
		t.Errorf("sent by itself: %s", got)
	}
	nurse.Do(chromedp.Evaluate("setTimeout(() => history.back())", nil))
	nurse.Until(10*time.Second, `document.querySelector("#weight") && document.querySelector("#weight").value === "12.5 kg"`)
	nurse.Do(chromedp.Evaluate(`setTimeout(() => document.querySelector("#save").click())`, nil))
	nurse.Until(10*time.Second, `document.title === "Record" && document.querySelector("h1").innerText === "Record POST"`)
	if got := app.saved(); got != "[12.5 kg]" {
		t.Errorf("saved: %s", got)
	}
}
