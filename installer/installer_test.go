package installer

import (
	"context"
	"errors"
	"testing"
)

func TestHasInit(t *testing.T) {
	for _, c := range []struct {
		platform, pid1 string
		systemd, want  bool
	}{
		{"linux-systemd", "systemd", true, true},
		{"linux-systemd", "tini", false, false}, // systemctl is installed in a container
		{"unix-systemv", "init", false, true},
		{"unix-systemv", "sleep", false, false},
		{"linux-rcs", "bash", false, false},
		{"linux-openrc", "init", false, true},
		{"linux-procd", "procd", false, true},
		{"windows-service", "", false, true},
		{"", "init", true, false},
	} {
		got := hasInit(c.platform, c.pid1, func(path string) bool { return c.systemd && path == "/run/systemd/system" })
		if got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestServeCallsRun(t *testing.T) {
	want := errors.New("ended")
	called := 0
	err := Serve(context.Background(), func(context.Context) error { called++; return want })
	if !errors.Is(err, want) || called != 1 {
		t.Errorf("%v, called %d times", err, called)
	}
}
