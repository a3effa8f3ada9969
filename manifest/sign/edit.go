package sign

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

// SetRing adds a ring or changes its pin, which is what ParsePin of package manifest reads; an empty pin assigns nothing.
func (f *FleetFile) SetRing(name, pin string) error {
	return f.edit(func(root *yaml.Node) error {
		ring := entry(entry(root, "rings"), name)
		return rePin(ring, pin)
	})
}

// SetSite adds a site or makes the one of that name say what s says.
func (f *FleetFile) SetSite(name string, s manifest.Site) error {
	return f.SetSites(map[string]manifest.Site{name: s})
}

// SetSites is SetSite for many: all or none.
func (f *FleetFile) SetSites(sites map[string]manifest.Site) error {
	return f.edit(func(root *yaml.Node) error {
		all := entry(root, "sites")
		known := make(map[string]*yaml.Node, len(all.Content)/2)
		for i := 0; i+1 < len(all.Content); i += 2 {
			known[all.Content[i].Value] = all.Content[i+1]
		}
		for _, name := range names(sites) {
			site := known[name]
			if site == nil {
				site = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
				all.Content = append(all.Content, scalar(name), site)
			}
			if err := setSite(site, sites[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

func setSite(site *yaml.Node, s manifest.Site) error {
	if site.Kind != yaml.MappingNode { // "kin-001:" and nothing more
		*site = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", HeadComment: site.HeadComment, LineComment: site.LineComment, FootComment: site.FootComment}
	}
	set(site, "ring", s.Ring)
	if err := setPin(site, cmp.Or(s.Asked, s.Pin), s.Downgrade); err != nil {
		return err
	}
	if s.Hold == nil {
		remove(site, "hold")
	} else {
		hold := entry(site, "hold")
		set(hold, "reason", s.Hold.Reason)
		if old := child(hold, "since"); old == nil || !sameTime(old.Value, s.Hold.Since) {
			set(hold, "since", s.Hold.Since.UTC().Format(time.RFC3339))
		}
	}
	setSettings(site, s.Settings)
	return nil
}

func sameTime(text string, at time.Time) bool {
	t, err := parseTime(text)
	return err == nil && t.Equal(at)
}

// setSettings makes the settings of a ring or site those given.
func setSettings(n *yaml.Node, settings map[string]string) {
	if len(settings) == 0 {
		remove(n, "settings")
		return
	}
	list := entry(n, "settings")
	for i := len(list.Content) - 2; i >= 0; i -= 2 {
		if _, ok := settings[list.Content[i].Value]; !ok {
			list.Content = slices.Delete(list.Content, i, i+2)
		}
	}
	for _, name := range names(settings) {
		if old := child(list, name); old == nil || old.Value != settings[name] || old.Tag == "!!null" {
			set(list, name, settings[name])
		}
	}
}

// SetRingSettings makes the settings of a ring those given.
func (f *FleetFile) SetRingSettings(name string, settings map[string]string) error {
	return f.edit(func(root *yaml.Node) error {
		setSettings(entry(entry(root, "rings"), name), settings)
		return nil
	})
}

// AllowDowngrade says beside the pin of a ring (or a site) that sites may go back to it from a newer release.
func (f *FleetFile) AllowDowngrade(section, name string) error {
	return f.edit(func(root *yaml.Node) error {
		n := entry(entry(root, section), name)
		set(n, "downgrade", "true")
		child(n, "downgrade").Tag = "!!bool"
		return nil
	})
}

// SetBackupKey makes the public key of backups part of the policy of all sites.
func (f *FleetFile) SetBackupKey(public string) error {
	return f.edit(func(root *yaml.Node) error {
		set(entry(root, "policy"), "backupKey", public)
		return nil
	})
}

// Pin pins the ring or the site of that name to a version; an empty version takes the pin away. A name that both have is refused.
func (f *FleetFile) Pin(name, version string) error {
	_, ring := f.fleet.Rings[name]
	_, site := f.fleet.Sites[name]
	switch {
	case ring && site:
		return fmt.Errorf("cannot pin: %s is a ring and a site; say which", name)
	case ring:
		return f.PinRing(name, version)
	case site:
		return f.PinSite(name, version)
	}
	return fmt.Errorf("cannot pin: there is no ring or site %q%s", name,
		meant(name, append(names(f.fleet.Rings), names(f.fleet.Sites)...)))
}

// PinRing pins a ring that is there to a version; an empty version takes the pin away.
func (f *FleetFile) PinRing(name, version string) error {
	if _, ok := f.fleet.Rings[name]; !ok {
		return fmt.Errorf("cannot pin: there is no ring %q%s", name, meant(name, names(f.fleet.Rings)))
	}
	return f.SetRing(name, version)
}

// PinSite pins a site that is there to a version of its own; an empty version gives it that of its ring.
func (f *FleetFile) PinSite(name, version string) error {
	if _, ok := f.fleet.Sites[name]; !ok {
		return fmt.Errorf("cannot pin: there is no site %q%s", name, meant(name, names(f.fleet.Sites)))
	}
	return f.edit(func(root *yaml.Node) error { return rePin(entry(entry(root, "sites"), name), version) })
}

// RemoveSite takes a site out of the fleet.
func (f *FleetFile) RemoveSite(name string) error {
	if _, ok := f.fleet.Sites[name]; !ok {
		return fmt.Errorf("cannot remove: there is no site %q%s", name, meant(name, names(f.fleet.Sites)))
	}
	return f.edit(func(root *yaml.Node) error { remove(entry(root, "sites"), name); return nil })
}

// RemoveRing takes a ring without sites out of the fleet.
func (f *FleetFile) RemoveRing(name string) error {
	if _, ok := f.fleet.Rings[name]; !ok {
		return fmt.Errorf("cannot remove: there is no ring %q%s", name, meant(name, names(f.fleet.Rings)))
	}
	return f.edit(func(root *yaml.Node) error { remove(entry(root, "rings"), name); return nil })
}

// edit changes a copy of the text; it counts only when the whole is still a good fleet.
func (f *FleetFile) edit(change func(root *yaml.Node) error) error {
	next := &FleetFile{path: f.path, data: f.data, doc: clone(f.doc), edited: true}
	if err := change(next.doc.Content[0]); err != nil {
		return err
	}
	if err := next.decode(); err != nil {
		return err
	}
	*f = *next
	return nil
}

// rePin is setPin that keeps the permission to go back when the pin stays the same.
func rePin(n *yaml.Node, pin string) error {
	old, given := child(n, "pin"), child(n, "downgrade")
	keep := false
	if old != nil && pin != "" && given != nil && given.Value == "true" {
		wasExact, wasAsked, errWas := manifest.ParsePin(old.Value)
		exact, asked, err := manifest.ParsePin(pin)
		keep = errWas == nil && err == nil && exact == wasExact && asked == wasAsked
	}
	return setPin(n, pin, keep)
}

// setPin writes a pin. A permission to go back belongs to one pin only and goes with it.
func setPin(n *yaml.Node, pin string, downgrade bool) error {
	if !downgrade {
		remove(n, "downgrade")
	}
	if pin == "" {
		remove(n, "pin")
		return nil
	}
	exact, asked, err := manifest.ParsePin(pin)
	if err != nil {
		return fmt.Errorf("cannot pin: %w", err)
	}
	set(n, "pin", cmp.Or(exact, asked))
	if downgrade {
		set(n, "downgrade", "true")
		child(n, "downgrade").Tag = "!!bool"
	}
	return nil
}

func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = clone(child)
	}
	return &c
}

// child returns the value of key in a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// entry returns the mapping under key, made when it is not there or empty. A mapping written as {} becomes one of lines.
func entry(n *yaml.Node, key string) *yaml.Node {
	c := child(n, key)
	if c == nil {
		c = &yaml.Node{}
		n.Content = append(n.Content, scalar(key), c)
	}
	if c.Kind != yaml.MappingNode {
		c.Kind, c.Tag, c.Value, c.Style = yaml.MappingNode, "!!map", "", 0
	}
	if len(c.Content) == 0 {
		c.Style = 0
	}
	return c
}

// set writes a scalar and leaves its comments and, where it can, its style alone.
func set(n *yaml.Node, key, value string) {
	fresh := scalar(value)
	c := child(n, key)
	if c == nil {
		n.Content = append(n.Content, scalar(key), fresh)
		return
	}
	quotes := c.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
	c.Kind, c.Tag, c.Value, c.Content = yaml.ScalarNode, fresh.Tag, value, nil
	c.Style = fresh.Style | quotes
}

func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}

// scalar makes a string; the encoder quotes it where yaml would read something else.
func scalar(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}
