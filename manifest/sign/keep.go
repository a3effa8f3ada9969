package sign

import (
	"bytes"
	"errors"
	"strings"

	"gopkg.in/yaml.v3"
)

// encodeYAML writes a document as the yaml library does: without the empty lines and the alignment that people have given it.
func encodeYAML(doc *yaml.Node, indent int) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(indent)
	err := errors.Join(e.Encode(doc), e.Close())
	return out.Bytes(), err
}

// indentOf is by how many spaces the first indented line of a text is.
func indentOf(text string) int {
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " ")
		if n := len(line) - len(body); n >= 2 && n <= 8 && strings.TrimSpace(body) != "" && body[0] != '#' {
			return n
		}
	}
	return 2
}

// keepLines is next, which the library has written, with the lines of original wherever they say the same. plain is what the library makes of
// original. It is nil when these two can't be laid side by side. Callers see to it that the result says what next says.
func keepLines(original, plain, next string) []byte {
	was, is := strings.SplitAfter(plain, "\n"), strings.SplitAfter(next, "\n")
	own := sideBySide(strings.SplitAfter(original, "\n"), was)
	if own == nil {
		return nil
	}
	var out strings.Builder
	i, j := 0, 0
	// upTo writes what stands before was[a] and is[b], where both say the same again.
	upTo := func(a, b int) {
		for i < a && j < b && was[i] == is[j] {
			out.WriteString(own[i])
			i, j = i+1, j+1
		}
		endA, endB := a, b
		for endA > i && endB > j && was[endA-1] == is[endB-1] {
			endA, endB = endA-1, endB-1
		}
		if i < endA && j < endB { // what takes the place of something stands as far from what is above
			out.WriteString(own[i][:len(own[i])-len(strings.TrimLeft(own[i], "\r\n"))])
		}
		for ; j < endB; j++ {
			out.WriteString(is[j])
		}
		for i, j = endA, endB; i < a; i, j = i+1, j+1 {
			out.WriteString(own[i])
		}
	}
	for _, at := range anchors(was, is) {
		upTo(at[0], at[1])
	}
	upTo(len(was), len(is))
	return []byte(out.String())
}

// sideBySide gives each line of plain the lines of original that it was made of: itself, with the empty lines above it.
func sideBySide(original, plain []string) []string {
	own := make([]string, len(plain))
	words := func(s string) string { return strings.Join(strings.Fields(s), "") }
	j := 0
	for i, line := range plain {
		want, text := words(line), ""
		for want != "" && j < len(original) && words(original[j]) == "" {
			text += original[j]
			j++
		}
		switch {
		case j < len(original) && words(original[j]) == want:
			own[i] = text + original[j]
			j++
		case want != "":
			return nil
		}
	}
	for ; j < len(original); j++ {
		if words(original[j]) != "" {
			return nil
		}
	}
	return own
}

// anchors pairs the lines that stand once in both texts, in the order of both.
func anchors(was, is []string) (pairs [][2]int) {
	count := map[string][2]int{}
	for _, line := range was {
		c := count[line]
		c[0]++
		count[line] = c
	}
	at := map[string]int{}
	for j, line := range is {
		c := count[line]
		c[1]++
		count[line], at[line] = c, j
	}
	last := -1
	for i, line := range was {
		if j := at[line]; count[line] == [2]int{1, 1} && j > last {
			pairs = append(pairs, [2]int{i, j})
			last = j
		}
	}
	return pairs
}
