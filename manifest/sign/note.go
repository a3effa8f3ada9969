package sign

import (
	"strings"
	"time"
	"unicode"
)

// maxBy is the length in characters of a name in the history.
const maxBy = 100

// note is what a signed list or a new root says about its own making: the custom fields "made" (RFC 3339) and "by" (free text).
// Sites decide nothing by it.
func (r *Repository) note(now time.Time) map[string]any {
	fields := map[string]any{"made": now.Format(time.RFC3339)}
	if by := plainText(r.By); by != "" {
		fields["by"] = by
	}
	return fields
}

// plainText makes one short line of a name from elsewhere.
func plainText(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > maxBy {
		s = string(r[:maxBy])
	}
	return s
}
