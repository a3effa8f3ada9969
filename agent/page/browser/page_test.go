//go:build e2e

package browser

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dhow/agent/api"
	"dhow/agent/page/guard"
	"dhow/agent/page/pagetest"
	"dhow/agent/site"
)

// stage is the page behind its guard, played by a scripted agent.
type stage struct {
	*pagetest.Agent
	t    *testing.T
	page atomic.Pointer[http.Handler]
	addr string
	srv  *httptest.Server
}

// Play shows a state at once: a new page remembers nothing of the last one.
func (s *stage) Play(state pagetest.State) {
	s.Agent.Play(state)
	h := s.Page()
	s.page.Store(&h)
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Agent: &pagetest.Agent{}, t: t}
	s.open("127.0.0.1:0")
	t.Cleanup(s.close)
	return s
}

func (s *stage) open(addr string) {
	s.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	g := guard.New(guard.Options{
		Dir: s.t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Config: func() *site.Config { return &site.Config{Site: "kin-001", Page: site.Page{Listen: s.addr}} },
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.page.Load()).ServeHTTP(w, r) }))
	s.srv = httptest.NewUnstartedServer(http.Handler(g))
	_ = s.srv.Listener.Close()
	s.srv.Listener = l
	s.srv.Start()
}

func (s *stage) close() { s.srv.CloseClientConnections(); s.srv.Close() }

func (s *stage) url(path string) string { return "http://" + s.addr + path }

func state(t *testing.T, name string) pagetest.State {
	t.Helper()
	for _, s := range pagetest.States() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no state %s", name)
	return pagetest.State{}
}

// narrow is a page of 1280 pixels at 400 %.
const narrow = 320

// touch lists what is too small to be hit: everything that can be pressed is 24 pixels high and wide at least.
const touch = `Array.from(document.querySelectorAll("a, button, input, summary")).filter(e => e.offsetParent).map(e => [e, e.getBoundingClientRect()])
.filter(([e, r]) => r.height < 24 || r.width < 24).map(([e, r]) => e.outerHTML + " " + r.width + "x" + r.height)`

func TestPage(t *testing.T) {
	browser := Open(t)
	for name, test := range map[string]func(*testing.T, *Tab, *stage){
		"states-en": states("en", narrow, false, true), "states-ar": states("ar", narrow, true, true), "states-fr": states("fr", 1000, false, false),
		"details": details, "keyboard": keyboard, "pin": pin, "tree": tree, "paper": paper, "colours": colours, "old": old, "no nonces": noNonces, "door": door, "live": live, "tabs": tabs, "without scripts": withoutScripts, "lost": lost,
	} {
		// What one waits for, the others use.
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, browser.Tab(t), newStage(t)) })
	}
}

// states shows every state in a language, so many pixels wide, and looks for what is wrong with it.
func states(language string, width int64, dark, axe bool) func(*testing.T, *Tab, *stage) {
	return func(t *testing.T, tab *Tab, s *stage) {
		tab.Look(width, dark)
		for _, state := range append(pagetest.States(), pagetest.HostileState("ready"), pagetest.HostileState("failed")) {
			s.Play(state)
			name := state.Name + "-" + language
			tab.Do(chromedp.Navigate(s.url("/?lang="+language)), chromedp.WaitReady("#title"))
			if got := Eval[string](tab, "document.body.className"); got != "s-"+state.Want {
				t.Errorf("%s is shown as %s", name, got)
			}
			if w := Eval[int64](tab, "document.documentElement.scrollWidth"); w > width {
				t.Errorf("%s is %d pixels wide on a screen of %d", name, w, width)
			}
			for _, small := range Eval[[]string](tab, touch) {
				t.Errorf("%s: too small: %s", name, small)
			}
			if title := Eval[string](tab, "document.title"); strings.Contains(title, "owned") && !strings.Contains(title, "document.title") {
				t.Errorf("%s ran a script from outside", name)
			}
			if axe {
				for _, v := range tab.Axe() {
					t.Errorf("%s: %s", name, v)
				}
			}
			tab.Shot(name)
		}
	}
}

