//go:build e2e

package stack

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// A copy of the clinic's stack runs beside it: nothing of it is reachable from outside, nothing gets out of it, and nothing is left of
// it; the original goes on through all of that.
func TestE2EScratch(t *testing.T) {
	r := newRig(t, "scratch")
	letters := t.TempDir()
	documents := strings.Replace(clinicStack, "volumes: [data:/data]", `volumes: [data:/data, /unnamed, "`+letters+`:/letters"]`, 1)
	p := r.load(t, documents)
	r.up(t, p, false)
	if !r.answers(10 * time.Second) {
		t.Fatal("the original does not answer")
	}
	before := r.ids(t)
	volumes := r.volumes(t)
	own := filepath.Join(t.TempDir(), "letters")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	copied, err := p.Scratch(ScratchPrefix+r.project, map[string]string{letters: own})
	if err != nil {
		t.Fatal(err)
	}
	s := &rig{Compose: r.Compose, ctx: r.ctx, cl: r.cl, project: copied.Name()}
	t.Cleanup(func() {
		if err := r.Discard(context.Background(), s.project); err != nil {
			t.Error(err)
		}
	})
	s.up(t, copied, true)
	seen := s.containers(t)
	if len(seen) != 4 {
		t.Fatalf("%d containers are in the copy", len(seen))
	}
	for name, in := range seen {
		if len(in.NetworkSettings.Ports) != 0 || in.HostConfig.PublishAllPorts || in.HostConfig.RestartPolicy.Name != "no" {
			t.Errorf("%s: ports %v, policy %v", name, in.NetworkSettings.Ports, in.HostConfig.RestartPolicy)
		}
		if in.Config.Labels[DrillLabel] != s.project {
			t.Errorf("%s: labels %v", name, in.Config.Labels)
		}
		for _, m := range in.Mounts {
			if m.Type == "volume" && slices.Contains(volumes, m.Name) || m.Source == letters {
				t.Errorf("%s uses %s of the original", name, m.Source)
			}
		}
		if in.State.Running {
			noWayOut(t, in)
		}
	}
	if !r.answers(time.Second) {
		t.Error("the original does not answer beside its copy")
	}
	db := r.containers(t)["db"]
	l, err := net.Listen("tcp", net.JoinHostPort(db.NetworkSettings.Networks[r.project+"_default"].Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !reaches(t, db, l) {
		t.Error("this test can't fail: not even the original reaches this computer")
	}
	if reaches(t, seen["db"], l) {
		t.Error("the copy reaches a service of this computer")
	}
	if err := r.Discard(r.ctx, r.project); err == nil {
		t.Error("a stack that is no copy is discarded")
	}
	for range 2 {
		if err := r.Discard(r.ctx, s.project); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.containers(t); len(got) > 0 {
		t.Errorf("containers are left: %v", got)
	}
	if got, err := r.cl.NetworkList(r.ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", s.project))}); err != nil || len(got) > 0 {
		t.Errorf("networks are left: %v, %v", got, err)
	}
	same(t, "volumes", r.volumes(t), volumes)
	same(t, "containers of the original", r.ids(t), before)
	if !r.answers(time.Second) {
		t.Error("the original does not answer when its copy is gone")
	}
}

// volumes returns the names of all volumes of the engine.
func (r *rig) volumes(t *testing.T) []string {
	t.Helper()
	list, err := r.cl.VolumeList(r.ctx, volume.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range list.Volumes {
		out = append(out, v.Name)
	}
	slices.Sort(out)
	return out
}

// noWayOut reads the container's routing table from the kernel: the only gateway in it may be one that nobody is.
func noWayOut(t *testing.T, in container.InspectResponse) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(in.State.Pid), "net", "route"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")[1:]
	if len(lines) == 0 {
		t.Errorf("%s: no route at all", in.Name)
	}
	for _, line := range lines {
		// Little-endian hex: 198.18.x.254 or 198.19.x.254.
		if f := strings.Fields(line); len(f) < 3 || f[2] != "00000000" && !strings.HasPrefix(f[2], "FE") {
			t.Errorf("%s has a route out: %s", in.Name, line)
		}
	}
}

// reaches reports whether a container can open a connection to an address of this computer that is not in its own network.
func reaches(t *testing.T, in container.InspectResponse, l net.Listener) bool {
	t.Helper()
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(in.State.Pid), "-n", "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil
}
