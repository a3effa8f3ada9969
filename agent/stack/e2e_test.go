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
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
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
