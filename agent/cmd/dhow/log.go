package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"dhow/agent/site"
)

// newLog is where the agent writes its log. Below systemd that is the journal, a line for each record with its priority in front ("<6>…") and without
// the time, which the journal knows. Elsewhere it is text on the standard error, and in the two files of a ring, because nobody may keep the former. A
// service whose init puts the standard error into a file that nobody bounds says DHOW_STDERR=crashes: that file has what the ring can't, no more.
func newLog(paths site.Paths, stderr io.Writer) *slog.Logger {
	if inJournal(stderr) {
		return slog.New(newJournalHandler(stderr))
	}
	r := &ring{path: logFile(paths)}
	if os.Getenv("DHOW_STDERR") == "crashes" {
		r.instead = stderr
		return slog.New(slog.NewTextHandler(r, nil))
	}
	return slog.New(slog.NewTextHandler(io.MultiWriter(stderr, r), nil))
}

// logFile is the newer file of the ring.
func logFile(paths site.Paths) string { return filepath.Join(paths.State(), "log", "agent.log") }

// older is the file of a ring before it.
func older(path string) string { return path + ".1" }

// maxRing bounds each of the two files of a ring, in bytes.
const maxRing = 2 << 20

// ring is a log in two files: when the newer one is full it takes the place of the older one. It is written by one goroutine at a time, as slog does. A
// log that can't be written stops nobody: then the standard error has it alone.
type ring struct {
	path    string
	file    *os.File
	size    int64
	instead io.Writer // gets what can't be written, unless it is nil
}

func (r *ring) Write(p []byte) (int, error) {
	if r.file != nil && r.size+int64(len(p)) > maxRing {
		_ = r.file.Close()
		r.file = nil
		_ = os.Rename(r.path, older(r.path))
	}
	if r.file == nil && !r.open() {
		return r.elsewhere(p)
	}
	n, err := r.file.Write(p)
	r.size += int64(n)
	if err != nil { // tried anew with the next record
		_ = r.file.Close()
		r.file = nil
		return r.elsewhere(p)
	}
	return len(p), nil
}

func (r *ring) elsewhere(p []byte) (int, error) {
	if r.instead != nil {
		_, _ = r.instead.Write(p)
	}
	return len(p), nil
}

func (r *ring) open() bool {
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return false
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return false
	}
	r.file, r.size = f, info.Size()
	return true
}

// journalHandler writes records as systemd's journal reads them from a standard error: sd-daemon(3) has the prefixes.
type journalHandler struct{ byLevel [4]slog.Handler }

// priorities are the prefixes of errors, warnings, information and the rest.
var priorities = [4]string{"<3>", "<4>", "<6>", "<7>"}

func newJournalHandler(w io.Writer) *journalHandler {
	h := &journalHandler{}
	for i, prefix := range priorities {
		h.byLevel[i] = slog.NewTextHandler(prefixed{w, prefix}, &slog.HandlerOptions{
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
					return slog.Attr{}
				}
				return a
			},
		})
	}
	return h
}

func (h *journalHandler) of(l slog.Level) slog.Handler {
	switch {
	case l >= slog.LevelError:
		return h.byLevel[0]
	case l >= slog.LevelWarn:
		return h.byLevel[1]
	case l >= slog.LevelInfo:
		return h.byLevel[2]
	}
	return h.byLevel[3]
}

func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.of(l).Enabled(ctx, l)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(o slog.Handler) slog.Handler { return o.WithAttrs(attrs) })
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(o slog.Handler) slog.Handler { return o.WithGroup(name) })
}

func (h *journalHandler) each(do func(slog.Handler) slog.Handler) *journalHandler {
	n := &journalHandler{}
	for i, o := range h.byLevel {
		n.byLevel[i] = do(o)
	}
	return n
}

// prefixed writes a record in one piece, with its priority in front.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(record []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), record...)); err != nil {
		return 0, err
	}
	return len(record), nil
}
