package page

import (
	"strings"
	"unicode"
)

// Bounds of text from outside, in characters.
const (
	longText  = 240
	shortText = 60
)

// plain makes a text from outside harmless to what stands around it: one line, cut at most characters, without controls and what turns or hides
// text, and with few marks on one letter. The joiners that some scripts need stay.
func plain(s string, most int) string {
	var b strings.Builder
	n, marks, space := 0, 0, true
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || r == '\u2028' || r == '\u2029':
			if space {
				continue
			}
			r = ' '
		case r == '\u200c' || r == '\u200d':
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == unicode.ReplacementChar:
			continue
		}
		space = r == ' '
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			if marks++; marks > 3 {
				continue
			}
		} else {
			marks = 0
		}
		if n++; n > most {
			return strings.TrimSpace(b.String()) + "…"
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
