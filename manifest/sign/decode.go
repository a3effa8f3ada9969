package sign

import (
	"fmt"
	"maps"
	"strconv"

	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

// decode fills f.fleet from f.doc. What is wrong are Mistakes.
func (f *FleetFile) decode() error {
	f.fleet = manifest.Fleet{Format: manifest.FleetFormat, Rings: map[string]manifest.Ring{}, Sites: map[string]manifest.Site{}}
	if len(f.doc.Content) != 1 {
		return Mistakes{{Path: f.path, Text: "it is empty"}}
	}
	d := &decoder{path: f.path}
	root := f.doc.Content[0]
	format := 0
	places := map[string]*yaml.Node{} // of the ring of each site
	d.mapping(root, "the file", map[string]func(*yaml.Node){
		"format":         func(n *yaml.Node) { format = d.number(n, 1) },
		"name":           func(n *yaml.Node) { f.fleet.Name = d.name(n) },
		"policy":         func(n *yaml.Node) { d.policy(n, &f.fleet.Policy) },
		"agent":          func(n *yaml.Node) { f.fleet.Agent = d.agent(n) },
		"agentDowngrade": func(n *yaml.Node) { f.fleet.AgentDowngrade = d.yes(n) },
		"rings": func(n *yaml.Node) {
			d.each(n, "rings", func(key, value *yaml.Node) { f.fleet.Rings[d.name(key)] = d.ring(key, value) })
		},
		"sites": func(n *yaml.Node) {
			d.each(n, "sites", func(key, value *yaml.Node) {
				name := d.name(key)
				f.fleet.Sites[name], places[name] = d.site(key, value)
			})
		},
	})
	if len(d.mistakes) == 0 && (format == 0 || f.fleet.Name == "") {
		d.fail(root, "format and name are needed")
	}
	if f.fleet.AgentDowngrade && f.fleet.Agent == "" && len(d.mistakes) == 0 {
		d.fail(root, "agentDowngrade goes with an agent")
	}
	if format > fleetFormat {
		d.fail(root, "format %d was made for a newer dhowctl", format)
	}
	// Rings may stand below the sites: the references are followed at the end.
	for _, name := range d.order {
		ring := f.fleet.Sites[name].Ring
		if _, ok := f.fleet.Rings[ring]; !ok && ring == "" {
			d.fail(places[name], "site %s: it needs a ring", name)
		} else if !ok {
			d.fail(places[name], "site %s: there is no ring %q%s", name, ring, meant(ring, names(f.fleet.Rings)))
		}
	}
	if len(d.mistakes) > 0 {
		return d.mistakes
	}
	if err := settled(&f.fleet).Validate(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFleetFile, f.path, err)
	}
	return nil
}

// settled is f with some version wherever a line or "previous" is asked for, so that all the rest can be validated.
func settled(f *manifest.Fleet) *manifest.Fleet {
	c := *f
	c.Rings, c.Sites = maps.Clone(f.Rings), f.Sites
	for name, r := range c.Rings {
		if r.Asked != "" {
			r.Pin = "0.0.0"
			c.Rings[name] = r
		}
	}
	cloned := false
	for name, s := range f.Sites {
		if s.Asked == "" {
			continue
		}
		if !cloned {
			c.Sites, cloned = maps.Clone(f.Sites), true
		}
		s.Pin = "0.0.0"
		c.Sites[name] = s
	}
	return &c
}

// decoder reads yaml nodes and keeps the mistakes with their places.
type decoder struct {
	path     string
	mistakes Mistakes
	order    []string // the names of the sites as they stand in the file
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	m := Mistake{Path: d.path, Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...)}
	if last := len(d.mistakes) - 1; last >= 0 && m.Line > 0 && d.mistakes[last].Line == m.Line && d.mistakes[last].Column == m.Column {
		return // it follows from that one
	}
	d.mistakes = append(d.mistakes, m)
}

// each calls do for every key of a mapping; nothing at all is an empty mapping.
func (d *decoder) each(n *yaml.Node, what string, do func(key, value *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a list of \"name: …\" lines", what)
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, "%s: a name is expected here", what)
		case seen[key.Value]:
			d.fail(key, "%s: %q stands here twice", what, key.Value)
		case value.Kind == yaml.AliasNode:
			d.fail(value, "%s: anchors and aliases are not supported here", what)
		default:
			seen[key.Value] = true
			do(key, value)
		}
	}
}

// mapping calls the function of every key and refuses other keys.
func (d *decoder) mapping(n *yaml.Node, what string, fields map[string]func(*yaml.Node)) {
	d.each(n, what, func(key, value *yaml.Node) {
		if read, ok := fields[key.Value]; ok {
			read(value)
			return
		}
		d.fail(key, "%s: unknown key %q%s", what, key.Value, meant(key.Value, names(fields)))
	})
}

