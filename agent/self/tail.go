package self

import (
	"bytes"
	"strings"
	"sync"
	"unicode"
)

// maxTail is how many bytes of the end of an output are kept, and of a line of it.
const maxTail = 2000

// tail keeps the end of what is written, and the message of a panic, which stands far above the end when there are many goroutines.
type tail struct {
	mu      sync.Mutex
	end     []byte
	row     []byte // the beginning of the line that is being written
	message string
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p[max(0, len(p)-maxTail):]...)
	t.end = t.end[max(0, len(t.end)-maxTail):]
	for row := range bytes.Lines(p) {
		t.row = append(t.row, row[:min(len(row), maxTail-len(t.row))]...)
		if row[len(row)-1] == '\n' {
			t.look()
			t.row = t.row[:0]
		}
	}
	return len(p), nil
}

// look keeps the line that was written if it is the message of a panic.
func (t *tail) look() {
	if bytes.HasPrefix(t.row, []byte("panic: ")) || bytes.HasPrefix(t.row, []byte("fatal error: ")) {
		t.message = plain(string(t.row))
	}
}

// line is the last line that says something; of a panic its message, which stands above where it came from.
func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.look(); t.message != "" {
		return t.message
	}
	last := ""
	for line := range strings.Lines(string(t.end)) {
		if line = plain(line); line != "" {
			last = line
		}
	}
	return last
}

// plain makes a foreign line fit for a log and a terminal.
func plain(line string) string {
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, ""))
	return strings.TrimSpace(line[:min(len(line), 300)])
}
