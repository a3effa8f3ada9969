package words

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Piece is a part of a sentence. Whole is one that is better not broken between two lines, such as a code; Call is the number to dial where it is a
// telephone number.
type Piece struct {
	Text  string
	Whole bool
	Call  string
}

// Whole cuts a sentence around a part that is to stay whole.
func Whole(sentence, part string) []Piece {
	before, after, found := strings.Cut(sentence, part)
	if !found {
		return []Piece{{Text: sentence}}
	}
	return pieces(Piece{Text: before}, Piece{Text: part, Whole: true}, Piece{Text: after})
}

// The fewest and the most digits of a telephone number: as a place writes its own, after 00, and after +.
const (
	fewestDigits = 7
	mostOwn      = 11
	mostAfter00  = 17
	mostAfter    = 15
)

// blank is what may stand between the digits of a number.
const blank = `[ \x{a0}\x{202f}]`

var (
	// stop is what a number may stand between. A plus begins one whatever comes before it.
	stop = regexp.MustCompile(`[,;\x{60c}\x{61b}\n\x{2066}-\x{2069}]|:[ \x{a0}\x{202f}\x{2068}]|` + blank + `/` + blank + `|\(?\+`)
	// alone is a number with nothing beside it but a full stop, or a remark in brackets that is no part of it; or one that stands in brackets.
	alone   = regexp.MustCompile(`^` + blank + `*(?:(\(?\+?\d[\d().\x{a0}\x{202f} -]*\d)` + blank + `*(?:\([^()]*[\pL:/][^()]*\))?|\((\+\d[^\pL:/]*\d)\))` + blank + `*\.?` + blank + `*$`)
	trunk   = regexp.MustCompile(`^(\+\d{1,3}` + blank + `?)\(0\)`) // not dialled after +
	bracket = regexp.MustCompile(`\((\+\d{1,3}|\d{2,5})\)`)
	// other is what looks like a number and is none, or more: a date, hours before or after it, a last digit that stands for another number.
	other = regexp.MustCompile(`^(?:19|20)\d\d[-. ]\d\d?[-. ]\d\d?$|^\d\d?[-. ]\d\d?[-. ](?:19|20)\d\d$|` +
		`^\d\d?[-.]\d\d?` + blank + `|` + blank + `\d\d?[-.]\d\d?$|\D\d$|\..*-|-.*\.`)
)

// Phones cuts a sentence around the telephone numbers in it. No link is better than one that dials something else: a number is one only where it stands alone.
func Phones(sentence string) []Piece {
	var list []Piece
	end := 0 // of what is in list
	look := func(from, to int) {
		at := alone.FindStringSubmatchIndex(sentence[from:to])
		if at == nil {
			return
		}
		first, last := from+max(at[2], at[4]), from+max(at[3], at[5])
		if call := dial(sentence[first:last]); call != "" && !touched(sentence[:from]) {
			list = append(list, Piece{Text: sentence[end:first]}, Piece{Text: sentence[first:last], Whole: true, Call: call})
			end = last
		}
	}
	from := 0
	for _, at := range stop.FindAllStringIndex(sentence, -1) {
		look(from, at[0])
		if from = at[1]; sentence[at[1]-1] == '+' {
			from = at[0]
		}
	}
	look(from, len(sentence))
	return pieces(append(list, Piece{Text: sentence[end:]})...)
}

// touched reports whether what stands before a number goes on in it.
func touched(before string) bool {
	r, _ := utf8.DecodeLastRuneInString(before)
	return before != "" && !strings.ContainsRune(" \u00a0\u202f,;\u060c\u061b\n\u2066\u2067\u2068\u2069", r)
}

// dial is what a text dials, empty where that is not sure.
func dial(text string) string {
	if other.MatchString(text) {
		return ""
	}
	abroad := strings.Contains(text, "+") || strings.HasPrefix(text, "00")
	text = trunk.ReplaceAllString(text, "$1")
	if abroad && strings.Contains(text, "(0") { // dialled in some countries only
		return ""
	}
	text = bracket.ReplaceAllString(text, " $1 ")
	if strings.ContainsAny(text, "()") {
		return ""
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
	most, plus := mostOwn, ""
	switch {
	case strings.Contains(text, "+"):
		most, plus = mostAfter, "+"
	case abroad:
		most = mostAfter00
	}
	if len(digits) < fewestDigits || len(digits) > most {
		return ""
	}
	return plus + digits
}

// pieces are those that say something.
func pieces(all ...Piece) (list []Piece) {
	for _, p := range all {
		if p.Text != "" {
			list = append(list, p)
		}
	}
	return list
}
