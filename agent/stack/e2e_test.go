//go:build e2e

package stack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

const appTag = "dhow.local/dhow-stack-app:1"

var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dhow-stack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../engine/testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the test program: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// rig is an engine with the test image and one project, which is taken away at the end.
type rig struct {
	*Compose
	ctx     context.Context
	cl      *client.Client
	project string
	port    int
}

func newRig(t *testing.T, project string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	c, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := c.engine(ctx)
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	r := &rig{Compose: c, ctx: ctx, cl: cl, project: "dhow-stack-" + project, port: freePort(t)}
	r.image(t)
	clean := func() {
		ctx := context.Background()
		if err := c.Down(ctx, r.project, time.Second); err != nil {
			t.Error(err)
		}
		_ = cl.VolumeRemove(ctx, r.project+"_data", true)
	}
	clean()
	t.Cleanup(func() {
		clean()
		_, _ = cl.ImageRemove(context.Background(), appTag, image.RemoveOptions{})
	})
	return r
}

// image imports the test program as an image.
func (r *rig) image(t *testing.T) {
	t.Helper()
	data, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(data))}), second(w.Write(data)), w.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := r.cl.ImageImport(r.ctx, image.ImportSource{Source: &b, SourceName: "-"}, appTag, image.ImportOptions{Changes: []string{`ENTRYPOINT ["/app"]`}})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
}

func second(_ int, err error) error { return err }

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// load reads documents in which every service runs the test image.
func (r *rig) load(t *testing.T, documents string) *Project {
	t.Helper()
	s := Source{
		Dir: folder(t, map[string]string{"compose.yaml": documents}), Files: []string{"compose.yaml"}, Project: r.project,
		Env: map[string]string{"PORT": strconv.Itoa(r.port), "WORD": "open sesame"}, Images: map[string]string{},
	}
	p := load(t, s)
	for name := range p.full.AllServices() {
		s.Images[name] = appTag
	}
	return load(t, s)
}

// containers returns the project's containers by service, inspected.
func (r *rig) containers(t *testing.T) map[string]container.InspectResponse {
	t.Helper()
	list, err := containers(r.ctx, r.cl, r.project)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]container.InspectResponse{}
	for _, s := range list {
		in, err := r.cl.ContainerInspect(r.ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		out[in.Config.Labels[labelService]] = in
	}
	return out
}

func (r *rig) ids(t *testing.T) map[string]string {
	out := map[string]string{}
	for name, in := range r.containers(t) {
		out[name] = in.ID
	}
	return out
}

func (r *rig) policies(t *testing.T) map[string]string {
	out := map[string]string{}
	for name, in := range r.containers(t) {
		p := in.HostConfig.RestartPolicy
		out[name] = string(p.Name)
		if p.MaximumRetryCount > 0 {
			out[name] += ":" + strconv.Itoa(p.MaximumRetryCount)
		}
	}
	return out
}

func (r *rig) up(t *testing.T, p *Project, closed bool) {
	t.Helper()
	if err := r.Up(r.ctx, p, UpOptions{Closed: closed}); err != nil {
		t.Fatal(err)
	}
}

