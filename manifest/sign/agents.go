package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"gopkg.in/yaml.v3"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// Agents returns the versions of the agent in the repository, from old to new.
func (r *Repository) Agents() ([]string, error) { return r.versionsIn("agent", "agents") }

// Agent returns the document of a version of the agent. Fails with ErrUnknownAgent when it is not there.
func (r *Repository) Agent(version string) (*manifest.Agent, error) {
	_, a, err := r.agent(version)
	return a, err
}

func (r *Repository) agent(version string) ([]byte, *manifest.Agent, error) {
	v, err := manifest.ParseVersion(version)
	if err != nil {
		return nil, nil, err
	}
	path := r.path(manifest.AgentPath(v))
	data, err := readDocument(path, "agent", manifest.MaxAgent)
	if errors.Is(err, fs.ErrNotExist) {
		known, err := r.Agents()
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("%w: %s (there is %s)", ErrUnknownAgent, v, list(known))
	}
	if err != nil {
		return nil, nil, err
	}
	a, err := manifest.ParseAgent(data)
	if err == nil && a.Version != v {
		err = fmt.Errorf("%w: it describes %s", manifest.ErrInvalid, a.Version)
	}
	if err == nil && a.Fleet != r.fleet.fleet.Name {
		err = fmt.Errorf("%w: it is for fleet %s, this is %s", manifest.ErrInvalid, a.Fleet, r.fleet.fleet.Name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, a, nil
}

// SaveAgent puts the document of a version of the agent into the repository. Platforms and deltas may be added to one that is there; another
// program for a platform is ErrExists, as sites may run it.
func (r *Repository) SaveAgent(a *manifest.Agent) error {
	unlock, err := lock(r.dir)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := r.Agent(a.Version)
	switch {
	case errors.Is(err, ErrUnknownAgent):
	case err != nil:
		return err
	case !old.SameProgram(a):
		return fmt.Errorf("cannot save agent %s: it %w with another program", a.Version, ErrExists)
	}
	data, err := a.Encode()
	if err != nil {
		return err
	}
	path := r.path(manifest.AgentPath(a.Version))
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot save agent: %w", err)
	}
	if err := durable.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("cannot save agent: %w", err)
	}
	return nil
}

// RemoveAgent takes a version of the agent out of the repository. One that fleet.yaml names fails with ErrInUse, and so does one that was ever
// signed: sites may run it. Blobs stay in the store.
func (r *Repository) RemoveAgent(version string) error {
	unlock, err := lock(r.dir)
	if err != nil {
		return err
	}
	defer unlock()
	a, err := r.Agent(version)
	if err != nil {
		return err
	}
	if slices.Contains(r.fleet.fleet.AgentsOf(), a.Version) {
		return fmt.Errorf("cannot remove agent %s: %w: fleet.yaml names it", a.Version, ErrInUse)
	}
	number, err := r.signedIn(manifest.AgentPath(a.Version))
	if err == nil && number > 0 {
		err = fmt.Errorf("%w: it was signed in manifest %d, and sites may run it", ErrInUse, number)
	}
	if err == nil {
		err = os.Remove(r.path(manifest.AgentPath(a.Version)))
	}
	if err != nil {
		return fmt.Errorf("cannot remove agent %s: %w", a.Version, err)
	}
	return nil
}

// listAgents adds the documents of the agents that the next list names to content: those that are pinned, and no others, as every site
// reads that list.
func (r *Repository) listAgents(fleet *manifest.Fleet, content map[string][]byte) error {
	for _, v := range fleet.AgentsOf() {
		data, _, err := r.agent(v)
		if err != nil {
			return err
		}
		content[manifest.AgentPath(v)] = data
	}
	return nil
}

// ChangedAgents returns the agents that the next signing of a fleet lists, and that were not signed last, or otherwise.
func (r *Repository) ChangedAgents(fleet *manifest.Fleet) (now []*manifest.Agent, err error) {
	last, err := r.signed()
	if err != nil {
		return nil, err
	}
	content := map[string][]byte{}
	if err := r.listAgents(fleet, content); err != nil {
		return nil, err
	}
	for _, v := range fleet.AgentsOf() {
		name := manifest.AgentPath(v)
		if last.targets != nil {
			if old := last.targets.Signed.Targets[name]; old != nil && old.VerifyLengthHashes(content[name]) == nil {
				continue
			}
		}
		a, err := manifest.ParseAgent(content[name])
		if err != nil {
			return nil, err
		}
		now = append(now, a)
	}
	return now, nil
}

