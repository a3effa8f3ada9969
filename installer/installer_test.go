package installer

import (
	"context"
	"errors"
	"strings"
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

func TestServiceCommand(t *testing.T) {
	for platform, want := range map[string]string{
		"linux-systemd": "sudo systemctl restart docker", "linux-openrc": "sudo rc-service docker restart", "unix-systemv": "sudo service docker restart",
	} {
		if got := serviceCommand(platform, "init", "restart", "docker"); got != want {
			t.Errorf("%s: %s", platform, got)
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

// TestConfigOfInitSystems: the agent is started at boot and again when it ends, whatever starts it.
func TestConfigOfInitSystems(t *testing.T) {
	c := config(Program)
	if c.Executable != Program || len(c.Arguments) != 1 || c.Arguments[0] != "agent" {
		t.Errorf("%+v", c)
	}
	for name, want := range map[string]any{
		"RunAtLoad": true, "KeepAlive": true, "OnFailure": "restart", "SystemdScript": Unit(), "SysvScript": filled(sysv), "OpenRCScript": filled(openrc),
	} {
		if c.Option[name] != want {
			t.Errorf("%s is %v", name, c.Option[name])
		}
	}
}

func TestUnitIsWhole(t *testing.T) {
	for _, line := range []string{"ExecStart=/usr/lib/dhow/dhow agent", "Restart=always", "StartLimitIntervalSec=0", "Type=notify", "ConditionFileIsExecutable=/usr/lib/dhow/dhow"} {
		if !strings.Contains(Unit(), "\n"+line+"\n") {
			t.Errorf("the unit lacks %q", line)
		}
	}
	if strings.Contains(Unit(), "@") && !strings.Contains(Unit(), "@system-service") || strings.Contains(Unit(), "{{") || strings.Contains(Unit(), "@PROGRAM") {
		t.Errorf("the unit holds what should have been filled in:\n%s", Unit())
	}
}

// TestFileIsWhatTheLibraryWrites: the library fills in what is between braces, and would write another file than the one that a repeated install compares.
func TestFileIsWhatTheLibraryWrites(t *testing.T) {
	for _, platform := range []string{systemd, sysVInit, openRC} {
		path, text, _ := file(platform)
		if path == "" || strings.Contains(text, "{{") || strings.Contains(text, "@PROGRAM") || !strings.Contains(text, Program+" agent") {
			t.Errorf("%s: %s\n%s", platform, path, text)
		}
	}
	if path, _, _ := file("windows-service"); path != "" {
		t.Errorf("Windows: %s", path)
	}
}
