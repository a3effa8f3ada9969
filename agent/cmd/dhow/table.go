package main

import (
	"strings"
	"unicode"
)

// columns prints rows whose cells stand below each other, three spaces apart. All rows have the same number of cells.
func (s *shell) columns(rows [][]string) {
	var wide []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if len(wide) <= i {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], displayed(cell))
		}
	}
	for _, row := range rows {
		last := len(row) - 1
		for i, cell := range row[:last] {
			s.printf("%s   ", pad(cell, wide[i]))
		}
		s.printf("%s\n", row[last])
	}
}

// displayed is how many columns of a terminal a text takes: marks on letters, and what only turns text, such as the isolates around an argument, take
// none.
func displayed(text string) (n int) {
	for _, r := range text {
		if !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
			n++
		}
	}
	return n
}

// pad fills text up with spaces to so many columns.
func pad(text string, to int) string { return text + strings.Repeat(" ", max(0, to-displayed(text))) }
