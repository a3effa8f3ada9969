//go:build e2e

package stack

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

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
