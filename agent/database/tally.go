package database

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// tally reads a dump of MariaDB or MySQL on its way and adds up, for each table, the rows and a hash of each row; for a sequence of
// MariaDB the statement that sets it. It knows the text as these programs write it: INSERT with rows in brackets, strings in single
// quotes with backslashes, names in backticks, routines between DELIMITER lines.
type tally struct {
	rows map[string]int64
	sums map[string]uint64

	state   func(t *tally, p []byte) int // takes from p and returns how much
	head    []byte                       // of the present line, or the name that is being read
	kind    string
	quote   bool // the last byte of a name was a backtick
	foreign bool // between DELIMITER lines
	db, key string
	hash    xxhash.Digest // of the row, and where in it we are
	in      int
}

const (
	maxHead = 12 // enough to tell the lines that count
	maxLine = 4096
	maxName = 1024
)

func newTally() *tally {
	return &tally{rows: map[string]int64{}, sums: map[string]uint64{}, state: (*tally).lineStart}
}

func (t *tally) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		rest = rest[t.state(t, rest):]
	}
	return len(p), nil
}

// hashes returns the sums as they are recorded.
func (t *tally) hashes() map[string]string {
	out := make(map[string]string, len(t.sums))
	for key, sum := range t.sums {
		out[key] = fmt.Sprintf("%016x", sum)
	}
	return out
}

var lineKinds = []string{"INSERT INTO ", "CREATE TABLE", "DO SETVAL(`", "DELIMITER ", "USE `"}

func (t *tally) lineStart(p []byte) int {
	n := min(maxHead-len(t.head), len(p))
	if i := bytes.IndexByte(p[:n], '\n'); i >= 0 {
		n = i
	}
	t.head = append(t.head, p[:n]...)
	if n == len(p) && len(t.head) < maxHead { // the rest comes with the next piece
		return n
	}
	head := string(t.head)
	t.kind = ""
	for _, kind := range lineKinds {
		if strings.HasPrefix(head, kind) {
			t.kind = kind
		}
	}
	switch {
	case t.kind == "DELIMITER ":
		t.state = (*tally).delimiter
		return n
	case t.foreign || t.kind == "":
		t.begin((*tally).skipLine)
		return n
	case t.kind == "USE `" || t.kind == "DO SETVAL(`": // the head may hold a piece of the name
		t.begin((*tally).name)
		t.replay(head[len(t.kind):])
		return n
	}
	t.begin((*tally).toName)
	return n
}

// begin changes the state with nothing kept.
func (t *tally) begin(state func(*tally, []byte) int) {
	t.head, t.quote, t.state = t.head[:0], false, state
}

func (t *tally) replay(s string) {
	for rest := []byte(s); len(rest) > 0; {
		rest = rest[t.state(t, rest):]
	}
}

func (t *tally) skipLine(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return len(p)
	}
	t.begin((*tally).lineStart)
	return i + 1
}

func (t *tally) delimiter(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	n := i
	if i < 0 {
		n = len(p)
	}
	if len(t.head) < maxLine {
		t.head = append(t.head, p[:n]...)
	}
	if i < 0 {
		return n
	}
	t.foreign = strings.TrimSpace(strings.TrimPrefix(string(t.head), "DELIMITER ")) != ";"
	t.begin((*tally).lineStart)
	return n + 1
}

// toName skips to the backtick before a name. A line that has none is none of ours.
func (t *tally) toName(p []byte) int {
	switch p[0] {
	case '`':
		t.begin((*tally).name)
	case ' ':
	default:
		t.begin((*tally).skipLine)
		return 0
	}
	return 1
}

func (t *tally) name(p []byte) int {
	for i, b := range p {
		switch {
		case b == '`' && !t.quote:
			t.quote = true
			continue
		case b != '`' && t.quote:
			t.named(string(t.head))
			return i
		}
		t.quote = false
		if len(t.head) < maxName {
			t.head = append(t.head, b)
		}
	}
	return len(p)
}

func (t *tally) named(name string) {
	if t.kind == "USE `" {
		t.db = name
		t.begin((*tally).skipLine)
		return
	}
	t.key = t.db + "." + name
	t.hash.Reset()
	switch t.kind {
	case "CREATE TABLE":
		t.rows[t.key] += 0
		t.begin((*tally).skipLine)
	case "DO SETVAL(`":
		t.begin((*tally).value)
	default:
		t.rows[t.key] += 0
		t.begin((*tally).columns)
	}
}

// value hashes the rest of the line.
func (t *tally) value(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		_, _ = t.hash.Write(p)
		return len(p)
	}
	_, _ = t.hash.Write(p[:i])
	t.sums[t.key] += t.hash.Sum64()
	t.begin((*tally).lineStart)
	return i + 1
}

// columns skips the list of columns up to the V of VALUES.
func (t *tally) columns(p []byte) int {
	switch i := bytes.IndexAny(p, "`V"); {
	case i < 0:
		return len(p)
	case p[i] == 'V':
		t.begin((*tally).values)
		return i + 1
	default:
		t.begin((*tally).column)
		return i + 1
	}
}

func (t *tally) column(p []byte) int {
	i := bytes.IndexByte(p, '`') // a doubled one ends a name and begins another
	if i < 0 {
		return len(p)
	}
	t.state = (*tally).columns
	return i + 1
}

// values is between two rows.
func (t *tally) values(p []byte) int {
	for i, b := range p {
		switch b {
		case '(':
			t.hash.Reset()
			t.state = (*tally).row
			return i + 1
		case ';':
			t.begin((*tally).skipLine)
			return i + 1
		}
	}
	return len(p)
}

// Places inside of a row.
const (
	plain = iota
	inText
	inEscape
)

// row is inside the brackets of a row.
func (t *tally) row(p []byte) int {
	in := t.in
	for i, b := range p {
		switch {
		case in == inEscape:
			in = inText
		case b == '\'' && in == inText:
			in = plain // and back at once when it was doubled
		case b == '\'':
			in = inText
		case b == '\\' && in == inText:
			in = inEscape
		case b == ')' && in == plain:
			_, _ = t.hash.Write(p[:i])
			t.rows[t.key]++
			t.sums[t.key] += t.hash.Sum64()
			t.in, t.state = plain, (*tally).values
			return i + 1
		}
	}
	_, _ = t.hash.Write(p)
	t.in = in
	return len(p)
}
