//go:build e2e

package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

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
	want := "service web needs image dhow.local/dhow-stack-none:0: it is not in the engine"
	if err := r.Up(r.ctx, load(t, s), UpOptions{}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

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
	bad := r.load(t, documents("networks: {default: {ipam: {config: [{subnet: 10.0.0.0/99}]}}}"))
	err := r.Up(r.ctx, bad, UpOptions{Closed: true})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot create dhow-stack-old: ") || !strings.Contains(err.Error(), "10.0.0.0/99") {
		t.Errorf("%v", err)
	}
	r.up(t, r.load(t, documents("")), true) // a killed database is started again
}
