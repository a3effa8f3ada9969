package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/installer"
)

// maxLine bounds a line of a log, in bytes.
const maxLine = 1 << 20

// systemdRuns reports whether systemd is what runs the services here.
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// readJournal hands over what systemd's journal has of the service. It reports whether there was anything.
func readJournal(ctx context.Context, program string, w wish, tell func(entry) error) (told bool, err error) {
	args := []string{"--unit=" + installer.Name, "--output=json", "--no-pager", "--quiet"}
	if w.lines > 0 {
		args = append(args, "--lines="+strconv.Itoa(w.lines))
	}
	if !w.since.IsZero() {
		args = append(args, "--since=@"+strconv.FormatInt(w.since.Unix(), 10))
	}
	if w.follow {
		args = append(args, "--follow")
		if w.lines == 0 {
			args = append(args, "--no-tail")
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	complaint := &strings.Builder{}
	cmd.Stderr = complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("cannot read the journal: %w", err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		told = true
		if err = tell(journalEntry(lines.Bytes())); err != nil {
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	ended := cmd.Wait()
	switch {
	case err != nil:
		return told, err
	case ctx.Err() != nil:
		return told, ctx.Err()
	case ended != nil:
		text, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return told, api.Fail(api.CodeInternal, "try it with sudo", "cannot read the log: %v", fmt.Sprintf("%v: %s", ended, text)).In("log_closed", "cause", fmt.Sprintf("%v: %s", ended, text))
	}
	return told, nil
}

// journalEntry reads a line of journalctl --output=json: systemd.journal-fields(7). A message that is no text is an array of bytes there.
func journalEntry(line []byte) entry {
	var fields struct {
		Time     string          `json:"__REALTIME_TIMESTAMP"` // microseconds
		Priority string          `json:"PRIORITY"`
		Message  json.RawMessage `json:"MESSAGE"`
	}
	if json.Unmarshal(line, &fields) != nil {
		return entry{Text: strings.ToValidUTF8(string(line), "?")}
	}
	e := entry{Level: "info"}
	if n, err := strconv.ParseInt(fields.Time, 10, 64); err == nil {
		e.Time = time.UnixMicro(n).UTC()
	}
	switch fields.Priority {
	case "0", "1", "2", "3":
		e.Level = "error"
	case "4":
		e.Level = "warning"
	case "7":
		e.Level = "debug"
	}
	var raw []byte
	var numbers []uint8
	switch {
	case json.Unmarshal(fields.Message, &e.Text) == nil:
	case json.Unmarshal(fields.Message, &numbers) == nil:
		raw = numbers
		e.Text = strings.ToValidUTF8(string(raw), "?")
	}
	return e
}
