package author

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
)

// expansion is one ${…} or $NAME in a text of a compose file.
type expansion struct {
	start, end int // text[start:end] is the whole expansion
	name       string
	op         string // "", ":-", "-", ":?", "?", ":+" or "+"
	rest       string // what follows op: the default, the message, or the replacement
}

var operators = []string{":-", ":?", ":+", "-", "?", "+"}

// expansions finds the outermost expansions of text by the rules of the compose specification. $$ is a dollar sign.
func expansions(text string) []expansion {
	var found []expansion
	for i := 0; i < len(text)-1; {
		if text[i] != '$' {
			i++
			continue
		}
		switch next := text[i+1]; {
		case next == '$':
			i += 2
		case next == '{':
			end := closing(text, i+1)
			if end < 0 {
				i += 2
				continue
			}
			inner := text[i+2 : end]
			n := nameLength(inner)
			e := expansion{start: i, end: end + 1, name: inner[:n]}
			for _, op := range operators {
				if rest, ok := strings.CutPrefix(inner[n:], op); ok {
					e.op, e.rest = op, rest
					break
				}
			}
			if n > 0 && (e.op != "" || n == len(inner)) {
				found = append(found, e)
			}
			i = end + 1
		default:
			n := nameLength(text[i+1:])
			if n > 0 {
				found = append(found, expansion{start: i, end: i + 1 + n, name: text[i+1 : i+1+n]})
			}
			i += 1 + n
		}
	}
	return found
}

// closing returns the index of the brace that closes the one at open, or -1. Where none does, the last brace of the line counts.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
			i++ // an empty pair can't be an expansion: the specification's own parser skips it too
		case '}':
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	line, _, _ := strings.Cut(text[open:], "\n")
	if last := strings.LastIndexByte(line, '}'); last >= 0 {
		return open + last
	}
	return -1
}

func nameLength(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// names lists every variable that text may read, those in defaults and replacements included.
func names(text string) []string {
	var all []string
	for _, e := range expansions(text) {
		all = append(all, e.name)
		if e.op != "?" && e.op != ":?" {
			all = append(all, names(e.rest)...)
		}
	}
	return all
}

// settle puts the values in where there are some and leaves the other expansions as they stand.
func settle(text string, values map[string]string) string {
	var b strings.Builder
	last := 0
	for _, e := range expansions(text) {
		b.WriteString(text[last:e.start])
		last = e.end
		whole := text[e.start:e.end]
		if value, ok := values[e.name]; ok && (e.op == "+" || e.op == ":+" && value != "") {
			b.WriteString(settle(e.rest, values))
			continue
		} else if ok {
			value, err := expand(whole, values)
			if err == nil {
				b.WriteString(strings.ReplaceAll(value, "$", "$$"))
				continue
			}
		}
		if e.op == "" {
			b.WriteString(whole)
			continue
		}
		b.WriteString("${" + e.name + e.op + settle(e.rest, values) + "}")
	}
	b.WriteString(text[last:])
	return b.String()
}

// expand puts values and defaults in, as compose does, and says nothing about variables without a value.
func expand(text string, values map[string]string) (string, error) {
	return substitute(text, func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	})
}

func substitute(text string, lookup template.Mapping) (string, error) {
	return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
}
