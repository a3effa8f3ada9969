package author

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"dhow/manifest"
)

// understand finds what is not written down: volumes, ports, databases, doors; and checks x-dhow against it.
func (a *making) understand(context.Context) error {
	for _, step := range []func() error{a.findVolumes, a.findPorts, a.findDatabases, a.addChecks, a.addMigrate} {
		if err := step(); err != nil {
			return err
		}
	}
	a.release.From = a.extension.from
	a.release.Rollback.Data = a.extension.rollback
	if a.release.Rollback.Data == "" {
		a.release.Rollback.Data = "restore"
	}
	a.release.Notes = a.extension.notes
	a.note()
	return nil
}

func (a *making) service(name string) (types.ServiceConfig, bool) {
	i := slices.IndexFunc(a.services, func(s types.ServiceConfig) bool { return s.Name == name })
	if i < 0 {
		return types.ServiceConfig{}, false
	}
	return a.services[i], true
}

func (a *making) serviceNames() []string {
	var all []string
	for _, s := range a.services {
		all = append(all, s.Name)
	}
	return all
}

// noSuch is the error about a name in x-dhow that nothing has.
func (a *making) noSuch(part, kind, name string, all []string) error {
	hint := "there are: " + orNone(all)
	if near := nearest(name, all); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return problem(a.extension.where[part], hint, "there is no %s %q", kind, name)
}

func (a *making) findVolumes() error {
	by := map[string][]string{}
	for _, s := range a.services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeVolume && v.Source != "" && !slices.Contains(by[v.Source], s.Name) {
				by[v.Source] = append(by[v.Source], s.Name)
			}
		}
	}
	for _, name := range sortedKeys(by) {
		v := manifest.Volume{Name: name, Services: by[name]}
		if a.extension.volumes[name] == "none" {
			v.Backup = "none"
		}
		a.release.Volumes = append(a.release.Volumes, v)
	}
	for _, name := range sortedKeys(a.extension.volumes) {
		if _, ok := by[name]; !ok {
			return a.noSuch("volumes/"+name, "named volume", name, sortedKeys(by))
		}
	}
	return nil
}

// anonymous lists the mount points of a service whose data no name holds: an update would lose it.
func (a *making) anonymous(s types.ServiceConfig) []string {
	mounted := map[string]bool{}
	var lost []string
	for _, v := range s.Volumes {
		mounted[path.Clean(v.Target)] = true
		if v.Type == types.VolumeTypeVolume && v.Source == "" {
			lost = append(lost, path.Clean(v.Target))
		}
	}
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		mounted[path.Clean(target)] = true
	}
	for target := range a.configs[a.images[s.Name]].Config.Volumes {
		if !mounted[path.Clean(target)] {
			lost = append(lost, path.Clean(target))
		}
	}
	slices.Sort(lost)
	return lost
}

func (a *making) findPorts() error {
	for _, s := range a.services {
		for _, p := range s.Ports {
			port := manifest.Port{Service: s.Name, Published: p.Published, Target: p.Target, Protocol: p.Protocol}
			if text := a.publishedText(s, p); text != "" {
				port.Published = text
			}
			a.release.Ports = append(a.release.Ports, port)
			if port.Published == "" {
				a.report.warn("%s: port %d is published where the engine likes, at another port after each start", s.Name, p.Target)
			}
			if !slices.Contains(a.release.Entry, s.Name) {
				a.release.Entry = append(a.release.Entry, s.Name)
			}
		}
		if s.NetworkMode == "host" {
			a.report.warn("%s: it uses the network of the host, so its ports can't be closed during an update", s.Name)
		}
	}
	if a.extension.entry == nil {
		return nil
	}
	for _, name := range a.extension.entry {
		if _, ok := a.service(name); !ok {
			return a.noSuch("entry", "service", name, a.serviceNames())
		}
		if !slices.Contains(a.release.Entry, name) {
			return problem(a.extension.where["entry"], "", "service %s publishes no port", name)
		}
	}
	a.release.Entry = a.extension.entry
	return nil
}

// publishedText finds the published port as it was written, when a setting of the site is in it.
func (a *making) publishedText(s types.ServiceConfig, p types.ServicePortConfig) string {
	list, _ := at(a.project.texts, "services", s.Name, "ports").([]any)
	for _, entry := range list {
		published, target, protocol := "", "", "tcp"
		switch e := entry.(type) {
		case string:
			parts := splitPort(e)
			target = parts[len(parts)-1]
			if len(parts) > 1 {
				published = parts[len(parts)-2]
			}
			if t, kind, ok := strings.Cut(target, "/"); ok && !strings.Contains(kind, "}") {
				target, protocol = t, kind
			}
		case map[string]any:
			published, target = textAt(e, "published"), textAt(e, "target")
			if kind := textAt(e, "protocol"); kind != "" {
				protocol = kind
			}
		}
		published = settle(published, a.variables.values)
		number, err := expand(target, a.variables.stand(""))
		if err != nil || len(expansions(published)) == 0 || protocol != p.Protocol {
			continue
		}
		if number == strconv.FormatUint(uint64(p.Target), 10) {
			return published
		}
	}
	return ""
}

