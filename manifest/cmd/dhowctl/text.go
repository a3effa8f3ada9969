package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/manifest/author"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// usage marks an error that has no code of its own as a wrong command line.
func usage(err error) error {
	if e := explain(err, true); e.Code == api.CodeInternal {
		return fail(api.CodeUsage, e.Message, e.Hint)
	}
	return err
}

// table lines up columns.
type table [][]string

func newTable(head ...string) *table { return &table{head} }

func (t *table) add(cells ...string) { *t = append(*t, cells) }

func (t *table) String() string {
	widths := make([]int, len((*t)[0]))
	for _, row := range *t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range *t {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// progress shows bytes on a terminal, and nothing elsewhere. end wipes the line.
func progress(w io.Writer, what string) (show func(done, total int64), end func()) {
	var last time.Time
	return func(done, total int64) {
		if time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			status(w, what+" "+author.SizeText(done)+" of "+author.SizeText(total))
		}
	}, func() { status(w, "") }
}

// status replaces the last line of a terminal. It does nothing elsewhere.
func status(w io.Writer, text string) {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		fmt.Fprint(f, "\r\033[K"+text)
	}
}