// details is the page with everything on it, and the one with next to nothing.
func details(t *testing.T, tab *Tab, s *stage) {
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!doctype html><form method="post" action=%q></form>`, s.url("/update?lang=fr"))
	}))
	t.Cleanup(foreign.Close)
	for _, dark := range []bool{false, true} {
		tab.Look(narrow, dark)
		s.Play(state(t, "failed"))
		tab.Do(chromedp.Navigate(s.url("/details?lang=en")), chromedp.WaitReady("#title"))
		for _, v := range tab.Axe() {
			t.Errorf("dark %v: %s", dark, v)
		}
		tab.Shot(fmt.Sprintf("details-dark-%v", dark))
		// What the guard says to a form of another page.
		tab.Do(chromedp.Navigate(foreign.URL), chromedp.Evaluate("setTimeout(() => document.forms[0].submit())", nil))
		tab.Until(10*time.Second, `document.documentElement.lang === "fr" && document.querySelector("main h1 + p + p a")`)
		for _, v := range append(tab.Axe(), Eval[[]string](tab, touch)...) {
			t.Errorf("refused, dark %v: %s", dark, v)
		}
		tab.Shot(fmt.Sprintf("refused-dark-%v", dark))
	}
}

// asked waits until the agent has been asked for one thing.
func (b *Tab) asked(s *stage, want string) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		switch got := s.Calls(); {
		case len(got) == 1 && got[0] == want:
			return
		case len(got) > 0 || time.Now().After(deadline):
			b.t.Fatalf("the agent was asked for %q, want %q", got, want)
		}
	}
}

// live follows what happens: nothing that a person does is disturbed.
func live(t *testing.T, tab *Tab, s *stage) {
	ready := state(t, "ready")
	s.Play(ready)
	tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"), chromedp.Click("summary", chromedp.ByQuery), chromedp.Focus("#b-later", chromedp.ByID))
	ready.Status.Note = "Another form"
	ready.History = append([]api.Update{{ID: 18, Receipt: "KIN-001-0018", Kind: "apply", To: "7.7.7", Result: api.ResultDone, Started: pagetest.Now, Finished: pagetest.Now}}, ready.History...)
	ready.Status.LastUpdate = &ready.History[1]
	s.Play(ready)
	tab.Until(10*time.Second, `document.querySelector("#lines").innerText.includes("Another form")`)
	if at := Eval[string](tab, "document.activeElement.id"); at != "b-later" {
		t.Errorf("the focus is at %q", at)
	}
	if !Eval[bool](tab, `document.querySelector("details").open`) {
		t.Error("the details were closed")
	}
	s.Play(state(t, "working"))
	tab.Until(10*time.Second, `document.body.className === "s-working" && document.querySelector("progress").value > 500`)
	if at := Eval[string](tab, "document.activeElement.id"); at != "title" {
		t.Errorf("the button that had the focus is gone, and the focus is at %q", at)
	}
	if bar := Eval[bool](tab, `document.querySelector("#head").contains(document.querySelector("progress"))`); bar {
		t.Error("a screen reader is told every step of the bar")
	}
	if !Eval[bool](tab, `document.querySelector("details").open`) {
		t.Error("the details were closed by the update")
	}
	if Eval[bool](tab, `!document.querySelector("#print button").hidden`) {
		t.Error("a receipt that is not there can be printed")
	}
	done := state(t, "done")
	s.Play(done)
	tab.Until(10*time.Second, `document.querySelector("#title").innerText === "Done. Version 1.1.0 is running." && !document.querySelector("#print button").hidden`)
	tab.Do(chromedp.Focus("#print button", chromedp.ByQuery))
	done.Status.Note = "Another form"
	s.Play(done)
	tab.Until(10*time.Second, `document.querySelector("#lines").innerText.includes("Another form")`)
	if !Eval[bool](tab, `document.activeElement.parentNode.id === "print"`) {
		t.Error("the button that prints has lost the focus")
	}
	tab.Do(chromedp.Click("#b-ok", chromedp.ByID))
	tab.Until(10*time.Second, `document.body.className === "s-current"`)
}

// withoutScripts is the same without JavaScript: the browser loads the page anew by itself, and the button works.
func withoutScripts(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "fetching-looks"))
	tab.Scripts(false)
	tab.Do(chromedp.Navigate(s.url("/?lang=sw")), chromedp.WaitReady("#title"))
	s.Play(state(t, "ready"))
	tab.Until(15*time.Second, `document.body.className === "s-ready"`)
	if got := tab.Text("#b-now"); got != "Sasisha sasa" {
		t.Errorf("the language was lost: %q", got)
	}
	s.Calls()
	s.Play(state(t, "working"))
	tab.Do(chromedp.Click("#b-now", chromedp.ByID))
	tab.Until(10*time.Second, `document.body.className === "s-working" && location.search === "?lang=sw"`)
	tab.asked(s, `update from="" release="1.1.0" now=true`)
	tab.Shot("without-scripts-sw")
}

// lost takes the agent away: what was said last must not stay, and comes back with the agent.
func lost(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "current"))
	tab.Look(1000, false)
	tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
	tab.Until(5*time.Second, `document.querySelector("#lost").hidden`)
	s.close()
	tab.Until(20*time.Second, `!document.querySelector("#lost").hidden && document.querySelector("#now").hidden`)
	if got := Eval[string](tab, `document.body.className + " " + document.title`); got != "s-unknown No answer: There is no answer from the agent. Please wait." {
		t.Errorf("the lost page is %s", got)
	}
	tab.Shot("lost-en")
	for _, v := range tab.Axe() {
		t.Errorf("lost: %s", v)
	}
	s.Play(state(t, "needs-disk"))
	s.open(s.addr)
	tab.Until(20*time.Second, `document.querySelector("#lost").hidden && document.body.className === "s-needs" && document.title.startsWith("Please look: ")`)
}
