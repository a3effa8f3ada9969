//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"

	"dhow/agent/api"
)

// sane fails the test unless the site runs the release, wholly: containers, images, restart policies, nothing left behind.
func (s *Site) sane(release string) {
	s.t.Helper()
	if st := s.status(); st.Release != release || st.KnownGood != release || st.Health != "healthy" || st.State == api.StateStuck {
		s.t.Errorf("status: release %q, known good %q, %s, %s; want %s, healthy\n%s",
			st.Release, st.KnownGood, st.Health, st.State, release, s.tail())
	}
	want := map[string]string{}
	doc := s.centre.document(s.t, release)
	for _, image := range doc.Images {
		for _, service := range image.Services {
			want[service] = string(image.Platforms[0].Config.Digest)
		}
	}
	found := map[string]bool{}
	for _, c := range s.containers() {
		if found[c.Service] {
			s.t.Errorf("two containers of service %s", c.Service)
		}
		found[c.Service] = true
		if c.Image != want[c.Service] {
			s.t.Errorf("service %s runs image %s, want %s of %s", c.Service, c.Image, want[c.Service], release)
		}
		if c.State != "running" {
			s.t.Errorf("service %s is %s", c.Service, c.State)
		}
		if c.Restart != "always" && c.Restart != "unless-stopped" {
			s.t.Errorf("service %s: restart policy %q was not put back", c.Service, c.Restart)
		}
	}
	for _, service := range s.stack.services {
		if !found[service] {
			s.t.Errorf("service %s has no container", service)
		}
	}
	program := release
	if p := s.programs[release]; p != "" {
		program = p
	}
	if answer := s.fetch("/release"); answer != program {
		s.t.Errorf("users see %q, want release %s", answer, program)
	}
	for _, left := range s.leftovers() {
		s.t.Errorf("left behind: %s", left)
	}
}

// leftovers lists temporary files of the site and containers of its project that should not be there.
func (s *Site) leftovers() (list []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.prefix, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".dhow-tmp-") {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range lines(s.docker("network", "ls", "-f", "label=com.docker.compose.project="+s.project, "--format", "{{.Name}}")) {
		if line != s.project+"_default" {
			list = append(list, "network "+line)
		}
	}
	return list
}

// Container is one container of the site's project.
type Container struct {
	ID, Service, Image, State, Restart, Started string
}

func (s *Site) containers() (list []Container) {
	s.t.Helper()
	ids := lines(s.docker("ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+s.project))
	if len(ids) == 0 {
		return nil
	}
	format := `{{.Id}}|{{index .Config.Labels "com.docker.compose.service"}}|{{.Image}}|{{.State.Status}}|` +
		`{{.HostConfig.RestartPolicy.Name}}|{{.State.StartedAt}}`
	for _, line := range lines(s.docker(append([]string{"inspect", "--type", "container", "-f", format}, ids...)...)) {
		f := strings.Split(line, "|")
		list = append(list, Container{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	return list
}
