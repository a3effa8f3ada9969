//go:build e2e

package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

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
