package manual

import "strings"

// page is roff in the making.
type page struct{ strings.Builder }

// line writes one line of text that is roff already. A dot or a quote at its beginning would make it a request.
func (p *page) line(roff string) {
	if strings.HasPrefix(roff, ".") || strings.HasPrefix(roff, "'") {
		roff = `\&` + roff
	}
	p.WriteString(roff + "\n")
}

func (p *page) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, a := range args {
		p.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	p.WriteString("\n")
}

func (p *page) section(title string) { p.macro("SH", strings.ToUpper(title)) }

// item is a name, in roff, and what it means.
func (p *page) item(name, meaning string) {
	p.macro("TP")
	p.line(name)
	p.line(escape(strings.ReplaceAll(meaning, "\n", " ")))
}

// text writes paragraphs. One with lines that are set in keeps its lines.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		if i > 0 {
			p.macro("PP")
		}
		if strings.HasPrefix(paragraph, " ") || strings.Contains(paragraph, "\n ") {
			p.literal(paragraph)
			continue
		}
		for _, l := range strings.Split(paragraph, "\n") {
			p.line(escape(l))
		}
	}
}

// literal keeps lines and spaces.
func (p *page) literal(s string) {
	p.macro("nf")
	for _, l := range strings.Split(strings.Trim(s, "\n"), "\n") {
		p.line(escape(l))
	}
	p.macro("fi")
}

func bold(s string) string { return `\fB` + escape(s) + `\fR` }

// escape makes text roff: a backslash begins an escape, and a plain minus is a hyphen, which can't be copied to a command line. What
// old formatters do not know of the Unicode that we use has a name.
var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "→", `\(->`, "—", `\(em`, "“", `\(lq`, "”", `\(rq`).Replace
