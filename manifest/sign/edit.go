package sign

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

// SetRing adds a ring or changes its pin; an empty pin assigns nothing.
func (f *FleetFile) SetRing(name, pin string) error {
	return f.edit(func(root *yaml.Node) error {
		ring := entry(entry(root, "rings"), name)
		return setPin(ring, pin)
	})
}

// SetSite adds a site or makes the one of that name say what s says.
func (f *FleetFile) SetSite(name string, s manifest.Site) error {
	return f.edit(func(root *yaml.Node) error {
		site := entry(entry(root, "sites"), name)
		set(site, "ring", s.Ring)
		if err := setPin(site, s.Pin); err != nil {
			return err
		}
		if s.Hold == nil {
			remove(site, "hold")
			return nil
		}
		hold := entry(site, "hold")
		set(hold, "reason", s.Hold.Reason)
		set(hold, "since", s.Hold.Since.UTC().Format(time.RFC3339))
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
	return f.edit(func(root *yaml.Node) error { return setPin(entry(entry(root, "sites"), name), version) })
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

func setPin(n *yaml.Node, pin string) error {
	if pin == "" {
		remove(n, "pin")
		return nil
	}
	v, err := manifest.ParseVersion(pin)
	if err != nil {
		return fmt.Errorf("cannot pin: %w", err)
	}
	set(n, "pin", v)
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
