package doors

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dhow/agent/words"
)

// Page is what the maintenance page says. From and To are releases, Expected how long it will take about, Contact whom to call;
// each may be left empty. Language is that of the site, if it has one; else the browser's counts. Started is shown in its own location.
type Page struct {
	Title    string
	From, To string
	Started  time.Time
	Expected time.Duration
	Contact  string
	Code     string // what to tell whoever helps, when the update did not work
	Language string
}

const (
	reload = 10 * time.Second // how often a browser without scripts looks whether the stack is back
	stale  = 2 * time.Minute  // when any browser loads the page anew, should its script not work
)

var (
	//go:embed page.html
	document string
	//go:embed page.js
	script string
)

// policy allows the style and the script of the page, and that it asks for itself. 'unsafe-inline' is read only by browsers that know a policy but no hashes
// (Safari 9, Android 4.4, Edge 14), which would keep both out.
var policy = "default-src 'none'; style-src " + hash(between(document, "<style>", "</style>")) + " 'unsafe-inline'; script-src " + hash(script) +
	" 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// handler answers every path and method with status 503. A browser gets the page, which comes again under the same address until the stack does. What
// was sent with another method than GET has not arrived: that answer says so and stays, because loading it again by itself would hide it, and could
// send the same a second time. A program that asks for JSON gets that.
func handler(page func() *Page, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, h := page(), w.Header()
		reader := words.For(p.Language, r.Header.Get("Accept-Language"))
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Language", reader.Language())
		h.Set("Retry-After", strconv.Itoa(int(reload/time.Second)))
		h.Set("Vary", "Accept, Accept-Language")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Connection", "close")
		body := ""
		if wantsJSON(r.Header.Get("Accept")) {
			h.Set("Content-Type", "application/json")
			body = p.json(reader, now())
		} else {
			sent := r.Method != http.MethodGet && r.Method != http.MethodHead
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", policy)
			h.Set("Referrer-Policy", "no-referrer")
			if !sent {
				h.Set("Refresh", strconv.Itoa(int(stale/time.Second)))
			}
			body = p.render(reader, now(), sent)
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(body)) // a client that went away loses nothing
	})
}

// wantsJSON says whether an Accept header names JSON of some kind, such as application/fhir+json, and no HTML.
func wantsJSON(accept string) bool {
	accept = strings.ToLower(accept)
	return strings.Contains(accept, "json") && !strings.Contains(accept, "html")
}

// left is how long it still takes; none where nobody can tell: before it is known, over time, or with a clock that was set.
func (p Page) left(now time.Time) (left time.Duration, known, over bool) {
	if p.Started.IsZero() || p.Expected <= 0 {
		return 0, false, false
	}
	left = p.Expected - now.Sub(p.Started)
	over = left < 0 || left > p.Expected+time.Minute
	return left, !over, over
}

// json is the answer for programs: a fixed word, the sentence, and the seconds after which it should be over, if that is known.
func (p Page) json(r *words.Reader, now time.Time) string {
	answer := struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Left    *int   `json:"seconds_left,omitempty"`
	}{Error: "maintenance", Message: r.Say("door.title")}
	if left, known, _ := p.left(now); known {
		seconds := int(left / time.Second)
		answer.Left = &seconds
	}
	data, _ := json.Marshal(answer) // strings and a number
	return string(data) + "\n"
}

// callable is a text in which telephone numbers can be pressed.
func callable(text string) string {
	var b strings.Builder
	for _, p := range words.Phones(text) {
		if p.Call != "" {
			b.WriteString(`<a href="tel:` + p.Call + `" dir="ltr">` + html.EscapeString(p.Text) + "</a>")
			continue
		}
		b.WriteString(html.EscapeString(p.Text))
	}
	return b.String()
}

// render fills the document. Every value is escaped; all of them stand in text.
func (p Page) render(r *words.Reader, now time.Time, sent bool) string {
	var lines, more []string
	line := func(to *[]string, class, text string) {
		*to = append(*to, "<p"+class+">"+html.EscapeString(text)+"</p>")
	}
	if p.Code != "" {
		line(&lines, ` class="strong"`, r.Say("door.code", "code", p.Code))
	}
	if sent {
		line(&lines, ` class="strong"`, r.Say("door.not_saved"))
	} else {
		line(&lines, "", r.Say("door.wait"))
	}
	switch left, known, over := p.left(now); {
	case over:
		line(&lines, "", r.Say("door.longer"))
	case known:
		line(&lines, "", r.Say("door.end", "hour", p.Started.Add(p.Expected).Format("15:04"), "length", r.Length(left)))
	}
	line(&lines, "", r.Say("door.safe"))
	line(&lines, ` class="strong"`, r.Say("door.power"))
	switch {
	case p.From != "" && p.To != "":
		line(&more, "", r.Say("door.change", "release", p.From+" → "+p.To))
	case p.To != "":
		line(&more, "", r.Say("door.change", "release", p.To))
	}
	if !p.Started.IsZero() {
		line(&more, "", r.Say("door.started", "hour", p.Started.Format("15:04")))
	}
	if p.Contact != "" {
		more = append(more, "<p>"+callable(r.Say("door.contact", "contact", p.Contact))+"</p>")
	}
	heading, name, refresh, run := html.EscapeString(r.Say("door.title")), "", "", ""
	title := heading
	if p.Title != "" {
		name = `<p class="name"><bdi>` + html.EscapeString(p.Title) + "</bdi></p>\n"
		title += " – " + html.EscapeString(p.Title)
	}
	if !sent {
		refresh = `<noscript><meta http-equiv="refresh" content="` + strconv.Itoa(int(reload/time.Second)) + "\"></noscript>\n"
		run = "<script>" + script + "</script>\n"
	}
	return strings.NewReplacer(
		"{{language}}", r.Language(), "{{direction}}", r.Direction(), "{{refresh}}", refresh, "{{title}}", title, "{{name}}", name, "{{heading}}", heading,
		"{{lines}}", strings.Join(lines, "\n"), "{{more}}", strings.Join(more, "\n"), "{{script}}", run,
	).Replace(document)
}
