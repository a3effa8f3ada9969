package doors

import (
	_ "embed"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Page is what the maintenance page says. From and To are releases, Expected how long it will take about, Contact whom to call;
// each may be left empty. Language is "en", "fr", or a tag that begins so; everything else is answered in English. Started is
// shown in its own location.
type Page struct {
	Title    string
	From, To string
	Started  time.Time
	Expected time.Duration
	Contact  string
	Code     string // what to tell whoever helps, when the update did not work
	Language string
}

// reload is how often the page looks whether the stack is back.
const reload = 10 * time.Second

//go:embed page.html
var document string

// words are the sentences of one language; %s stands for the value.
type words struct {
	title, wait, safe, power, change, started, left, longer, moment, contact, code string
}

var languages = map[string]words{
	"en": {
		title:   "The system is being updated",
		wait:    "Please wait. This page comes back by itself.",
		safe:    "What you have already saved is kept.",
		power:   "Do not switch off the computer.",
		change:  "Version %s",
		started: "Started at %s",
		left:    "About %s min left",
		moment:  "Less than a minute left",
		longer:  "It takes a little longer than usual",
		contact: "Questions: %s",
		code:    "The update did not work: the system goes back to what it was. Code for whoever helps: %s",
	},
	"fr": {
		title:   "Le système est en cours de mise à jour",
		wait:    "Veuillez patienter. Cette page revient toute seule.",
		safe:    "Ce que vous avez déjà enregistré est conservé.",
		power:   "N’éteignez pas l’ordinateur.",
		change:  "Version %s",
		started: "Début à %s",
		left:    "Encore %s min environ",
		moment:  "Encore moins d’une minute",
		longer:  "Cela dure un peu plus longtemps que d’habitude",
		contact: "Questions : %s",
		code:    "La mise à jour n’a pas réussi : le système revient à son état d’avant. Code pour l’assistance : %s",
	},
}

func handler(page func() *Page, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Retry-After", strconv.Itoa(int(reload/time.Second)))
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Connection", "close")
		body := page().render(now())
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(body)) // a client that went away loses nothing
	})
}

// render fills the document. Every value is escaped; all of them stand in text.
func (p Page) render(now time.Time) string {
	language, _, _ := strings.Cut(strings.ToLower(p.Language), "-")
	language, _, _ = strings.Cut(language, "_")
	text, ok := languages[language]
	if !ok {
		language, text = "en", languages["en"]
	}
	title := p.Title
	if title == "" {
		title = text.title
	}
	var lines []string
	line := func(format, value string) {
		if value != "" {
			lines = append(lines, "<p>"+html.EscapeString(strings.Replace(format, "%s", value, 1))+"</p>")
		}
	}
	switch {
	case p.From != "" && p.To != "":
		line(text.change, p.From+" → "+p.To)
	case p.To != "":
		line(text.change, p.To)
	}
	if !p.Started.IsZero() {
		line(text.started, p.Started.Format("15:04"))
	}
	if !p.Started.IsZero() && p.Expected > 0 {
		switch left := p.Expected - now.Sub(p.Started); {
		case left < 0 || left > p.Expected+time.Minute: // over time, or a clock that was set
			line("%s", text.longer)
		case left < time.Minute:
			line("%s", text.moment)
		default:
			line(text.left, strconv.Itoa(int((left+time.Minute-1)/time.Minute)))
		}
	}
	line(text.code, p.Code)
	line(text.contact, p.Contact)
	return strings.NewReplacer(
		"{{language}}", language,
		"{{reload}}", strconv.Itoa(int(reload/time.Second)),
		"{{title}}", html.EscapeString(title),
		"{{wait}}", html.EscapeString(text.wait),
		"{{safe}}", html.EscapeString(text.safe),
		"{{power}}", html.EscapeString(text.power),
		"{{lines}}", strings.Join(lines, "\n"),
	).Replace(document)
}
