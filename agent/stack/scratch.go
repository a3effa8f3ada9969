package stack

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
)

const (
	// ScratchPrefix begins the name of every scratch copy, so that none is ever taken for a stack that people work with.
	ScratchPrefix = "dhow-drill-"
	// DrillLabel is on every container, network and volume that a scratch copy makes; its value is the copy's name.
	DrillLabel = "dhow.drill"
)

// ErrNotIsolated means that a service reaches beyond what a scratch copy can be given of its own.
var ErrNotIsolated = errors.New("it can't be kept apart from the real one")

// Scratch returns a copy of the stack under another name, which begins with ScratchPrefix, that can run beside the original and touches
// nothing of it. No port is published, and every network is the copy's own and has no way out, so that nothing is sent from it. Named
// and external volumes become volumes of its own, without driver and options. A bind-mounted folder that is in folders, or inside one of
// them, is replaced by the folder that stands for it there; all others are mounted read-only. Fixed container names, addresses and
// labels, which a proxy or an updater might act on, are left out; logs stay on this computer; restart policies are "no". A service that
// can't be kept apart is refused with a *ServiceError that wraps ErrNotIsolated.
func (p *Project) Scratch(name string, folders map[string]string) (*Project, error) {
	if err := checkScratch(name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(p.Name(), ScratchPrefix) {
		return nil, fmt.Errorf("cannot copy %s: it is a scratch copy itself", p.Name())
	}
	full, err := p.full.WithServicesTransform(func(_ string, s types.ServiceConfig) (types.ServiceConfig, error) { return s, nil })
	if err != nil {
		return nil, fmt.Errorf("cannot copy %s: %w", p.Name(), err)
	}
	full.Name = name
	mine := types.Labels{DrillLabel: name}
	for i, key := range slices.Sorted(maps.Keys(full.Networks)) {
		full.Networks[key] = types.NetworkConfig{Name: name + "_" + key, Internal: true, Labels: maps.Clone(mine), Ipam: deadEnd(name, i)}
	}
	for key := range full.Volumes {
		full.Volumes[key] = types.VolumeConfig{Name: name + "_" + key, Labels: maps.Clone(mine)}
	}
	for _, group := range []types.Services{full.Services, full.DisabledServices} {
		for service, s := range group {
			if group[service], err = scratchService(name, s, folders); err != nil {
				return nil, &ServiceError{Service: service, Reason: "can't be tried in a copy", Err: err}
			}
		}
	}
	view, err := resolved(full)
	if err != nil {
		return nil, fmt.Errorf("cannot copy %s: %w", p.Name(), err)
	}
	return &Project{full: full, view: view}, nil
}

// deadEnd gives a network addresses of which none leads out. "Internal" alone stops packets in the engine's packet filter: old engines
// still set a way out to this computer, whose own addresses answer, and an engine without a packet filter stops nothing. So the
// way out is an address that nobody has. The addresses are of the block that is kept for benchmarks, 198.18.0.0/15.
func deadEnd(name string, i int) types.IPAMConfig {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	n := (int(h.Sum32()%512) + i) % 512
	net := fmt.Sprintf("198.%d.%d.", 18+n/256, n%256)
	return types.IPAMConfig{Config: []*types.IPAMPool{{
		Subnet: net + "0/24", AuxiliaryAddresses: types.Mapping{"DefaultGatewayIPv4": net + "254"},
	}}}
}

func checkScratch(name string) error {
	if len(name) <= len(ScratchPrefix) || !strings.HasPrefix(name, ScratchPrefix) || loader.NormalizeProjectName(name) != name {
		return fmt.Errorf("internal error: %q is not the name of a scratch copy", name)
	}
	return nil
}

func scratchService(name string, s types.ServiceConfig, folders map[string]string) (types.ServiceConfig, error) {
	if err := apart(s); err != nil {
		return s, err
	}
	s.Ports, s.ContainerName, s.MacAddress, s.ExternalLinks, s.LabelFiles = nil, "", "", nil, nil
	s.Restart = "no"
	if s.Deploy != nil {
		s.Deploy.RestartPolicy, s.Deploy.Labels = nil, nil
	}
	s.Labels = types.Labels{DrillLabel: name}
	s.CustomLabels = s.CustomLabels.Add(api.ProjectLabel, name)
	s.Logging, s.LogDriver, s.LogOpt = &types.LoggingConfig{Driver: "json-file", Options: types.Options{"max-size": "10m"}}, "", nil
	for key, n := range s.Networks {
		if n != nil {
			s.Networks[key] = &types.ServiceNetworkConfig{Aliases: n.Aliases}
		}
	}
	for i, m := range s.Volumes {
		if m.Type != types.VolumeTypeBind {
			continue
		}
		m, err := scratchBind(m, folders)
		if err != nil {
			return s, err
		}
		s.Volumes[i] = m
	}
	return s, nil
}

// scratchBind replaces a folder of this computer, or makes it one that can only be read.
func scratchBind(m types.ServiceVolumeConfig, folders map[string]string) (types.ServiceVolumeConfig, error) {
	m.Bind = &types.ServiceVolumeBind{} // no propagation, and nothing is made at the source
	source := filepath.Clean(m.Source)
	best := ""
	for from, to := range folders {
		from = filepath.Clean(from)
		if rest, err := filepath.Rel(from, source); err == nil && filepath.IsLocal(rest) && len(from) > len(best) {
			best, m.Source = from, filepath.Join(to, rest)
		}
	}
	if best != "" {
		return m, nil
	}
	for _, shared := range []string{"/dev", "/run", "/var/run"} {
		for _, pair := range [][2]string{{shared, source}, {source, shared}} {
			if rest, err := filepath.Rel(pair[0], pair[1]); err == nil && filepath.IsLocal(rest) {
				return m, fmt.Errorf("%w: it mounts %s", ErrNotIsolated, m.Source)
			}
		}
	}
	if info, err := os.Stat(source); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return m, fmt.Errorf("%w: it mounts %s, which is neither a file nor a folder", ErrNotIsolated, m.Source)
	}
	m.ReadOnly = true
	return m, nil
}

