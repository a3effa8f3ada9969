package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/opencontainers/go-digest"
)

// Labels that compose puts on containers.
const (
	labelProject    = "com.docker.compose.project"
	labelService    = "com.docker.compose.service"
	labelHash       = "com.docker.compose.config-hash"
	labelOneOff     = "com.docker.compose.oneoff"
	labelWorkingDir = "com.docker.compose.project.working_dir"
	labelFiles      = "com.docker.compose.project.config_files"
)

// Container is one container of a compose project.
type Container struct {
	ID            string
	Name          string // without the leading slash
	Service       string
	Host          string // its name as the programs inside see it
	Image         string // config digest of the image that it runs; "" when the engine no longer has it
	State         string // created, running, paused, restarting, removing, exited or dead
	Health        string // starting, healthy, unhealthy; "" without a health check
	HealthLog     string // output of the last check, at most maxHealthLog bytes
	ExitCode      int
	RestartPolicy string // no, always, unless-stopped, on-failure
	Restarts      int    // how often the engine restarted it since it was started
	ConfigHash    string
	OneOff        bool
	IPs           []string
	Mounts        []Mount
	Ports         []Port
	WorkingDir    string   // of the compose project that made it
	ConfigFiles   []string // of the compose project that made it
}

// Mount is something mounted into a container. Type is volume, bind or tmpfs; Name is the volume's name.
type Mount struct {
	Type        string
	Name        string
	Source      string
	Destination string
	Anonymous   bool // a volume without a name of its own
	ReadOnly    bool
}

// Port is a port that a container publishes. HostPort is 0 as long as the engine has not chosen one.
type Port struct {
	HostIP        string
	HostPort      uint16
	ContainerPort uint16
	Protocol      string
}

const maxHealthLog = 300

// Containers returns all containers of a compose project, in whatever state, one-off containers too, by name.
func (e *Engine) Containers(ctx context.Context, project string) ([]Container, error) {
	if _, err := e.alive(ctx); err != nil {
		return nil, err
	}
	list, err := e.api().ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project)),
	})
	if err != nil {
		return nil, failure("cannot list the containers", err)
	}
	var out []Container
	for _, s := range list {
		in, err := e.api().ContainerInspect(ctx, s.ID)
		if errdefs.IsNotFound(err) {
			continue // gone since it was listed
		}
		if err != nil {
			return nil, failure("cannot inspect container "+s.ID, err)
		}
		c := describe(in)
		config, err := e.configOf(ctx, in.Image)
		switch {
		case err == nil:
			c.Image = config.String()
		case errdefs.IsNotFound(err) && digest.Digest(in.Image).Validate() == nil:
			c.Image = "" // its image was removed by force
		default:
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// describe translates what the engine says; every part of it may be missing.
func describe(in container.InspectResponse) Container {
	c := Container{}
	if b := in.ContainerJSONBase; b != nil {
		c.ID, c.Name, c.Restarts = b.ID, strings.TrimPrefix(b.Name, "/"), b.RestartCount
		if b.HostConfig != nil {
			c.RestartPolicy = string(b.HostConfig.RestartPolicy.Name)
		}
		if b.State != nil {
			c.State, c.ExitCode = b.State.Status, b.State.ExitCode
			if h := b.State.Health; h != nil && h.Status != container.NoHealthcheck {
				c.Health = h.Status
				if n := len(h.Log); n > 0 && h.Log[n-1] != nil {
					c.HealthLog = clip(h.Log[n-1].Output, maxHealthLog)
				}
			}
		}
	}
	if c.RestartPolicy == "" {
		c.RestartPolicy = string(container.RestartPolicyDisabled)
	}
	if in.Config != nil {
		c.Host = in.Config.Hostname
		l := in.Config.Labels
		c.Service, c.ConfigHash, c.OneOff, c.WorkingDir = l[labelService], l[labelHash], l[labelOneOff] == "True", l[labelWorkingDir]
		if f := l[labelFiles]; f != "" {
			c.ConfigFiles = strings.Split(f, ",")
		}
	}
	for _, m := range in.Mounts {
		c.Mounts = append(c.Mounts, Mount{
			Type: string(m.Type), Name: m.Name, Source: m.Source, Destination: m.Destination,
			Anonymous: m.Type == mount.TypeVolume && anonymous(m.Name), ReadOnly: !m.RW,
		})
	}
	if n := in.NetworkSettings; n != nil {
		for _, ep := range n.Networks {
			if ep != nil && ep.IPAddress != "" {
				c.IPs = append(c.IPs, ep.IPAddress)
			}
		}
		slices.Sort(c.IPs)
	}
	c.Ports = ports(in)
	return c
}

// ports returns the ports that are bound by a running container, or would be by a stopped one.
func ports(in container.InspectResponse) []Port {
	var out []Port
	if in.ContainerJSONBase == nil || in.HostConfig == nil {
		return nil
	}
	bound := in.HostConfig.PortBindings
	if in.NetworkSettings != nil && len(in.NetworkSettings.Ports) > 0 {
		bound = in.NetworkSettings.Ports
	}
	for p, bindings := range bound {
		for _, b := range bindings {
			host, _ := strconv.ParseUint(b.HostPort, 10, 16) // "" and ranges: not chosen yet
			target, err := strconv.ParseUint(p.Port(), 10, 16)
			if err != nil {
				continue
			}
			out = append(out, Port{HostIP: b.HostIP, HostPort: uint16(host), ContainerPort: uint16(target), Protocol: p.Proto()})
		}
	}
	slices.SortFunc(out, func(a, b Port) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// anonymous reports whether the engine made a volume's name up: 64 hex digits.
func anonymous(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// clip keeps the end of s, which holds the cause of an error, as valid text of at most n bytes.
func clip(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		s = s[len(s)-n:]
		for s != "" && !utf8.RuneStart(s[0]) {
			s = s[1:]
		}
	}
	return strings.ToValidUTF8(s, "?")
}

// Stop asks a container to end and kills it after grace, or after the container's own stop_grace_period when that is longer. A container
// that does not run, or is gone, is no error.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	in, err := e.api().ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failure("cannot inspect container "+id, err)
	}
	seconds := int(math.Ceil(grace.Seconds()))
	o := container.StopOptions{Timeout: &seconds}
	if grace <= 0 || in.Config != nil && in.Config.StopTimeout != nil && *in.Config.StopTimeout > seconds {
		o.Timeout = nil // its own
	}
	if err := e.api().ContainerStop(ctx, id, o); err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot stop container "+id, err)
	}
	return nil
}

// Start starts a container; one that runs is no error.
func (e *Engine) Start(ctx context.Context, id string) error {
	if err := e.api().ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return failure("cannot start container "+id, err)
	}
	return nil
}

// Remove removes a container, killing it when it runs. Its volumes stay, anonymous ones too. A container that is gone
// is no error; one that somebody else is removing is waited for.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.api().ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	for errdefs.IsConflict(err) {
		if _, ierr := e.api().ContainerInspect(ctx, id); ierr != nil {
			err = ierr
			break
		}
		select {
		case <-ctx.Done():
			return failure("cannot remove container "+id, errors.Join(ctx.Err(), err))
		case <-time.After(100 * time.Millisecond):
		}
		err = e.api().ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot remove container "+id, err)
	}
	return nil
}
