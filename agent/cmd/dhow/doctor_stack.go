package main

import (
	"context"
	"slices"
	"strings"

	"dhow/agent/engine"
	"dhow/agent/update"
)

// checkStack compares what runs with the release that should: what somebody has stopped, changed by hand or added.
func checkStack(ctx context.Context, p *patient) (list []finding) {
	s := p.stack(ctx)
	switch {
	case s == nil || s.err != nil:
		return nil
	case s.listErr != nil:
		return said(isWarning, "stack.unknown", s.listErr.Error(), "")
	case s.known.Adopted:
		return good("doctor.stack.adopted")
	case s.busy():
		return good("doctor.stack.busy")
	case s.running == nil:
		if s.known.Release != "" {
			return bad("doctor.stack.folder", "doctor.tell", "release", s.known.Release, "folder", p.paths.Stacks())
		}
		return nil // nothing is installed yet, or nothing of it runs and no agent says what should
	}
	hashes, err := s.running.Project.Hashes(false)
	if err != nil {
		return said(isWarning, "stack.unknown", err.Error(), "")
	}
	services := s.running.Project.Services()
	there := map[string]bool{}
	for _, c := range s.containers {
		if c.OneOff {
			continue
		}
		if !slices.Contains(services, c.Service) {
			list = append(list, warn("doctor.stack.stranger", "doctor.stack.remove", "container", c.Name, "service", c.Service)...)
			continue
		}
		there[c.Service] = true
		list = append(list, p.drift(c, hashes[c.Service])...)
	}
	for _, service := range services {
		if !there[service] && !s.running.Project.OneShot(service) {
			list = append(list, bad("doctor.stack.missing", "doctor.stack.up", "service", service, "folder", s.running.Dir)...)
		}
	}
	if list == nil {
		list = good("doctor.stack.good", "n", len(services), "release", s.running.Release.Version)
	}
	return list
}

// drift says what is wrong with a container of the release.
func (p *patient) drift(c engine.Container, hash string) (list []finding) {
	project := p.seen.running.Project
	service := update.ServiceOf(c, project) // as the agent judges it for the page
	args := []any{"service", c.Service, "container", c.Name, "state", c.State, "code", c.ExitCode, "folder", p.seen.running.Dir, "n", c.Restarts}
	switch {
	case !service.Ill():
	case c.State == "restarting":
		list = append(list, bad("doctor.stack.restarting", "doctor.stack.logs", args...)...)
	case c.State != "running":
		list = append(list, bad("doctor.stack.stopped", "doctor.stack.start", args...)...)
	default:
		list = append(list, bad("doctor.stack.unhealthy", "doctor.stack.logs", args...)...)
	}
	want := p.imageOf(c.Service)
	switch {
	case want != "" && c.Image != "" && c.Image != want:
		list = append(list, bad("doctor.stack.image", "doctor.stack.up", args...)...)
	case c.ConfigHash != hash && !project.Joins(c.Service):
		list = append(list, warn("doctor.stack.changed", "doctor.stack.up", args...)...)
	}
	if policy, _, _ := strings.Cut(project.Restart(c.Service), ":"); policy != c.RestartPolicy && !service.Done() {
		list = append(list, warn("doctor.stack.policy", "doctor.stack.policies", append(args, "policy", c.RestartPolicy, "want", policy)...)...)
	}
	return list
}

// imageOf is the configuration's digest of the image that the release has for a service.
func (p *patient) imageOf(service string) string {
	r := p.seen.running.Release
	images, err := r.PlatformImages(p.seen.info.Platform)
	if err != nil {
		return ""
	}
	for i, image := range images {
		if slices.Contains(r.Images[i].Services, service) {
			return image.Config.Digest.String()
		}
	}
	return ""
}

// checkVolumes names data that no backup holds.
func checkVolumes(ctx context.Context, p *patient) (list []finding) {
	s := p.stack(ctx)
	if !s.ok() {
		return nil
	}
	none := map[string]bool{}
	for _, v := range s.running.Release.Volumes {
		none[v.Name] = v.Backup == "none"
	}
	left := []string{}
	for _, v := range s.running.Project.Volumes() {
		if none[v.Key] {
			left = append(left, v.Key)
		}
	}
	count := 0
	for _, c := range s.containers {
		for _, m := range c.Mounts {
			switch {
			case c.OneOff || m.Type != "volume":
			case m.Anonymous:
				list = append(list, bad("doctor.volumes.anonymous", "doctor.volumes.name", "service", c.Service, "folder", m.Destination)...)
			default:
				count++
			}
		}
	}
	if len(left) > 0 {
		return append(list, good("doctor.volumes.left", "names", strings.Join(left, ", "))...)
	}
	if list == nil {
		list = good("doctor.volumes.good", "n", count)
	}
	return list
}
