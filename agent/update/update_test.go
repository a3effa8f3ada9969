package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func TestLocalTag(t *testing.T) {
	config := digest.FromString("config")
	for ref, want := range map[string]string{
		"openmrs/openmrs-reference-application-3-gateway:3.2.0": "dhow.local/openmrs-reference-application-3-gateway:",
		"localhost:5000/dhow-clinic/db:10.11":                   "dhow.local/db:",
		"registry.example.org/Emr/Backend@sha256:0123":          "dhow.local/backend:",
		"db": "dhow.local/db:",
	} {
		if got := LocalTag(ref, config); got != want+config.Encoded()[:16] {
			t.Errorf("%s: got %s", ref, got)
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	for _, tt := range []struct {
		have string
		want bool
	}{{"1.41", true}, {"1.51", true}, {"2.0", true}, {"1.40", false}, {"1.9", false}, {"", false}, {"x.y", false}} {
		if got := versionAtLeast(tt.have, oldestAPI); got != tt.want {
			t.Errorf("%q: got %v", tt.have, got)
		}
	}
}

func TestUntrusted(t *testing.T) {
	for _, tt := range []struct {
		err   error
		class change.Class
		code  int
	}{
		{fmt.Errorf("registry: %w", bundle.ErrUnreachable), change.ClassNetwork, api.CodeUnreachable},
		{fmt.Errorf("stick: %w", trust.ErrStale), change.ClassTrust, api.CodeNotTrusted},
		{fmt.Errorf("stick: %w", trust.ErrOtherFleet), change.ClassTrust, api.CodeNotTrusted},
		{fmt.Errorf("layer: %w", bundle.ErrTooLarge), change.ClassTrust, api.CodeNotTrusted},
		{fmt.Errorf("store: %w", syscall.ENOSPC), change.ClassSpace, api.CodeRefused},
		{fmt.Errorf("stick: %w", os.ErrNotExist), change.ClassSite, api.CodeUsage},
	} {
		f := (*change.Failure)(nil)
		if err := untrusted(tt.err); !errors.As(err, &f) || f.Class != tt.class || f.Code != tt.code || f.Hint == "" || err.Error() != tt.err.Error() {
			t.Errorf("%v: got %+v", tt.err, f)
		}
	}
	if untrusted(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestFetchIsTriedAgainAtOnce(t *testing.T) {
	away := fmt.Errorf("registry: %w", bundle.ErrUnreachable)
	busy := fmt.Errorf("registry: %w, %w", bundle.ErrUnreachable, fetch.ErrBusy)
	for _, tt := range []struct {
		plan fetchPlan
		err  error
		idle int
		want bool
	}{
		{fetchPlan{}, away, 0, true},
		{fetchPlan{}, away, idleAttempts, false},
		{fetchPlan{From: "/media/usb"}, away, 0, false},
		{fetchPlan{}, busy, 0, false}, // it has said when to come back
		{fetchPlan{Now: true}, busy, 0, false},
		{fetchPlan{}, fmt.Errorf("registry: %w", bundle.ErrDamaged), 0, false},
		{fetchPlan{}, nil, 0, false},
	} {
		if got := tt.plan.again(tt.err, tt.idle); got != tt.want {
			t.Errorf("%+v, %v after %d: %v", tt.plan, tt.err, tt.idle, got)
		}
	}
}

func TestAnonymousVolumesAreRefused(t *testing.T) {
	err := checkData([]engine.Container{{Service: "db", Mounts: []engine.Mount{
		{Type: "volume", Name: "clinic_db", Destination: "/var/lib/mysql"},
		{Type: "volume", Name: "0123", Destination: "/data", Anonymous: true},
	}}})
	want := "service db keeps data in an anonymous volume at /data, which an update would lose"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v", err)
	}
	if err := checkData([]engine.Container{{Service: "db", OneOff: true, Mounts: []engine.Mount{{Anonymous: true}}}}); err != nil {
		t.Fatalf("a one-off container was refused: %v", err)
	}
}

// settled is a manager with settings on disk and nothing else.
func settled(t *testing.T, settings map[string]string) *Manager {
	t.Helper()
	m := &Manager{Parts: Parts{Paths: site.Paths{Prefix: t.TempDir()}, Config: &site.Config{Site: "kin-001"}}}
	if err := m.Paths.Make(); err != nil {
		t.Fatal(err)
	}
	if err := site.WriteSettings(m.Paths.Settings(), settings); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEnvironment(t *testing.T) {
	m := settled(t, map[string]string{"OMRS_DB_PASSWORD": "s3cret", "TAG": "evil", "UNKNOWN": "x"})
	m.told(t, manifesttest.New(t, "emr"))
	r := &manifest.Release{
		Version: "1.1.0", Variables: map[string]string{"TAG": "1.1.0"},
		Settings: []manifest.Setting{{Name: "OMRS_DB_PASSWORD", Required: true}, {Name: "PORT", Default: "8080"}},
	}
	env, err := m.environment(Good{}, r)
	if err != nil {
		t.Fatal(err)
	}
	if env["TAG"] != "1.1.0" || env["OMRS_DB_PASSWORD"] != "s3cret" || len(env) != 2 {
		t.Fatalf("got %v: a site must not change the release's variables, nor pass what the release doesn't ask for", env)
	}
	r.Settings = append(r.Settings, manifest.Setting{Name: "ROOT_PASSWORD", Required: true})
	_, err = m.environment(Good{}, r)
	f := (*change.Failure)(nil)
	if !errors.As(err, &f) || err.Error() != "release 1.1.0 needs a value for ROOT_PASSWORD" || f.Code != api.CodeRefused ||
		!strings.Contains(f.Hint, filepath.Join("etc", "dhow", "site.env")) {
		t.Fatalf("got %v %+v", err, f)
	}
}

func TestReasonsHoldNoSettings(t *testing.T) {
	m := settled(t, map[string]string{
		"DB_PASSWORD": "s3cret", "ROOT_PASSWORD": "s3cret-of-the-site", "PORT": "8080", "DB_USER": "openmrs", "SMTP": `smtp://me:a"b@mail.example.org`,
	})
	for text, want := range map[string]string{
		"denied (using password s3cret-of-the-site)":                "denied (using password ***)",
		"denied for openmrs with s3cret":                            "denied for openmrs with ***",
		"port 8080 is used by another program":                      "port 8080 is used by another program",
		`unhealthy: "cannot reach smtp://me:a\"b@mail.example.org"`: `unhealthy: "cannot reach ***"`,
	} {
		if got := m.masked(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	err := m.blame(errors.New("backend is unhealthy"))
	f := (*change.Failure)(nil)
	if !errors.As(err, &f) || f.Class != change.ClassRelease || err.Error() != "backend is unhealthy" {
		t.Fatalf("got %v", err)
	}
	full := fmt.Errorf("write: %w", syscall.ENOSPC)
	if got := m.blame(full); !errors.Is(got, syscall.ENOSPC) || errors.As(got, &f) && f.Class == change.ClassRelease {
		t.Fatalf("a full disk was held against the release: %v", got)
	}
	words := errors.New("Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device")
	if err := m.blame(words); !errors.As(err, &f) || f.Class != change.ClassSpace {
		t.Fatalf("a full disk in the engine's words was held against the release: %v", err)
	}
}

func TestOverride(t *testing.T) {
	data, err := overrideOf([]pinned{{Tag: "dhow.local/backend:0123", Services: []string{"backend", "worker"}}, {Tag: "dhow.local/db:4567", Services: []string{"db"}}})
	want := `# Written by dhow: the images that the signed release pins.
services:
    backend:
        image: dhow.local/backend:0123
    db:
        image: dhow.local/db:4567
    worker:
        image: dhow.local/backend:0123
`
	if err != nil || string(data) != want {
		t.Fatalf("got %v\n%s", err, data)
	}
}

func TestDerivedHistory(t *testing.T) {
	m := settled(t, nil)
	at := time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	c := &change.Change{
		ID: 18, Kind: KindApply, Started: at, Finished: at.Add(5 * time.Minute),
		Plan: []byte(`{"from":{"release":"1.1.0"},"to":{"release":"1.2.0"},"bytes":5}`),
		Steps: []change.StepState{
			{Name: stepCloseDoors, Status: change.StepUndone, Note: []byte(`{"closed":"2026-11-21T21:01:00Z","opened":"2026-11-21T21:03:30Z","away":150000000000}`)},
		},
		Cause: &change.Cause{Message: "backend is unhealthy"},
	}
	u, err := m.updateOf(c)
	if err != nil || u.Result != api.ResultRolledBack || u.Reason != "backend is unhealthy" || u.DowntimeSeconds != 150 || u.From != "1.1.0" || u.To != "1.2.0" {
		t.Fatalf("got %+v, %v", u, err)
	}
	c.Steps[0] = change.StepState{Name: stepCloseDoors, Status: change.StepPending}
	if u, err = m.updateOf(c); err != nil || u.Result != api.ResultRefused || u.DowntimeSeconds != 0 {
		t.Fatalf("got %+v, %v", u, err)
	}
	if e := errorOf(c, u.Result); e.Code != api.CodeRefused {
		t.Fatalf("got %+v", e)
	}
}
