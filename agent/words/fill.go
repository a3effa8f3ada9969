package words

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	isolateStart = '\u2068' // the direction is that of what follows
	isolateEnd   = '\u2069'
)

// filled is a sentence in its parts: a text before each argument, and one after the last.
type filled struct{ texts, names []string }

// parse reads a sentence: {{.name}} is an argument, all else is text.
func parse(src string) (s filled, err error) {
	for {
		text, rest, found := strings.Cut(src, "{{")
		s.texts = append(s.texts, text)
		if !found {
			return s, nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed || len(name) < 2 || name[0] != '.' {
			return filled{}, fmt.Errorf("what begins with {{%.20s is no argument", rest)
		}
		s.names = append(s.names, name[1:])
		src = after
	}
}

// fill puts the arguments in. One that is missing leaves a gap that can be seen.
func (s filled) fill(args map[string]string, isolate bool) string {
	var b strings.Builder
	for i, name := range s.names {
		b.WriteString(s.texts[i])
		value, ok := args[name]
		if !ok {
			value = "?"
		}
		value = plain(value)
		if isolate && strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
			value = string(isolateStart) + value + string(isolateEnd)
		}
		b.WriteString(value)
	}
	b.WriteString(s.texts[len(s.texts)-1])
	return b.String()
}

// plain takes out of a value what would act on the text around it: control characters, overrides and embeddings of the direction, and isolates that
// are not whole.
func plain(s string) string {
	if !strings.ContainsFunc(s, acts) {
		return s
	}
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch {
		case r >= '\u2066' && r <= isolateStart:
			depth++
		case r == isolateEnd && depth > 0:
			depth--
		case acts(r):
			continue
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(string(isolateEnd), depth))
	return b.String()
}

func acts(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= isolateEnd
}
