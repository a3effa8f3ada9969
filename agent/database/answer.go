package database

import (
	"bytes"
	"strings"
)

// limited keeps the first max bytes and drops the rest.
type limited struct {
	bytes.Buffer
	max  int
	more bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.max - l.Len()
	if len(p) > room {
		l.more = true
		l.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return l.Buffer.Write(p)
}

// firstLine picks the line of a message that counts, and makes it fit into one line of an error. The client may print the failed
// script before the error.
func firstLine(s string) string {
	first := ""
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, "")))
		isError := strings.HasPrefix(line, "ERROR") || strings.Contains(line, "rror: ")
		if strings.Trim(line, "-") == "" || strings.Contains(line, "[Warning]") || strings.HasPrefix(line, "Warning:") || first != "" && !isError {
			continue
		}
		if first = line; isError {
			break
		}
	}
	if len(first) > 300 {
		first = strings.ToValidUTF8(first[:300], "") + "…"
	}
	if first == "" {
		return "no message"
	}
	return first
}
