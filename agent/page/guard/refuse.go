package guard

import (
	"html"
	"net/http"
	"strings"

	"dhow/agent/words"
)

// document is the page of a refusal. Of the request it holds nothing but a language that there is.
const document = `<!DOCTYPE html>
<html lang="{{language}}" dir="{{direction}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{{title}}</title>
<style nonce="{{nonce}}">
html{background:#f2f5f7;color:#16242e}a{color:#0b5d8f}
@media (prefers-color-scheme: dark){html{background:#0f171c;color:#e8eff3}a{color:#86c5ee}}
body{font:1.25em/1.5 system-ui,sans-serif;max-width:34em;margin:3em auto;padding:0 1em}
</style>
<main>
<h1>{{title}}</h1>
<p>{{sentence}}</p>
<p><a href="/{{chosen}}">{{back}}</a></p>
</main>
</html>
`

// refuse answers with a sentence in the reader's language.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, status int, key string, args ...any) {
	said := g.words(r)
	chosen := "" // the language that somebody has chosen is carried along
	if lang := r.URL.Query().Get("lang"); words.Speaks(lang) {
		chosen = "?lang=" + words.For(lang).Language()
	}
	body := strings.NewReplacer(
		"{{chosen}}", chosen,
		"{{language}}", said.Language(),
		"{{direction}}", said.Direction(),
		"{{nonce}}", Nonce(r),
		"{{title}}", html.EscapeString(said.Say("guard.title")),
		"{{sentence}}", html.EscapeString(said.Say(key, args...)),
		"{{back}}", html.EscapeString(said.Say("guard.back")),
	).Replace(document)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // a client that went away loses nothing
	}
}
