// Package stack runs compose projects with the compose library, inside this process.
//
// It promises that
//   - containers, networks and volumes carry the labels and config hashes that compose gives them, so that any
//     docker compose sees them and recreates nothing,
//   - nothing is pulled or built, and no volume is ever removed but those of a scratch copy (Discard),
//   - Down, Stop and HoldRestarts need no documents and may be repeated,
//   - the library's output and log go nowhere; what went wrong is in the returned error, which names the service.
//
// "Closed" means that nobody from outside gets in and that the engine starts nothing by itself: the published ports
// of all services are left out and every container's restart policy is "no". It cannot hide services that use the
// host's network. What is done in which order is left to the caller, and so are health checks after the start.
package stack

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/docker/docker/api/types/container"
)

// Project is a stack as its documents describe it. It does not change.
type Project struct {
	full *types.Project // as read, with the services of profiles that are not active
	view *types.Project // what runs
}

// Port is a port that a service publishes. Published is 0 when the engine chooses, and the first one of a range.
type Port struct {
	Service   string
	HostIP    string
	Published uint16
	Target    uint16
	Protocol  string
}

// Volume is a named volume: Key in the documents, Name in the engine.
type Volume struct {
	Key      string
	Name     string
	External bool
	Services []string // that mount it, sorted
}

// Name is the compose project's name.
func (p *Project) Name() string { return p.view.Name }

// Services returns the services that run, each after those that it depends on.
func (p *Project) Services() []string {
	return slices.Concat(layers(dependencies(p.view.Services))...)
}

func dependencies(services types.Services) map[string][]string {
	deps := map[string][]string{}
	for name, s := range services {
		deps[name] = slices.Collect(maps.Keys(s.DependsOn))
	}
	return deps
}

// Ports returns the published ports by service, published port and target.
func (p *Project) Ports() []Port {
	var out []Port
	for name, s := range p.view.Services {
		for _, c := range s.Ports {
			first, _, _ := strings.Cut(c.Published, "-")
			published, _ := strconv.ParseUint(first, 10, 16) // "": the engine chooses
			out = append(out, Port{
				Service: name, HostIP: c.HostIP, Published: uint16(published), Target: uint16(c.Target),
				Protocol: cmp.Or(c.Protocol, "tcp"),
			})
		}
	}
	slices.SortFunc(out, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Published, b.Published),
			cmp.Compare(a.Target, b.Target), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostIP, b.HostIP))
	})
	return out
}

// Volumes returns the named volumes that services use, by key.
func (p *Project) Volumes() []Volume {
	var out []Volume
	for key, v := range p.view.Volumes {
		vol := Volume{Key: key, Name: v.Name, External: bool(v.External)}
		for name, s := range p.view.Services {
			if slices.ContainsFunc(s.Volumes, func(m types.ServiceVolumeConfig) bool {
				return m.Type == types.VolumeTypeVolume && m.Source == key
			}) {
				vol.Services = append(vol.Services, name)
			}
		}
		slices.Sort(vol.Services)
		out = append(out, vol)
	}
	slices.SortFunc(out, func(a, b Volume) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Dir is the folder to which relative paths of the documents refer.
func (p *Project) Dir() string { return p.view.WorkingDir }

// Bind is a folder or file of this computer that a service mounts. Source is absolute.
type Bind struct {
	Service, Source, Target string
	ReadOnly                bool
}

// Binds returns what services mount from this computer, in the order of the documents.
func (p *Project) Binds() []Bind {
	var out []Bind
	for _, name := range p.Services() {
		for _, m := range p.view.Services[name].Volumes {
			if m.Type == types.VolumeTypeBind {
				out = append(out, Bind{Service: name, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
			}
		}
	}
	return out
}

// OneShot reports whether other services wait for this one to complete.
func (p *Project) OneShot(service string) bool {
	return needs(p.view, service) == types.ServiceConditionCompletedSuccessfully
}

// Joins reports whether a service shares a namespace of another one (network_mode: service:x), so that nobody can tell its config hash beforehand.
func (p *Project) Joins(service string) bool {
	s := p.view.Services[service]
	return strings.HasPrefix(s.NetworkMode, "service:") || strings.HasPrefix(s.Ipc, "service:") || strings.HasPrefix(s.Pid, "service:")
}

// Image returns the image that a service runs, "" for an unknown service.
func (p *Project) Image(service string) string { return p.view.Services[service].Image }

// Restart returns a service's restart policy: no, always, unless-stopped, on-failure or on-failure:N.
func (p *Project) Restart(service string) string {
	r := restartPolicy(p.view.Services[service])
	if r.Name == container.RestartPolicyOnFailure && r.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", r.Name, r.MaximumRetryCount)
	}
	return string(r.Name)
}

// Hashes returns compose's config hash of every service, which its containers carry as a label. A service that shares
// another one's namespace (network_mode: service:x) carries another hash, as compose puts a container id into it.
func (p *Project) Hashes(closed bool) (map[string]string, error) {
	view, err := p.copy(closed)
	if err != nil {
		return nil, err
	}
	hashes := map[string]string{}
	for name, s := range view.Services {
		if hashes[name], err = compose.ServiceHash(s); err != nil {
			return nil, fmt.Errorf("cannot hash service %s: %w", name, err)
		}
	}
	return hashes, nil
}

// copy returns a project that compose may change as it likes.
func (p *Project) copy(closed bool) (*types.Project, error) {
	return p.view.WithServicesTransform(func(_ string, s types.ServiceConfig) (types.ServiceConfig, error) {
		if closed {
			s.Ports = nil
		}
		return s, nil
	})
}

// restartPolicy reads a service's restart policy as compose does: deploy.restart_policy wins over restart.
func restartPolicy(s types.ServiceConfig) container.RestartPolicy {
	word, count := "no", 0
	if s.Restart != "" {
		name, n, _ := strings.Cut(s.Restart, ":")
		word = name
		count, _ = strconv.Atoi(n)
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		word, count = s.Deploy.RestartPolicy.Condition, 0
		if n := s.Deploy.RestartPolicy.MaxAttempts; n != nil {
			count = int(*n)
		}
	}
	switch word {
	case "none", "no", "":
		return container.RestartPolicy{Name: container.RestartPolicyDisabled}
	case "any":
		word = "always"
	}
	if word != "on-failure" {
		count = 0
	}
	return container.RestartPolicy{Name: container.RestartPolicyMode(word), MaximumRetryCount: count}
}
