package site

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	yaml4 "go.yaml.in/yaml/v4"
)

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line \d+: )?`)

// syntaxError takes what the YAML library says of data, and finds its place: the line that the library names is often the one before, or none.
func syntaxError(data []byte, err error) error {
	said := err.Error()[len(yamlLine.FindString(err.Error())):]
	e := &ConfigError{Message: said, Kind: "yaml", Args: []string{"cause", said}}
	e.Line, e.Column = placeOf(data, said)
	return e
}

// What the library finds in the order of tokens, not in the characters: its line is one too low there.
var inTokens = []string{
	"did not find expected <document start>", "found undefined tag handle", "did not find expected node content", "did not find expected '-' indicator",
	"did not find expected key", "did not find expected ',' or ']'", "did not find expected ',' or '}'",
}

const tab = "found a tab character that violates indentation"

// Of these the library names the beginning of the block, or of the text, which may be lines above.
var inBlocks = []string{"did not find expected '-' indicator", "did not find expected key", tab}

// placeOf finds where the library has found what it says. What can't be known is 0.
func placeOf(data []byte, said string) (line, column int) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bad := badCharacter(data); strings.Contains(said, "UTF-8") || strings.Contains(said, "control characters") {
		if bad < 0 {
			return 0, 0
		}
		start := bytes.LastIndexByte(data[:bad], '\n') + 1
		return 1 + bytes.Count(data[:bad], []byte("\n")), 1 + utf8.RuneCount(data[start:bad])
	}
	if slices.Contains(inBlocks, said) {
		lines := bytes.SplitAfter(data, []byte("\n"))
		n := sort.Search(len(lines), func(i int) bool { // the first line with which it is so
			var failed *yaml4.ParserError
			return errors.As(yaml4.Unmarshal(bytes.Join(lines[:i+1], nil), &yaml4.Node{}), &failed) && failed.Message == said
		})
		if n == len(lines) {
			return 0, 0
		}
		if said == tab {
			column = 1 + bytes.IndexByte(lines[n], '\t') // only blanks stand before it
		}
		return n + 1, column
	}
	// The library takes a place in the first line or column for none. So it is asked about the same text two lines further down, and one column to the right.
	const above = "#\n#\n"
	if line, _ = askedAgain(above+string(data), said); line == 0 {
		return 0, 0
	}
	down, right := askedAgain(above+" "+strings.ReplaceAll(string(data), "\n", "\n "), said)
	if down == line {
		column = right
	}
	if line -= strings.Count(above, "\n"); line < 1 {
		return 0, 0
	}
	return line, column
}

// askedAgain is where the library finds something wrong with a text, when it is what was said. The column counts from 0.
func askedAgain(text, said string) (line, column int) {
	var failed *yaml4.ParserError
	if !errors.As(yaml4.Unmarshal([]byte(text), &yaml4.Node{}), &failed) || failed.Message != said || failed.Line == 0 {
		return 0, 0
	}
	if slices.Contains(inTokens, said) {
		return failed.Line + 1, failed.Column
	}
	return failed.Line, failed.Column
}

// badCharacter is the index of the first byte that YAML allows in no text, -1 when there is none.
func badCharacter(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r > 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return i
		}
		i += size
	}
	return -1
}
