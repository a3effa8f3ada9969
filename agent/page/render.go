package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/DataDog/datadog-agent/pkg/template/html"

	"dhow/agent/words"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

//go:embed live.js
var liveJS string

// document is the page. The package is html/template, but for one thing: a template can't call methods. That of the standard library finds them by their
// names, and a linker that sees this leaves no method out, of any type: the program would be a third larger.
var document = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"say":       func(v *View, key string) string { return v.Say.Say(key) },
		"language":  func(v *View) string { return v.Say.Language() },
		"direction": func(v *View) string { return v.Say.Direction() },
		"languages": func(v *View) []words.Language { return v.Say.Languages() },
		"style":     style, // this and the script are the page's own and hold nothing from outside
		"script":    script,
		"edition":   func() string { return edition },
		"parts":     func() string { return strings.Join(parts, " ") },
		"heading":   (*View).heading,
		"live":      (*View).live,
		"lost":      func(v *View) string { return v.lost },
		"losttitle": func(v *View) string { return v.Say.Colon(v.Say.Say("page.word.lost"), v.Say.Say("page.lost")) },
		"chosen":    func(v *View) string { return v.chosen },
		"nonce":     func(v *View) string { return v.nonce },
		"stranger":  func(v *View) bool { return v.stranger },
		"asking":    (*View).asking,
		"percent":   (*Bar).percent,
	}).Parse(pageHTML))
})

// edition changes with the look of the page: a browser that shows another one loads it anew.
var edition = func() string {
	sum := sha256.Sum256([]byte(pageHTML + styleCSS + liveJS))
	return hex.EncodeToString(sum[:6])
}()

var (
	style  = sync.OnceValue(func() template.CSS { return template.CSS(compact(plainly(styleCSS))) })
	script = sync.OnceValue(func() template.JS { return template.JS(compact(liveJS)) })
)

// heading is what stands in the tab.
func (v *View) heading() string { return v.Say.Colon(v.Word, v.Title) }

// live reports whether the page follows what happens.
func (v *View) live() bool { return !v.Open && v.Ask == nil && !v.Refused }

// asking is the address of the form that asks for the PIN for a button.
func (v *View) asking(id string) string {
	if v.chosen == "" {
		return "/?ask=" + id
	}
	return "/" + v.chosen + "&ask=" + id
}

var (
	property = regexp.MustCompile(`--([a-z]+): ([^;]+);`)
	varies   = regexp.MustCompile(`[a-z-]+: [^;{}]*var\(--[a-z]+\)[^;{}]*;`)
	variable = regexp.MustCompile(`var\(--([a-z]+)\)`)
)

// plainly says every colour before as it is in the light, for browsers that know no custom properties. What begins with a state does so itself.
func plainly(css string) string {
	light := map[string]string{}
	root, _, _ := strings.Cut(css, "\n")
	for _, p := range property.FindAllStringSubmatch(root, -1) {
		light[p[1]] = p[2]
	}
	var b strings.Builder
	for line := range strings.Lines(css) {
		if !strings.HasPrefix(line, ".s-") {
			line = varies.ReplaceAllStringFunc(line, func(d string) string {
				return variable.ReplaceAllStringFunc(d, func(v string) string { return light[v[len("var(--"):len(v)-1]] }) + " " + d
			})
		}
		b.WriteString(line)
	}
	return b.String()
}

// compact takes the indentation and empty lines out.
func compact(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func render(v *View) (text string, err error) {
	if v.lost, err = execute("lost", v); err != nil {
		return "", err
	}
	return execute("page", v)
}

// parts are the pieces of the page that change while somebody looks, by the ids of their elements.
var parts = []string{"head", "lines", "bar", "acts", "receipt", "facts", "d-history", "d-backups", "d-machine", "d-warnings", "d-offers"}

// pieces renders the parts.
func pieces(v *View) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range parts {
		text, err := execute(name, v)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}

func execute(name string, v *View) (string, error) {
	var b strings.Builder
	if err := document().ExecuteTemplate(&b, name, v); err != nil {
		return "", fmt.Errorf("internal error: page: %w", err)
	}
	return b.String(), nil
}
