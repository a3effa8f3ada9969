package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
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

// Style is the style sheet, Script the script. Both are the page's own and hold nothing from outside.
func (v *View) Style() template.CSS { return template.CSS(compact(styleCSS)) }

// Script is the script of the page.
func (v *View) Script() template.JS { return template.JS(compact(liveJS)) }

// Edition tells a browser whether the page that it shows is of this program.
func (v *View) Edition() string { return edition }

// Parts names what changes while somebody looks, for a browser that has to load the page again and again to follow it.
func (v *View) Parts() string { return strings.Join(parts, " ") }

// Heading is what stands in the tab.
func (v *View) Heading() string { return v.Word + ": " + v.Title }

// Live reports whether the page follows what happens.
func (v *View) Live() bool { return !v.Open && v.Ask == nil && !v.Refused }

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

func render(v *View) ([]byte, error) { return execute("page", v) }

// parts are the pieces of the page that change while somebody looks, by the ids of their elements.
var parts = []string{"head", "lines", "bar", "acts", "receipt", "facts", "d-history", "d-backups", "d-machine", "d-warnings", "d-offers"}

// pieces renders the parts.
func pieces(v *View) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range parts {
		data, err := execute(name, v)
		if err != nil {
			return nil, err
		}
		all[name] = string(data)
	}
	return all, nil
}

func execute(name string, v *View) ([]byte, error) {
	var b bytes.Buffer
	if err := document.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("internal error: page: %w", err)
	}
	return b.Bytes(), nil
}