// strong are the capabilities that reach out of a container.
var strong = []string{
	"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "SYS_PTRACE", "NET_ADMIN", "BPF", "PERFMON", "MAC_ADMIN",
	"DAC_READ_SEARCH",
}

// apart says why a service can't be kept apart from this computer and from other containers.
func apart(s types.ServiceConfig) error {
	for _, space := range []struct{ what, mode string }{
		{"network_mode", s.NetworkMode}, {"net", s.Net}, {"pid", s.Pid}, {"ipc", s.Ipc}, {"uts", s.Uts}, {"cgroup", s.Cgroup},
	} {
		switch mode := space.mode; {
		case mode == "", mode == "none", mode == "private", mode == "shareable", strings.HasPrefix(mode, types.ServicePrefix):
		default:
			return fmt.Errorf("%w: %s: %s", ErrNotIsolated, space.what, mode)
		}
	}
	var gpu bool
	if d := s.Deploy; d != nil && d.Resources.Reservations != nil {
		gpu = len(d.Resources.Reservations.Devices) > 0
	}
	hook := func(h types.ServiceHook) bool { return h.Privileged }
	for _, rule := range []struct {
		what string
		has  bool
	}{
		{"privileged", s.Privileged || slices.ContainsFunc(s.PostStart, hook) || slices.ContainsFunc(s.PreStop, hook)},
		{"devices", len(s.Devices) > 0 || len(s.DeviceCgroupRules) > 0 || len(s.Gpus) > 0 || gpu},
		{"use_api_socket", s.UseAPISocket},
		{"credential_spec", s.CredentialSpec != nil},
	} {
		if rule.has {
			return fmt.Errorf("%w: %s", ErrNotIsolated, rule.what)
		}
	}
	for _, c := range s.CapAdd {
		if slices.Contains(strong, strings.TrimPrefix(strings.ToUpper(c), "CAP_")) {
			return fmt.Errorf("%w: cap_add: %s", ErrNotIsolated, c)
		}
	}
	for _, from := range s.VolumesFrom {
		if strings.HasPrefix(from, types.ContainerPrefix) {
			return fmt.Errorf("%w: volumes_from: %s", ErrNotIsolated, from)
		}
	}
	for _, m := range s.Volumes {
		switch m.Type {
		case types.VolumeTypeBind, types.VolumeTypeVolume, types.VolumeTypeTmpfs, types.VolumeTypeImage:
		default:
			return fmt.Errorf("%w: %s is mounted with type %s", ErrNotIsolated, m.Target, m.Type)
		}
	}
	return nil
}
