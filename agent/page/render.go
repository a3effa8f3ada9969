package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"regexp"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

//go:embed live.js
var liveJS string

var document = template.Must(template.New("page").Parse(pageHTML))

// edition changes with the look of the page: a browser that shows another one loads it anew.
var edition = func() string {
	sum := sha256.Sum256([]byte(pageHTML + styleCSS + liveJS))
	return hex.EncodeToString(sum[:6])
}()

var (
	style  = template.CSS(compact(plainly(styleCSS)))
	script = template.JS(compact(liveJS))
)

// Style is the style sheet, Script the script. Both are the page's own and hold nothing from outside.
func (v *View) Style() template.CSS { return style }

// Script is the script of the page.
func (v *View) Script() template.JS { return script }

// Edition tells a browser whether the page that it shows is of this program.
func (v *View) Edition() string { return edition }

// Parts names what changes while somebody looks, for a browser that has to load the page again and again to follow it.
func (v *View) Parts() string { return strings.Join(parts, " ") }

// Heading is what stands in the tab.
func (v *View) Heading() string { return v.Word + ": " + v.Title }

// Live reports whether the page follows what happens.
func (v *View) Live() bool { return !v.Open && v.Ask == nil && !v.Refused }

// Lost is what the script of the page shows when nobody answers. It stands in an attribute: a browser without script or style must not say it.
func (v *View) Lost() (string, error) { return execute("lost", v) }

// Chosen is the query that carries the language along, Nonce what allows style and script, Stranger who must give the PIN.
func (v *View) Chosen() string { return v.chosen }

// Nonce allows the style sheet and the script of this answer.
func (v *View) Nonce() string { return v.nonce }

// Stranger is set for who comes over the network.
func (v *View) Stranger() bool { return v.stranger }

// Asking is the address of the form that asks for the PIN for a button.
func (v *View) Asking(id string) string {
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

func render(v *View) (string, error) { return execute("page", v) }

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
	if err := document.ExecuteTemplate(&b, name, v); err != nil {
		return "", fmt.Errorf("internal error: page: %w", err)
	}
	return b.String(), nil
}
