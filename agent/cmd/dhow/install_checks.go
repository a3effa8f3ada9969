package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
)

// What install looks at before it writes anything are the checks of the doctor that need no site, on a patient that is none yet. It ends where
// nothing could work: an engine that is too old, a disk without room for a journal, a port that the release on the stick needs and another
// program has. Everything else is said with its remedy: a clinic without a network is a usual one.

// newPatient is a computer that is to become a site. Nothing of it is read from disk.
func (s *shell) newPatient(paths site.Paths, config *site.Config) *patient {
	return &patient{shell: s, paths: paths, config: config, network: newNetwork()}
}

// examineMachine looks at the computer and its engine, and says in a line what it is.
func (s *shell) examineMachine(ctx context.Context, p *patient, address site.Endpoint) error {
	d := examine(ctx, p, ofMachine)
	seen := p.stack(ctx)
	text := s.say("install.machine", "os", seen.info.OS, "platform", seen.info.Platform, "docker", seen.info.Version)
	if seen.info.Memory > 0 {
		text = s.words.List([]string{text, s.say("install.memory", "size", s.words.Size(seen.info.Memory))})
	}
	if free, err := site.Free(p.paths.State()); err == nil {
		text += ", " + s.say("install.free", "size", s.words.Size(free))
	}
	if d.Result == isGood {
		text = s.say("install.good", "what", text)
	}
	s.printf("%s\n", s.lineOf("machine", text))
	if address.From != "" && address.From != site.FromConfig {
		s.printf("%s\n", s.lineOf("engine", address.String()))
	}
	s.tellFindings(d)
	stops := []string{"engine.address", "engine.away", "engine.old"}
	if !exists(p.paths.Config()) { // a repair may be what makes room
		stops = append(stops, "disk.full", "disk.unknown")
	}
	return d.stopped(stops)
}

// examineWay looks at the way to the fleet, and at the clock, which the sources tell. Nothing of that keeps a site from being made.
func (s *shell) examineWay(ctx context.Context, p *patient, next ahead) {
	if p.trust = next.trust; p.trust != nil {
		p.network.WithClock(clockOf(p.trust))
	}
	d := examine(ctx, p, ofWay)
	doubted := false
	var told diagnosis
	for _, f := range d.Checks {
		switch {
		case f.Result == isGood, f.ID == "clock.wrong", f.ID == "source.none": // the last two are said anyway
		case f.ID == "source.away" && d.namesHost(f.Text):
		default:
			doubted = doubted || f.Name == "clock"
			f.Result = isWarning
			told.Checks = append(told.Checks, f)
		}
	}
	s.tellClock(next, doubted)
	s.tellFindings(told)
}

// namesHost reports whether something is wrong already with the name, the proxy or the certificate of a server that a sentence is about: that no source
// answers there is said with it.
func (d diagnosis) namesHost(text string) bool {
	return slices.ContainsFunc(d.Checks, func(f finding) bool {
		if f.Result == isGood || f.Name == "source" || len(f.args) < 2 {
			return false
		}
		host, ok := f.args[1].(string)
		return ok && (f.args[0] == "host" && strings.Contains(text, host) || f.args[0] == "proxy")
	})
}

// examineDoors looks at the ports: that of the page, and those of the release that is to run here, at once or later.
func (s *shell) examineDoors(ctx context.Context, p *patient, atOnce bool) error {
	d := examine(ctx, p, ofDoors)
	s.tellFindings(d)
	if !atOnce {
		return nil
	}
	return d.stopped([]string{"ports.door"})
}

// doorsOf are the ports of the release that is known already.
func doorsOf(ctx context.Context, docker *engine.Engine, config *site.Config, next ahead, settings map[string]string) ([]door, error) {
	if next.release == nil {
		return nil, nil
	}
	project := config.Project
	if project == "" {
		project = next.release.Project
	}
	list, err := docker.Containers(ctx, project)
	if err != nil {
		return nil, err
	}
	return next.doors(list, settings), nil
}

// doors are the ports of the release but for those that containers of its project hold. One that can't be told yet is left to the update.
func (a ahead) doors(containers []engine.Container, settings map[string]string) (list []door) {
	held := map[uint16]bool{}
	for _, c := range containers {
		for _, q := range c.Ports {
			held[q.HostPort] = held[q.HostPort] || q.Protocol == "tcp"
		}
	}
	env := map[string]string{}
	for _, more := range []map[string]string{a.release.Variables, a.given, settings} {
		maps.Copy(env, more)
	}
	value := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, q := range a.release.Ports {
		text, err := template.Substitute(q.Published, value)
		port, bad := strconv.ParseUint(text, 10, 16)
		if err == nil && bad == nil && port != 0 && q.Protocol == "tcp" && !held[uint16(port)] {
			list = append(list, door{q.Service, uint16(port)})
		}
	}
	return list
}

// stopped is an error when something of this kind is bad.
func (d diagnosis) stopped(ids []string) error {
	for _, f := range d.Checks {
		if f.Result == isBad && slices.Contains(ids, f.ID) {
			return api.Fail(api.CodeRefused, "put right what is marked with ✗, then repeat this command", "this computer can't become a site as it is; nothing was done").In("install-unfit")
		}
	}
	return nil
}
