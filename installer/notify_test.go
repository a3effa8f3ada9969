package installer

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Notify("READY=1\nSTATUS=well"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := l.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1\nSTATUS=well" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	_ = l.Close()
	if err := Notify("READY=1"); err == nil || !strings.HasPrefix(err.Error(), "cannot talk to systemd: ") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "0": 0, "300000000": 5 * time.Minute, "999999999999999999": 0,
	} {
		t.Setenv("WATCHDOG_USEC", text)
		if got := Watchdog(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestReportFeedsOnlyTheLiving: no word of life while the question is not answered.
func TestReportFeedsOnlyTheLiving(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var told []string
	asked := 0
	ask := func(answer context.Context) (string, error) {
		asked++
		switch asked {
		case 1, 4:
			return "", errors.New("no answer")
		case 5: // hangs until its time is over
			<-answer.Done()
			return "", answer.Err()
		case 7:
			cancel()
		}
		return "well\nand more", nil
	}
	report(ctx, 20*time.Millisecond, ask, func(s string) { told = append(told, s) })
	const well = "WATCHDOG=1\nSTATUS=well and more"
	want := []string{"READY=1\n" + well, well, well, well, "STATUS=stopping"}
	if !slices.Equal(told, want) {
		t.Errorf("asked %d times, told %q", asked, told)
	}
}
