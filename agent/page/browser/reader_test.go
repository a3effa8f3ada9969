//go:build e2e

package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"dhow/agent/page/guard"
)

// focused is what has the focus, by its id or its words; "" when that is nothing.
const focused = `(e => e === document.body ? "" : (e.id || e.innerText))(document.activeElement)`

// walk presses Tab until nothing more can be reached, and answers what had the focus.
func (b *Tab) walk() string {
	b.t.Helper()
	var way []string
	for range 20 {
		b.Press(kb.Tab)
		at := Eval[string](b, focused)
		if at == "" {
			break
		}
		if outline := Eval[string](b, "getComputedStyle(document.activeElement).outlineStyle"); outline == "none" {
			b.t.Errorf("nobody sees that %s has the focus", at)
		}
		way = append(way, at)
	}
	return strings.Join(way, " ")
}

const tongues = "Français Português Español Kiswahili Kreyòl ayisyen العربية"

// keyboard goes through the page with the keys only, and presses what is there.
func keyboard(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "ready"))
	tab.Look(1000, false)
	open := func() {
		t.Helper()
		tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
	}
	open()
	if got, want := tab.walk(), "b-now b-later Updates Backups This computer Show all details on one page "+tongues; got != want {
		t.Errorf("the way through the page is\n%s\nwant\n%s", got, want)
	}
	open()
	tab.Press(kb.Tab + kb.Tab + kb.Tab)
	for _, c := range []struct {
		key  string
		open bool
	}{{kb.Enter, true}, {" ", false}, {" ", true}} {
		tab.Press(c.key)
		if got := Eval[bool](tab, `document.querySelector("details").open`); got != c.open {
			t.Errorf("the key %q leaves open %v", c.key, got)
		}
	}
	for _, key := range []string{kb.Enter, " "} {
		open()
		s.Calls()
		tab.Do(chromedp.Evaluate("window.before = 1", nil))
		tab.Press(kb.Tab + kb.Tab + key)
		tab.asked(s, "later")
		tab.Until(10*time.Second, `!window.before && document.querySelector("#title")`)
	}
	s.Play(state(t, "stuck"))
	open()
	if got, want := tab.walk(), "+243 81 555 0142 Updates"; !strings.HasPrefix(got, want) {
		t.Errorf("the way through the page is\n%s\nwant first\n%s", got, want)
	}
	if got := Eval[string](tab, `document.querySelector("#lines a").href`); got != "tel:+243815550142" {
		t.Errorf("the number calls %s", got)
	}
}

// pin is typed by who comes over the network. Nothing takes the focus or what was typed away, whatever happens meanwhile.
func pin(t *testing.T, tab *Tab, s *stage) {
	s.Play(state(t, "ready"))
	inside := *s.page.Load()
	var abroad http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("Content-Security-Policy") // which knows another nonce
		inside.ServeHTTP(w, guard.As(r, false, r.Method == http.MethodPost))
	})
	s.page.Store(&abroad)
	tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
	tab.Press(kb.Tab)
	if at := Eval[string](tab, focused); at != "b-now" {
		t.Fatalf("the first that is reached is %q", at)
	}
	tab.Press(kb.Enter)
	tab.Until(10*time.Second, `document.querySelector("#pin")`)
	if got, want := tab.walk(), "pin Update now Back "+tongues; got != want {
		t.Errorf("the way through the form is\n%s\nwant\n%s", got, want)
	}
	// Nothing in it follows what happens: a script or the browser that loaded it again would take away what is being typed.
	if got := Eval[string](tab, `Array.from(document.querySelectorAll("script, noscript, meta[http-equiv]")).map(e => e.outerHTML).join()`); got != "" {
		t.Errorf("while somebody types there is %s", got)
	}
	for _, v := range tab.Axe() {
		t.Errorf("the form: %s", v)
	}
	tab.Do(chromedp.Focus("#pin", chromedp.ByID))
	for _, key := range "314159" {
		tab.Press(string(key))
		if at := Eval[string](tab, focused); at != "pin" {
			t.Fatalf("while the PIN is typed the focus is at %q", at)
		}
	}
	if got := Eval[string](tab, `document.querySelector("#pin").value`); got != "314159" {
		t.Errorf("the PIN is %q", got)
	}
	tab.Shot("pin-en")
	s.Calls()
	tab.Press(kb.Enter)
	tab.asked(s, `update from="" release="1.1.0" now=true`)
}

// node is what a screen reader is told of an element.
type node struct {
	role, name, value string
	is                map[string]string
}

// tree is everything that a screen reader is told of the page, in order.
func (b *Tab) tree() (list []node) {
	b.t.Helper()
	var all []*accessibility.Node
	b.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		all, err = accessibility.GetFullAXTree().Do(ctx)
		return err
	}))
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		var s any
		if err := json.Unmarshal(v.Value, &s); err != nil {
			return ""
		}
		if text, ok := s.(string); ok {
			return text
		}
		return string(v.Value)
	}
	for _, n := range all {
		if n.Ignored {
			continue
		}
		is := map[string]string{}
		for _, p := range n.Properties {
			is[p.Name.String()] = text(p.Value)
		}
		list = append(list, node{text(n.Role), text(n.Name), text(n.Value), is})
	}
	return list
}

// role picks those of a role.
func role(all []node, role string) (list []node) {
	for _, n := range all {
		if n.role == role {
			list = append(list, n)
		}
	}
	return list
}

// tree looks at what a screen reader is told.
func tree(t *testing.T, tab *Tab, s *stage) {
	for name, bar := range map[string]string{"ready": "none", "working": "521", "fetching-looks": "", "done": "none", "failed": "none", "stuck": "none"} {
		s.Play(state(t, name))
		tab.Do(chromedp.Navigate(s.url("/?lang=en")), chromedp.WaitReady("#title"))
		all, title := tab.tree(), tab.Text("#title")
		var first []node
		for _, n := range role(all, "heading") {
			if n.is["level"] == "1" {
				first = append(first, n)
			}
		}
		if len(first) != 1 || first[0].name != title {
			t.Errorf("%s: the headings of the first level are %+v, want %q", name, first, title)
		}
		for kind, want := range map[string]int{"main": 1, "banner": 1, "contentinfo": 1, "navigation": 1, "status": 1, "alert": 0, "image": 0} {
			if got := role(all, kind); len(got) != want {
				t.Errorf("%s: %d of %s, want %d: %+v", name, len(got), kind, want, got)
			}
		}
		if got := role(all, "status"); len(got) == 1 && (got[0].is["live"] != "polite" || got[0].is["atomic"] != "true") {
			t.Errorf("%s: what changes is told so: %+v", name, got[0])
		}
		if got := role(all, "progressbar"); bar == "none" && len(got) > 0 || bar != "none" && (len(got) != 1 || got[0].name != title || got[0].value != bar) {
			t.Errorf("%s: the bars are %+v", name, got)
		}
		for _, n := range all {
			if (n.role == "button" || n.role == "link" || n.role == "DisclosureTriangle" || n.role == "navigation") && n.name == "" {
				t.Errorf("%s: without a name: %+v", name, n)
			}
		}
	}
}