// text reads a scalar as it is written: an unquoted 1.10 stays 1.10.
func (d *decoder) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "a single value is expected here")
		return ""
	}
	if n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func (d *decoder) name(n *yaml.Node) string {
	s := d.text(n)
	if err := manifest.CheckName(s); err != nil {
		d.fail(n, "%q is not a good name: letters, digits, dots and dashes, at most 63", s)
	}
	return s
}

// number reads a whole number that is not below least.
func (d *decoder) number(n *yaml.Node, least int) int {
	v, err := strconv.Atoi(d.text(n))
	if err != nil {
		d.fail(n, "a whole number is expected here")
	} else if v < least {
		d.fail(n, "a whole number from %d on is expected here", least)
	}
	return v
}

func (d *decoder) yes(n *yaml.Node) bool {
	switch d.text(n) {
	case "true":
		return true
	case "false", "":
		return false
	}
	d.fail(n, "true or false is expected here")
	return false
}

func (d *decoder) pin(n *yaml.Node) (pin, asked string) {
	s := d.text(n)
	if s == "" {
		return "", ""
	}
	pin, asked, err := manifest.ParsePin(s)
	if err != nil {
		d.fail(n, "%q is not a version such as 1.2.0, nor a line such as 1.2.x, nor %q%s", s, manifest.AskedPrevious,
			meant(s, []string{manifest.AskedPrevious}))
	}
	return pin, asked
}

// agent reads a version of the agent: exactly one.
func (d *decoder) agent(n *yaml.Node) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	version, err := manifest.ParseVersion(s)
	if err != nil {
		d.fail(n, "agent: %q is not a version such as 1.4.0", s)
	}
	return version
}

func (d *decoder) ring(key, n *yaml.Node) (r manifest.Ring) {
	d.mapping(n, "ring "+key.Value, map[string]func(*yaml.Node){
		"pin":            func(n *yaml.Node) { r.Pin, r.Asked = d.pin(n) },
		"downgrade":      func(n *yaml.Node) { r.Downgrade = d.yes(n) },
		"settings":       func(n *yaml.Node) { r.Settings = d.settings(n) },
		"agent":          func(n *yaml.Node) { r.Agent = d.agent(n) },
		"agentDowngrade": func(n *yaml.Node) { r.AgentDowngrade = d.yes(n) },
	})
	if r.AgentDowngrade && r.Agent == "" {
		d.fail(n, "ring %s: agentDowngrade goes with an agent", key.Value)
	}
	if r.Downgrade && r.Pin == "" && r.Asked == "" {
		d.fail(n, "ring %s: downgrade goes with a pin", key.Value)
	}
	return r
}

// site reads a site, and returns where its ring stands.
func (d *decoder) site(key, n *yaml.Node) (s manifest.Site, ring *yaml.Node) {
	d.order = append(d.order, key.Value)
	ring = key
	d.each(n, "site "+key.Value, func(field, n *yaml.Node) {
		switch field.Value {
		case "ring":
			s.Ring, ring = d.text(n), n
		case "pin":
			s.Pin, s.Asked = d.pin(n)
		case "downgrade":
			s.Downgrade = d.yes(n)
		case "settings":
			s.Settings = d.settings(n)
		case "hold":
			s.Hold = d.hold(n)
		default:
			d.fail(field, "site %s: unknown key %q%s", key.Value, field.Value,
				meant(field.Value, []string{"downgrade", "hold", "pin", "ring", "settings"}))
		}
	})
	if s.Downgrade && s.Pin == "" && s.Asked == "" {
		d.fail(n, "site %s: downgrade goes with a pin", key.Value)
	}
	return s, ring
}

func (d *decoder) hold(n *yaml.Node) *manifest.Hold {
	h := &manifest.Hold{}
	d.mapping(n, "hold", map[string]func(*yaml.Node){
		"reason": func(n *yaml.Node) {
			h.Reason = d.text(n)
			d.fits(n, "reason", heldFor(h.Reason), maxReason)
		},
		"since": func(n *yaml.Node) {
			var err error
			if h.Since, err = parseTime(d.text(n)); err != nil {
				d.fail(n, "since: a date such as 2026-11-21 is expected")
			}
		},
	})
	return h
}

// maxReason bounds the reason of a hold, in bytes.
const maxReason = 1000

// heldFor is a fleet of one site that is held.
func heldFor(reason string) manifest.Fleet {
	return manifest.Fleet{
		Format: manifest.FleetFormat, Name: "x", Rings: map[string]manifest.Ring{"x": {}},
		Sites: map[string]manifest.Site{"x": {Ring: "x", Hold: &manifest.Hold{Reason: reason}}},
	}
}

func (d *decoder) settings(n *yaml.Node) map[string]string {
	list := map[string]string{}
	d.each(n, "settings", func(key, value *yaml.Node) {
		if err := CheckSetting(key.Value, d.text(value)); err != nil {
			d.fail(key, "%v", err)
		}
		list[key.Value] = value.Value
		if value.Tag == "!!null" {
			list[key.Value] = ""
		}
	})
	if len(list) == 0 {
		return nil
	}
	return list
}
