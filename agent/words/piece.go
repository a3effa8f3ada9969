package words

import (
	"regexp"
	"strings"
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

// The fewest and the most digits of a telephone number.
const (
	fewestDigits = 7
	mostDigits   = 15
)

var number = regexp.MustCompile(`\+?\(?\d[\d ().\x{a0}\x{202f}-]*\d`)

// Phones cuts a sentence around the telephone numbers in it.
func Phones(sentence string) []Piece {
	var list []Piece
	end := 0
	for _, at := range number.FindAllStringIndex(sentence, -1) {
		text := sentence[at[0]:at[1]]
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, text)
		// Dots and a hyphen are hours, such as 08.00-16.00.
		if len(digits) < fewestDigits || len(digits) > mostDigits || strings.Contains(text, ".") && strings.Contains(text, "-") {
			continue
		}
		if text[0] == '+' {
			digits = "+" + digits
		}
		list = append(list, Piece{Text: sentence[end:at[0]]}, Piece{Text: text, Whole: true, Call: digits})
		end = at[1]
	}
	return pieces(append(list, Piece{Text: sentence[end:]})...)
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
