package update

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/agent/backup"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/health"
	"dhow/agent/stack"
	"dhow/manifest"
)

// loaded reads a compose file as a release would be.
func loaded(t *testing.T, text string) *stack.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := stack.Load(context.Background(), stack.Source{Dir: dir, Files: []string{"compose.yaml"}, Project: "dhow-test"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDataInTheReleaseFolderIsRefused(t *testing.T) {
	r := &manifest.Release{Files: []manifest.File{{Path: "compose.yaml"}, {Path: "gateway/default.conf"}}}
	for _, tt := range []struct{ volume, want string }{
		{"./mysql:/var/lib/mysql", "service db would keep data in ./mysql, inside the folder of the release, where the next release can't find them"},
		{"./mysql:/var/lib/mysql:ro", ""},
		{"./gateway:/etc/gateway", ""},
		{"./gateway/default.conf:/etc/gateway.conf", ""},
		{"/srv/mysql:/var/lib/mysql", ""},
	} {
		err := checkBinds(loaded(t, "services: {db: {image: db, volumes: ['"+tt.volume+"']}}\n"), r)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.volume, got, tt.want)
		}
	}
}

// TestDataThatCannotBePutBackAreRefused has a file system into which nobody may write, root neither.
func TestDataThatCannotBePutBackAreRefused(t *testing.T) {
	good := backup.Tree{Name: "data", Path: t.TempDir()}
	if err := checkWritable([]backup.Tree{good}); err != nil {
		t.Error(err)
	}
	const closed = "/proc/sys/kernel"
	err := checkWritable([]backup.Tree{good, {Name: "closed", Path: closed}})
	if err == nil || !strings.HasPrefix(err.Error(), "dhow can't write to the data folder "+closed+", so it could not put the data back: ") {
		t.Errorf("got %v", err)
	}
}

func TestBoundFoldersAreData(t *testing.T) {
	m := settled(t, nil)
	data := t.TempDir()
	inner := filepath.Join(data, "inner")
	coming := t.TempDir() // mounted by a container that is not there: of the release that comes, or removed by somebody
	staged := filepath.Join(m.Paths.Stacks(), "1.0.0")
	for _, dir := range []string{inner, staged} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(source string, readOnly bool) engine.Mount {
		return engine.Mount{Type: "bind", Source: source, Destination: "/x", ReadOnly: readOnly}
	}
	got := m.boundFolders([]engine.Container{
		{Mounts: []engine.Mount{bind(data, false), bind(inner, false), bind("/", false), bind("/etc", false), bind("/dev/shm", false), bind(staged, false)}},
		{Mounts: []engine.Mount{bind(data, false), bind(filepath.Join(data, "gone"), false)}},
		{OneOff: true, Mounts: []engine.Mount{bind(m.Paths.Prefix, false)}},
		{Mounts: []engine.Mount{bind(t.TempDir(), true)}},
	}, loaded(t, "services: {app: {image: app, volumes: ['"+coming+":/data', '"+t.TempDir()+":/config:ro', '/etc:/host']}}\n"))
	if !slices.Equal(got, []string{data, coming}) {
		t.Fatalf("got %v, want %v", got, []string{data, coming})
	}
}

func TestNeedsOnOneDiskAreAddedUp(t *testing.T) {
	m := settled(t, nil)
	docker, err := engine.Connect("unix:///there.is.none")
	if err != nil {
		t.Fatal(err)
	}
	m.Engine = docker
	here := m.Paths.State()
	if err := m.checkNeeds([]need{{"the images", here, 1 << 20}, {"a safe copy", here, 1 << 20}}); err != nil {
		t.Fatal(err)
	}
	// Each half alone fits on any disk that is smaller than this; together they don't.
	const half = 1 << 61
	err = m.checkNeeds([]need{{"the images", here, half}, {"a safe copy", here, half}})
	f := (*change.Failure)(nil)
	if !errors.As(err, &f) || f.Class != change.ClassSpace || f.Hint == "" {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(m.Paths.Archive(), "pack"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	list := strings.Join(m.deletable(here), "\n")
	if want := "older backups, of 3.1 MB in all: dhow backup list, dhow backup delete NAME"; !strings.Contains(list, want) {
		t.Fatalf("got %q", list)
	}
	if want := " more is needed in " + here + " for the images and a safe copy ("; !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v", err)
	}
}

// TestHowAServiceIs: the page and the doctor judge a container alike, and what somebody has stopped is not well although it ended with 0.
func TestHowAServiceIs(t *testing.T) {
	project := loaded(t, `services:
  web: {image: web, restart: unless-stopped, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: migrate, restart: unless-stopped}
  job: {image: job}
`)
	for _, tt := range []struct {
		c     engine.Container
		state string // of the stack, as far as the container itself tells it
		ill   bool   // by the project
	}{
		{engine.Container{Service: "web", State: "running", RestartPolicy: "unless-stopped"}, "healthy", false},
		{engine.Container{Service: "web", State: "running", Health: "starting", RestartPolicy: "unless-stopped"}, "starting", false},
		{engine.Container{Service: "web", State: "running", Health: "unhealthy", RestartPolicy: "unless-stopped"}, "unhealthy", true},
		{engine.Container{Service: "web", State: "exited", RestartPolicy: "unless-stopped"}, "unhealthy", true},
		{engine.Container{Service: "web", State: "exited", ExitCode: 1, RestartPolicy: "unless-stopped"}, "unhealthy", true},
		{engine.Container{Service: "web", State: "restarting", RestartPolicy: "unless-stopped"}, "unhealthy", true},
		{engine.Container{Service: "migrate", State: "exited", RestartPolicy: "no"}, "healthy", false},
		{engine.Container{Service: "migrate", State: "exited", ExitCode: 1, RestartPolicy: "no"}, "unhealthy", true},
		{engine.Container{Service: "job", State: "exited", RestartPolicy: "no"}, "healthy", false},
	} {
		if got := healthOf([]health.Service{ServiceOf(tt.c, nil)}); got != tt.state {
			t.Errorf("%+v: %s, want %s", tt.c, got, tt.state)
		}
		if got := ServiceOf(tt.c, project).Ill(); got != tt.ill {
			t.Errorf("%+v: ill is %v", tt.c, got)
		}
	}
}

func TestComesBack(t *testing.T) {
	for _, tt := range []struct {
		policy string
		code   int
		want   bool
	}{
		{"always", 0, true},
		{"unless-stopped", 1, true},
		{"on-failure", 1, true},
		{"on-failure:3", 1, true},
		{"on-failure:3", 0, false},
		{"no", 1, false},
		{"", 1, false},
	} {
		if got := comesBack(tt.policy, tt.code); got != tt.want {
			t.Errorf("%s after %d: got %v", tt.policy, tt.code, got)
		}
	}
}
