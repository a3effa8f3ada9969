package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// lookAgain is how often a log that is followed is looked at.
const lookAgain = 300 * time.Millisecond

// readRing hands over what the two files of a ring hold, the older one first.
func readRing(ctx context.Context, path string, w wish, tell func(entry) error) error {
	var last []entry
	keep := func(e entry) error {
		if !w.since.IsZero() && (e.Time.IsZero() || e.Time.Before(w.since)) {
			return nil
		}
		last = append(last, e)
		if w.lines > 0 && len(last) > 2*w.lines { // a ring is 4 MiB at most, and asked for rarely
			last = append(last[:0:0], last[len(last)-w.lines:]...)
		}
		return nil
	}
	old, err := os.Open(older(path))
	if err == nil {
		_, err = readLines(old, 0, keep)
		_ = old.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	at, err := readLines(file, 0, keep)
	if err != nil {
		return err
	}
	if w.lines > 0 && len(last) > w.lines {
		last = last[len(last)-w.lines:]
	}
	for _, e := range last {
		if err := tell(e); err != nil {
			return err
		}
	}
	if !w.follow {
		return nil
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if at, err = readLines(file, at, tell); err != nil {
			return err
		}
		now, err := os.Open(path)
		if err != nil {
			continue // between two files
		}
		if same(file, now) {
			_ = now.Close()
			continue
		}
		if _, err := readLines(file, at, tell); err != nil { // what came before the files changed places
			return err
		}
		_ = file.Close()
		file, at = now, 0
	}
}

func same(a, b *os.File) bool {
	x, err := a.Stat()
	y, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// readLines hands over the whole lines of a file from a place on. It returns the place behind them.
func readLines(file *os.File, from int64, tell func(entry) error) (int64, error) {
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return from, err
	}
	r := bufio.NewReaderSize(io.LimitReader(file, 2*maxRing), 64<<10)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return from, nil // a line that is being written comes whole later
		}
		if err != nil {
			return from, err
		}
		from += int64(len(line))
		if err := tell(ringEntry(strings.TrimRight(line, "\r\n"))); err != nil {
			return from, err
		}
	}
}

// ringEntry reads a line as slog's text handler writes it: time=… level=… and the rest.
func ringEntry(line string) entry {
	e := entry{Text: strings.ToValidUTF8(line, "?")}
	rest, ok := strings.CutPrefix(e.Text, "time=")
	if !ok {
		return e
	}
	stamp, rest, ok := strings.Cut(rest, " ")
	if !ok {
		return e
	}
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return e
	}
	e.Time, e.Text, e.Level = t.UTC(), rest, "info"
	if level, text, ok := strings.Cut(rest, " "); ok && strings.HasPrefix(level, "level=") {
		e.Text, e.Level = text, strings.ToLower(strings.TrimPrefix(level, "level="))
		if e.Level == "warn" {
			e.Level = "warning"
		}
	}
	return e
}