// splitPort splits [[address:]published:]target at the colons outside of ${…} and of [addresses].
func splitPort(text string) []string {
	var parts []string
	depth, last := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ':':
			if depth == 0 {
				parts = append(parts, text[last:i])
				last = i + 1
			}
		}
	}
	return append(parts, text[last:])
}

func (a *making) addChecks() error {
	a.release.Checks = a.extension.checks
	for i, c := range a.extension.checks {
		part := "checks/" + strconv.Itoa(i)
		if c.HTTP != "" {
			u, err := url.Parse(c.HTTP)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" {
				return problem(a.extension.where[part], "", "%q is not an address like http://service/path", c.HTTP)
			}
			if _, ok := a.service(u.Hostname()); !ok {
				return a.noSuch(part, "service", u.Hostname(), a.serviceNames())
			}
		}
		if c.SQL != "" {
			var all []string
			for _, d := range a.release.Databases {
				all = append(all, d.Service)
			}
			if !slices.Contains(all, c.SQL) {
				return a.noSuch(part, "database service", c.SQL, all)
			}
		}
	}
	return nil
}

func (a *making) addMigrate() error {
	a.release.Migrate = a.extension.migrate
	for i, m := range a.extension.migrate {
		if _, ok := a.service(m.Service); !ok {
			return a.noSuch("migrate/"+strconv.Itoa(i), "service", m.Service, a.serviceNames())
		}
		if _, active := a.project.Services[m.Service]; active {
			a.report.warn("%s: it is a migrate step and starts with the stack as well; give it a profile of its own", m.Service)
		}
	}
	return nil
}

// note writes the warnings about what works, but not as people may think.
func (a *making) note() {
	for _, s := range a.services {
		if s.Privileged {
			a.report.warn("%s: it is privileged: it can change anything on the computer of a site", s.Name)
		}
		if s.ContainerName != "" {
			a.report.warn("%s: container_name %s: no second stack with it can run on the same computer", s.Name, s.ContainerName)
		}
		if s.PullPolicy != "" && s.PullPolicy != types.PullPolicyNever && s.PullPolicy != types.PullPolicyMissing {
			a.report.warn("%s: pull_policy %s is not used: a site runs the pinned image and pulls nothing", s.Name, s.PullPolicy)
		}
		if s.Build != nil {
			a.report.warn("%s: build is not used: the release holds the image %s", s.Name, a.images[s.Name])
		}
		for _, target := range a.anonymous(s) {
			a.report.warn("%s: %s is in no named volume: what is written there is lost with the next update", s.Name, target)
		}
	}
	for _, name := range sortedKeys(a.project.Volumes) {
		v := a.project.Volumes[name]
		used := slices.ContainsFunc(a.release.Volumes, func(r manifest.Volume) bool { return r.Name == name })
		switch {
		case !used:
		case bool(v.External):
			a.report.warn("volume %s: it is external: each site needs it before the first update", name)
		case v.Driver != "" && v.Driver != "local" || len(v.DriverOpts) > 0:
			a.report.warn("volume %s: it has a driver or options of its own: a site may not be able to make exact copies of it", name)
		}
	}
	for _, name := range sortedKeys(a.project.Networks) {
		if a.project.Networks[name].External {
			a.report.warn("network %s: it is external: each site needs it before the first update", name)
		}
	}
	if len(a.release.Checks) == 0 {
		a.noteHealth()
	}
}

// noteHealth says what will be taken as success when nobody wrote a check.
func (a *making) noteHealth() {
	entry := a.release.Entry
	if len(entry) == 0 {
		entry = a.serviceNames()[:1]
	}
	state := "running"
	if a.hasHealthCheck(entry[0]) {
		state = "healthy"
	}
	a.report.warn("%s: no check of the application itself; \"%s %s\" will be taken as success. Say more under x-dhow.checks "+
		"(dhowctl release create --help)", entry[0], entry[0], state)
}

func (a *making) hasHealthCheck(name string) bool {
	s, _ := a.service(name)
	if s.HealthCheck != nil {
		return !s.HealthCheck.Disable && !slices.Equal(s.HealthCheck.Test, []string{"NONE"})
	}
	h := a.configs[a.images[name]].Config.Healthcheck
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}