// Agents returns the agents that were signed.
func (d *Documents) Agents() (all []*manifest.Agent, err error) {
	for _, path := range names(d.Files) {
		if !strings.HasPrefix(path, "targets/agent/") {
			continue
		}
		a, err := manifest.ParseAgent(d.Files[path])
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// isAgent reports whether a target is the document of an agent.
func isAgent(name string) bool { return strings.HasPrefix(name, "agent/") }

// agents holds the agents of two lists against each other: the programs of a version never change, and what is pinned is there.
func (j *judge) agents(list, old map[string]*metadata.TargetFiles) error {
	for _, name := range names(list) {
		if !isAgent(name) || old[name] != nil && old[name].Equal(*list[name]) {
			continue
		}
		a, err := manifest.ParseAgent(j.c.Files[targetPath(name, list[name])])
		if err != nil {
			return bad("%s: %w", name, err)
		}
		if a.Fleet != j.c.Fleet || manifest.AgentPath(a.Version) != name {
			return bad("%s describes agent %s of fleet %s", name, a.Version, a.Fleet)
		}
		j.p.Agents = append(j.p.Agents, a)
	}
	slices.SortFunc(j.p.Agents, func(a, b *manifest.Agent) int { return manifest.CompareVersions(a.Version, b.Version) })
	for _, v := range j.p.after.AgentsOf() {
		if list[manifest.AgentPath(v)] == nil {
			return bad("a site would have to run agent %s, and its list has no such agent", v)
		}
	}
	return nil
}

// checkAgents refuses pins on agents that are not there, and those that take sites back, unless fleet.yaml says that they may. The permission
// stands beside the pin that it belongs to.
func (v *resolver) checkAgents(now *manifest.Fleet) error {
	known, err := v.r.Agents()
	if err != nil {
		return err
	}
	for _, version := range now.AgentsOf() {
		if slices.Contains(known, version) {
			continue
		}
		for _, at := range agentPlaces(now) {
			if at.version == version {
				v.mistakes = append(v.mistakes, v.r.fleet.agentPlace(at.ring).says(ErrUnknownAgent, "%sagent %s: %v (there is %s)",
					at.who(), version, ErrUnknownAgent, list(known)))
			}
		}
	}
	if v.last.fleet == nil {
		return nil
	}
	for _, at := range agentPlaces(now) {
		was := v.last.fleet.Agent
		if r := v.last.fleet.Rings[at.ring]; at.ring != "" && r.Agent != "" {
			was = r.Agent
		}
		if at.downgrade || was == "" || manifest.CompareVersions(at.version, was) >= 0 {
			continue
		}
		v.mistakes = append(v.mistakes, v.r.fleet.agentPlace(at.ring).says(ErrAgentDowngrade, "%sagent %s %v than %s, which was signed last",
			at.who(), at.version, ErrAgentDowngrade, was))
	}
	return nil
}

// agentAt is a pin of the agent: of a ring, or of the whole fleet.
type agentAt struct {
	ring, version string
	downgrade     bool
}

func (a agentAt) who() string {
	if a.ring == "" {
		return ""
	}
	return "ring " + a.ring + ": "
}

func agentPlaces(f *manifest.Fleet) (list []agentAt) {
	if f.Agent != "" {
		list = append(list, agentAt{"", f.Agent, f.AgentDowngrade})
	}
	for _, name := range names(f.Rings) {
		if r := f.Rings[name]; r.Agent != "" {
			list = append(list, agentAt{name, r.Agent, r.AgentDowngrade})
		}
	}
	return list
}

func (f *FleetFile) agentPlace(ring string) Mistake {
	if ring != "" {
		return f.place("rings", ring, "agent")
	}
	m := Mistake{Path: f.path}
	if n := child(f.doc.Content[0], "agent"); n != nil {
		m.Line, m.Column = n.Line, n.Column
	}
	return m
}

// PinAgent makes sites run a version of the agent: all sites, or those of a ring; an empty version leaves them on what they have, or on what the
// fleet says. A permission to go back belongs to one pin and goes with it.
func (f *FleetFile) PinAgent(ring, version string, downgrade bool) error {
	if _, ok := f.fleet.Rings[ring]; ring != "" && !ok {
		return fmt.Errorf("cannot pin: there is no ring %q%s", ring, meant(ring, names(f.fleet.Rings)))
	}
	return f.edit(func(root *yaml.Node) error {
		n := root
		if ring != "" {
			n = entry(entry(root, "rings"), ring)
		}
		remove(n, "agentDowngrade")
		if version == "" {
			remove(n, "agent")
			return nil
		}
		if child(n, "agent") == nil && ring == "" { // beside the name, not below thousands of sites
			n.Content = slices.Insert(n.Content, 2*beside(n, "name"), scalar("agent"), scalar(version))
		}
		set(n, "agent", version)
		if downgrade {
			if ring == "" {
				n.Content = slices.Insert(n.Content, 2*beside(n, "agent"), scalar("agentDowngrade"), scalar("true"))
			}
			set(n, "agentDowngrade", "true")
			child(n, "agentDowngrade").Tag = "!!bool"
		}
		return nil
	})
}

// beside is the number of the entry behind key, or of the end.
func beside(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i/2 + 1
		}
	}
	return len(n.Content) / 2
}
