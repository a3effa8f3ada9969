//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dhow/agent/site"
)

// TestLogForTheJournal writes to what JOURNAL_STREAM names, and to what it does not name.
func TestLogForTheJournal(t *testing.T) {
	dir := t.TempDir()
	stream, err := os.Create(filepath.Join(dir, "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	info, err := stream.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", s.Dev, s.Ino))
	paths := site.Paths{Prefix: dir}
	log := newLog(paths, stream).With("change", 7).WithGroup("of")
	log.Info("it begins", "kind", "apply")
	log.Warn("slow")
	log.Error("two\nlines")
	log.Debug("nobody asked for it")
	got, err := os.ReadFile(stream.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "<6>msg=\"it begins\" change=7 of.kind=apply\n<4>msg=slow change=7\n<3>msg=\"two\\nlines\" change=7\n"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if _, err := os.Stat(logFile(paths)); err == nil {
		t.Error("there is a second log beside the journal")
	}
	var other bytes.Buffer
	newLog(paths, &other).Info("elsewhere")
	if !strings.Contains(other.String(), "level=INFO msg=elsewhere\n") {
		t.Errorf("%q is no text with its time and level", other.String())
	}
	if data, err := os.ReadFile(logFile(paths)); err != nil || string(data) != other.String() {
		t.Errorf("the file holds %q, %v", data, err)
	}

	t.Setenv("DHOW_STDERR", "crashes")
	var crashes bytes.Buffer
	log = newLog(paths, &crashes)
	log.Info("kept once")
	if data, err := os.ReadFile(logFile(paths)); err != nil || crashes.Len() > 0 || !strings.HasSuffix(string(data), "level=INFO msg=\"kept once\"\n") {
		t.Errorf("the file holds %q, %v; the standard error %q", data, err, &crashes)
	}
	if err := errors.Join(os.RemoveAll(filepath.Dir(logFile(paths))), os.WriteFile(filepath.Dir(logFile(paths)), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	newLog(paths, &crashes).Error("the disk is ill")
	if !strings.HasSuffix(crashes.String(), "msg=\"the disk is ill\"\n") {
		t.Errorf("nobody has heard of it: %q", &crashes)
	}
}