// answers reports whether somebody answers the published port.
func (r *rig) answers(within time.Duration) bool {
	c := http.Client{Timeout: time.Second}
	for end := time.Now().Add(within); ; {
		res, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/", r.port))
		if err == nil {
			res.Body.Close()
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

const clinicStack = `
services:
  gateway:
    image: registry.example.org/x:1
    command: [serve, ":8080"]
    restart: on-failure:3
    ports: ["127.0.0.1:${PORT}:8080"]
    depends_on: [backend]
  backend:
    image: registry.example.org/x:1
    command: [sleep]
    restart: unless-stopped
    depends_on:
      db: {condition: service_healthy}
      prepare: {condition: service_completed_successfully}
  prepare:
    image: registry.example.org/x:1
    command: [exit, "0", done]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: registry.example.org/x:1
    command: [ready, /ready]
    restart: always
    volumes: [data:/data]
    healthcheck: {test: [CMD, /app, health, /ready], interval: 200ms, timeout: 10s, retries: 20}
  migrate:
    image: registry.example.org/x:1
    profiles: [migrate]
    command: [print, /run/secrets/word]
    secrets: [word]
    depends_on: {db: {condition: service_healthy}}
  broken:
    image: registry.example.org/x:1
    profiles: [migrate]
    command: [exit, "3", table is locked]
secrets:
  word: {environment: WORD}
volumes:
  data:
`

func TestE2EDoors(t *testing.T) {
	r := newRig(t, "doors")
	p := r.load(t, clinicStack)
	var lines []string
	if err := r.Up(r.ctx, p, UpOptions{Closed: true, Progress: func(s string) { lines = append(lines, s) }}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(lines, "\n"), "dhow-stack-doors-db-1 healthy") {
		t.Errorf("progress: %q", lines)
	}
	if r.answers(0) {
		t.Error("the port is open behind closed doors")
	}
	none := map[string]string{"gateway": "no", "backend": "no", "db": "no", "prepare": "no"}
	same(t, "policies behind closed doors", r.policies(t), none)
	if in := r.containers(t)["gateway"]; len(in.HostConfig.PortBindings) != 0 || len(in.NetworkSettings.Ports["8080/tcp"]) != 0 {
		t.Errorf("ports are published: %v", in.HostConfig.PortBindings)
	}
	sameHashes(t, r, p, true)
	before := r.ids(t)

	r.up(t, p, true) // again: nothing to do
	same(t, "containers after a second up", r.ids(t), before)

	r.up(t, p, false)
	if !r.answers(20 * time.Second) {
		t.Error("the port is not open")
	}
	after := r.ids(t)
	if after["gateway"] == before["gateway"] {
		t.Error("the gateway was not recreated")
	}
	before["gateway"] = after["gateway"]
	same(t, "containers after opening", after, before)
	sameHashes(t, r, p, false)
	none["gateway"] = "on-failure:3"
	same(t, "policies after opening", r.policies(t), none)

	for range 2 {
		if err := r.FreeRestarts(r.ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "free policies", r.policies(t), map[string]string{"gateway": "on-failure:3", "backend": "unless-stopped", "db": "always", "prepare": "no"})
	r.up(t, p, false)
	same(t, "containers after freeing", r.ids(t), after)

	if err := r.Stop(r.ctx, r.project, []string{"gateway", "backend"}, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	seen := r.containers(t)
	if seen["gateway"].State.Running || seen["backend"].State.Running || !seen["db"].State.Running {
		t.Error("the wrong services were stopped")
	}
	r.up(t, p, false)
	same(t, "containers after stop and start", r.ids(t), after)
	if !r.answers(20 * time.Second) {
		t.Error("the gateway does not run again")
	}

	for range 2 {
		if err := r.Down(r.ctx, r.project, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if left := r.ids(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	nets, err := r.cl.NetworkList(r.ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", r.project))})
	if err != nil || len(nets) != 0 {
		t.Errorf("networks left: %v %v", nets, err)
	}
	if _, err := r.cl.VolumeInspect(r.ctx, r.project+"_data"); err != nil {
		t.Errorf("the volume is gone: %v", err)
	}
}

func sameHashes(t *testing.T, r *rig, p *Project, closed bool) {
	t.Helper()
	want, err := p.Hashes(closed)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, in := range r.containers(t) {
		got[name] = in.Config.Labels["com.docker.compose.config-hash"]
	}
	same(t, fmt.Sprintf("hashes, closed %v", closed), got, want)
}

func TestE2EFailures(t *testing.T) {
	db := func(test, more string) string {
		return `
services:
  app: {image: x, command: [sleep], depends_on: {db: {condition: service_healthy}}}
  db:
    image: x
    command: [sleep]
    healthcheck: {test: [CMD, /app, health, /never], interval: 100ms, timeout: 10s, ` + test + `}
` + more
	}
	for name, tt := range map[string]struct {
		documents string
		within    time.Duration
		want      string
	}{
		"unhealthy": {db("retries: 2", ""), time.Minute, `service db is unhealthy (container running, unhealthy): "not ready: no file /never"`},
		"slow":      {db("retries: 100000", ""), 4 * time.Second, `service db did not become healthy in time (container running, starting): "not ready: no file /never": context deadline exceeded`},
		"one-shot": {`
services:
  app: {image: x, command: [sleep], depends_on: {prepare: {condition: service_completed_successfully}}}
  prepare: {image: x, command: [exit, "3", sorry]}
`, time.Minute, `service prepare ended with exit code 3`},
		"dies": {`
services:
  app: {image: x, command: [sleep], depends_on: {db: {condition: service_healthy}}}
  db: {image: x, command: [exit, "5", sorry], healthcheck: {test: [CMD, /app, health, /never], interval: 10s}}
`, time.Minute, `service db ended with exit code 5`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "failures")
			p := r.load(t, tt.documents)
			ctx, cancel := context.WithTimeout(r.ctx, tt.within)
			defer cancel()
			err := r.Up(ctx, p, UpOptions{Closed: true})
			var s *ServiceError
			if err == nil || err.Error() != tt.want || !errors.As(err, &s) {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
			if app, ok := r.containers(t)["app"]; ok && app.State.Running {
				t.Error("app runs without what it depends on")
			}
		})
	}
}

func TestE2EPortTaken(t *testing.T) {
	r := newRig(t, "taken")
	p := r.load(t, `{services: {web: {image: x, command: [serve, ":80"], ports: ["127.0.0.1:${PORT}:80"]}}}`)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := r.Up(r.ctx, p, UpOptions{}); err == nil || !strings.HasPrefix(err.Error(), "service web cannot be started: ") {
		t.Errorf("%v", err)
	}
	r.up(t, p, true) // behind closed doors it needs no port
	l.Close()
	r.up(t, p, false)
	if !r.answers(20 * time.Second) {
		t.Error("the port is not open")
	}
}

func TestE2EMissingImage(t *testing.T) {
	r := newRig(t, "image")
	s := Source{
		Dir: folder(t, map[string]string{"c.yaml": "services: {web: {image: registry.example.org/x:1, pull_policy: always}}"}), Files: []string{"c.yaml"}, Project: r.project,
		Images: map[string]string{"web": "dhow.local/dhow-stack-none:0"},
	}
	want := "service web needs image dhow.local/dhow-stack-none:0, which is not in the engine"
	if err := r.Up(r.ctx, load(t, s), UpOptions{}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestE2ERunOnce(t *testing.T) {
	r := newRig(t, "once")
	p := r.load(t, clinicStack)
	log, err := r.RunOnce(r.ctx, p, "migrate")
	if err != nil || log != "open sesame" {
		t.Fatalf("%q %v", log, err)
	}
	seen := r.containers(t)
	if len(seen) != 1 || !seen["db"].State.Running || seen["db"].HostConfig.RestartPolicy.Name != "no" {
		t.Errorf("%d containers are there", len(seen))
	}
	db := seen["db"].ID
	log, err = r.RunOnce(r.ctx, p, "broken")
	if err == nil || err.Error() != `service broken ended with exit code 3: "table is locked"` || log != "table is locked\n" {
		t.Errorf("%q %v", log, err)
	}
	r.up(t, p, true)
	if r.ids(t)["db"] != db {
		t.Error("up recreates what a run has started")
	}
	if _, err := r.RunOnce(r.ctx, p, "prepare"); err != nil {
		t.Error(err)
	}
	if got := r.ids(t); len(got) != 4 {
		t.Errorf("containers %v", got)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	if _, err := r.RunOnce(ctx, p, "gateway"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ctx does not end a run: %v", err)
	}
	if got := r.ids(t); len(got) != 4 {
		t.Errorf("containers %v", got)
	}
}

// foreign starts a container as some other tool of compose would have, with no config hash of ours.
func (r *rig) foreign(t *testing.T, name, policy string, labels map[string]string, net string) string {
	t.Helper()
	made, err := r.cl.ContainerCreate(r.ctx, &container.Config{Image: appTag, Cmd: []string{"sleep"}, Labels: labels},
		&container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(policy)}, NetworkMode: container.NetworkMode(net)}, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cl.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true})
	})
	if err := r.cl.ContainerStart(r.ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func TestE2EForeign(t *testing.T) {
	r := newRig(t, "foreign")
	labels := func(service, oneOff, deps string) map[string]string {
		return map[string]string{
			"com.docker.compose.project": r.project, "com.docker.compose.service": service, "com.docker.compose.oneoff": oneOff,
			"com.docker.compose.depends_on": deps,
		}
	}
	made, err := r.cl.NetworkCreate(r.ctx, r.project+"_default", network.CreateOptions{Labels: map[string]string{
		"com.docker.compose.project": r.project, "com.docker.compose.network": "default",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.foreign(t, r.project+"-db-1", "always", labels("db", "False", ""), r.project+"_default")
	r.foreign(t, r.project+"-app-1", "unless-stopped", labels("app", "False", "db:service_started:true"), r.project+"_default")
	r.foreign(t, r.project+"-tool", "on-failure", labels("tool", "True", "app"), r.project+"_default")
	guest := r.foreign(t, r.project+"-guest", "no", nil, r.project+"_default")
	crasher, err := r.cl.ContainerCreate(r.ctx, &container.Config{Image: appTag, Cmd: []string{"exit", "1"}, Labels: labels("crasher", "False", "")},
		&container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}, nil, nil, r.project+"-crasher-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cl.ContainerStart(r.ctx, crasher.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	for in := r.containers(t)["crasher"]; !in.State.Restarting; in = r.containers(t)["crasher"] {
		if r.ctx.Err() != nil {
			t.Fatal("the crasher is never between two starts")
		}
	}
	for range 2 {
		if err := r.HoldRestarts(r.ctx, strings.ToUpper(r.project)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "held", r.policies(t), map[string]string{"db": "no", "app": "no", "tool": "no", "crasher": "no"})
	if err := r.Stop(r.ctx, r.project, nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for name, in := range r.containers(t) {
		if in.State.Running || in.State.Restarting {
			t.Errorf("%s still runs", name)
		}
	}
	if err := r.Down(r.ctx, r.project, 5*time.Second); err != nil {
		t.Fatalf("a guest in the network stops the line: %v", err)
	}
	if left := r.ids(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := r.cl.NetworkInspect(r.ctx, made.ID, network.InspectOptions{}); err != nil {
		t.Errorf("the network was taken from its guest: %v", err)
	}
	if err := r.cl.ContainerRemove(r.ctx, guest, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.Down(r.ctx, r.project, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := r.cl.NetworkInspect(r.ctx, made.ID, network.InspectOptions{}); err == nil {
		t.Error("the network is left")
	}
}

func TestE2EOrphansAndVolumes(t *testing.T) {
	r := newRig(t, "orphans")
	one := r.load(t, `{services: {a: {image: x, command: [sleep], volumes: ["data:/d"]}, b: {image: x, command: [sleep]}}, volumes: {data: {}}}`)
	r.up(t, one, false)
	before, err := r.cl.VolumeInspect(r.ctx, r.project+"_data")
	if err != nil {
		t.Fatal(err)
	}
	// The next release has no b, and says something else of the volume: compose would offer to recreate it.
	two := r.load(t, `{services: {a: {image: x, command: [sleep], volumes: ["data:/d"]}}, volumes: {data: {labels: {other: "1"}, driver_opts: {type: none, o: bind, device: /srv}}}}`)
	r.up(t, two, false)
	if got := r.ids(t); len(got) != 1 || got["a"] == "" {
		t.Errorf("containers %v", got)
	}
	after, err := r.cl.VolumeInspect(r.ctx, r.project+"_data")
	if err != nil || after.CreatedAt != before.CreatedAt || after.Labels["other"] != "" {
		t.Errorf("the volume was recreated: %v", err)
	}
}

// TestE2EOldTrouble asks for the true cause when an older one stands beside it.
func TestE2EOldTrouble(t *testing.T) {
	r := newRig(t, "old")
	documents := func(networks string) string {
		return `
services:
  app: {image: x, command: [sleep], depends_on: {db: {condition: service_healthy}}}
  db: {image: x, command: [ready, /ready], healthcheck: {test: [CMD, /app, health, /ready], interval: 200ms, timeout: 10s, retries: 20}}
` + networks
	}
	r.up(t, r.load(t, documents("")), true)
	if err := r.cl.ContainerKill(r.ctx, r.ids(t)["db"], "KILL"); err != nil {
		t.Fatal(err)
	}
	bad := r.load(t, documents("networks: {default: {driver: dhow-no-such-driver}}"))
	err := r.Up(r.ctx, bad, UpOptions{Closed: true})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot create dhow-stack-old: ") || !strings.Contains(err.Error(), "dhow-no-such-driver") {
		t.Errorf("%v", err)
	}
	r.up(t, r.load(t, documents("")), true) // a killed database is started again
}

func TestE2EOneShots(t *testing.T) {
	r := newRig(t, "oneshots")
	p := r.load(t, clinicStack)
	started := func() string { return r.containers(t)["prepare"].State.StartedAt }
	r.up(t, p, true)
	first := started()
	if err := r.Up(r.ctx, p, UpOptions{KeepDone: true}); err != nil {
		t.Fatal(err)
	}
	if !r.answers(20*time.Second) || started() != first {
		t.Error("a finished one-shot service was run again")
	}
	r.up(t, p, false)
	if started() == first {
		t.Error("compose would have run the one-shot service again")
	}
}

func TestE2EInterruptedRecreate(t *testing.T) {
	r := newRig(t, "interrupted")
	p := r.load(t, `{services: {a: {image: x, command: [sleep]}}}`)
	r.up(t, p, false)
	id := r.ids(t)["a"]
	// Kept under its temporary name, as a power cut before the last step of a recreation leaves it.
	if err := r.Down(r.ctx, r.project, time.Second); err != nil {
		t.Fatal(err)
	}
	project, err := p.copy(false)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := newShield(r.ctx, r.cl, false)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := backend(engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := project.Services["a"]
	s.CustomLabels = s.CustomLabels.Add("com.docker.compose.replace", "a-1")
	s.ContainerName = id[:12] + "_" + r.project + "-a-1"
	project.Services["a"] = s
	if err := svc.Create(r.ctx, project, api.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.up(t, p, false)
	in := r.containers(t)["a"]
	if in.Name != "/"+r.project+"-a-1" || !in.State.Running {
		t.Errorf("%s, %s", in.Name, in.State.Status)
	}
	if err := r.cl.ContainerPause(r.ctx, in.ID); err != nil {
		t.Fatal(err)
	}
	r.up(t, p, false)
	if now := r.containers(t)["a"]; now.ID != in.ID || now.State.Paused {
		t.Errorf("paused: %v", now.State.Paused)
	}
}

// TestE2EQuiet runs a stack that makes compose warn, and looks at what reaches the terminal and what stays behind.
func TestE2EQuiet(t *testing.T) {
	r := newRig(t, "quiet")
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = out, out
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	p := r.load(t, `{services: {a: {image: x, command: [sleep, "$UNSET"], volumes: ["data:/d"]}}, volumes: {data: {}}}`)
	if _, err := r.cl.VolumeCreate(r.ctx, volume.CreateOptions{Name: r.project + "_data"}); err != nil {
		t.Fatal(err)
	}
	// Settled: what one round leaves behind must not grow with more of them.
	round := func() {
		r.up(t, p, true)
		r.up(t, p, false)
		if err := r.Down(r.ctx, r.project, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	round()
	_ = r.cl.Close()
	before := runtime.NumGoroutine()
	for range 3 {
		round()
	}
	_ = r.cl.Close()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(end) {
			t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			break
		}
		runtime.Gosched()
	}
	if st, err := out.Stat(); err != nil || st.Size() != 0 {
		data, _ := os.ReadFile(out.Name())
		t.Errorf("something was printed: %q %v", data, err)
	}
}
