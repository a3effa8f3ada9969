package sign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/robfig/cron/v3"
	"gopkg.in/yaml.v3"

	"dhow/bundle/durable"
	"dhow/manifest"
)

const (
	fleetFile    = "fleet.yaml"
	maxFleetFile = 16 << 20
)

// FleetFile is fleet.yaml: what it says, and the text with its comments. Its editing methods change both.
type FleetFile struct {
	path   string
	data   []byte // as read
	edited bool   // doc says something else than data
	doc    *yaml.Node
	fleet  manifest.Fleet
}

// Fleet returns what the file says. Callers must not change it.
func (f *FleetFile) Fleet() *manifest.Fleet { return &f.fleet }

func openFleetFile(path string) (*FleetFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open fleet: %w", err)
	}
	if info.Size() > maxFleetFile {
		return nil, fmt.Errorf("cannot open fleet: %s is larger than %d bytes", path, maxFleetFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open fleet: %w", err)
	}
	return parseFleetFile(path, data)
}

// parseFleetFile reads the text of a fleet.yaml. path stands in errors only.
func parseFleetFile(path string, data []byte) (*FleetFile, error) {
	f := &FleetFile{path: path, data: data, doc: &yaml.Node{}}
	if err := yaml.Unmarshal(data, f.doc); err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrFleetFile, path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := f.decode(); err != nil {
		return nil, err
	}
	return f, nil
}

// save puts the file back in place. Somebody may have edited it meanwhile: then nothing is written.
func (f *FleetFile) save() error {
	if err := f.unchanged(); err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(f.doc), e.Close()); err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	data := spaced(out.Bytes())
	// What was written must say what was meant.
	again, err := parseFleetFile(f.path, data)
	if err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	if !reflect.DeepEqual(again.fleet, f.fleet) {
		return fmt.Errorf("internal error: %s would not say what was meant", f.path)
	}
	if err := durable.WriteFile(f.path, data, 0o644); err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	f.data, f.edited = data, false
	return nil
}

// spaced puts an empty line before each section of the file, as people do; the yaml encoder drops empty lines.
func spaced(data []byte) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	var out []string
	for _, line := range lines {
		section, _, _ := strings.Cut(line, ":")
		if section == "policy" || section == "rings" || section == "sites" {
			at := len(out)
			for at > 0 && strings.HasPrefix(out[at-1], "#") {
				at--
			}
			if at > 0 && out[at-1] != "\n" {
				out = slices.Insert(out, at, "\n")
			}
		}
		out = append(out, line)
	}
	return []byte(strings.Join(out, ""))
}

// unchanged reports whether the file on disk is still the one that was read.
func (f *FleetFile) unchanged() error {
	now, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, f.data) {
		return fmt.Errorf("%s was changed by somebody else meanwhile; do it again", f.path)
	}
	return nil
}

// decode fills f.fleet from f.doc.
func (f *FleetFile) decode() error {
	f.fleet = manifest.Fleet{Rings: map[string]manifest.Ring{}, Sites: map[string]manifest.Site{}}
	if len(f.doc.Content) != 1 {
		return fmt.Errorf("%w: %s is empty", ErrFleetFile, f.path)
	}
	d := &decoder{path: f.path}
	d.mapping(f.doc.Content[0], "the file", map[string]func(*yaml.Node){
		"format": func(n *yaml.Node) { f.fleet.Format = d.number(n) },
		"name":   func(n *yaml.Node) { f.fleet.Name = d.name(n) },
		"policy": func(n *yaml.Node) { d.policy(n, &f.fleet.Policy) },
		"rings": func(n *yaml.Node) {
			d.each(n, "rings", func(key, value *yaml.Node) {
				var r manifest.Ring
				d.mapping(value, "ring "+key.Value, map[string]func(*yaml.Node){"pin": func(n *yaml.Node) { r.Pin = d.pin(n) }})
				f.fleet.Rings[d.name(key)] = r
			})
		},
		"sites": func(n *yaml.Node) {
			d.each(n, "sites", func(key, value *yaml.Node) { f.fleet.Sites[d.name(key)] = d.site(key, value) })
		},
	})
	if d.err != nil {
		return d.err
	}
	root := f.doc.Content[0]
	if f.fleet.Format == 0 || f.fleet.Name == "" {
		d.fail(root, "format and name are needed")
	}
	if f.fleet.Format > manifest.FleetFormat {
		d.fail(root, "format %d was made for a newer dhowctl", f.fleet.Format)
	}
	// Rings may stand below the sites: the references are followed at the end.
	if sites := child(root, "sites"); sites != nil && d.err == nil {
		d.each(sites, "sites", func(key, value *yaml.Node) {
			ring := f.fleet.Sites[key.Value].Ring
			if _, ok := f.fleet.Rings[ring]; ok {
				return
			}
			at := key
			if n := child(value, "ring"); n != nil {
				at = n
			}
			d.fail(at, "site %s: there is no ring %q%s", key.Value, ring, meant(ring, names(f.fleet.Rings)))
		})
	}
	if d.err != nil {
		return d.err
	}
	if err := f.fleet.Validate(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFleetFile, f.path, err)
	}
	return nil
}

// decoder reads yaml nodes and keeps the first mistake with its place.
type decoder struct {
	path string
	err  error
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s:%d:%d: %s", ErrFleetFile, d.path, n.Line, n.Column, fmt.Sprintf(format, args...))
	}
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
	seen := map[string]bool{}
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

func (d *decoder) number(n *yaml.Node) int {
	v, err := strconv.Atoi(d.text(n))
	if err != nil {
		d.fail(n, "a whole number is expected here")
	}
	return v
}

func (d *decoder) pin(n *yaml.Node) string {
	s := d.text(n)
	if s == "" {
		return ""
	}
	v, err := manifest.ParseVersion(s)
	if err != nil {
		d.fail(n, "%q is not a version such as 1.2.0", s)
	}
	return v
}

func (d *decoder) policy(n *yaml.Node, p *manifest.Policy) {
	d.mapping(n, "policy", map[string]func(*yaml.Node){
		"fetch": func(n *yaml.Node) {
			p.Fetch = d.text(n)
			if _, err := cron.ParseStandard(p.Fetch); err != nil && p.Fetch != "" {
				d.fail(n, "fetch: %q is not a schedule such as \"*/30 * * * *\"", p.Fetch)
			}
		},
		"window": func(n *yaml.Node) {
			p.Window = d.text(n)
			f := manifest.Fleet{Format: 1, Name: "x", Policy: manifest.Policy{Window: p.Window}}
			if f.Validate() != nil {
				d.fail(n, "window: %q is not like 21:00-05:00", p.Window)
			}
		},
		"timeZone": func(n *yaml.Node) {
			p.TimeZone = d.text(n)
			if _, err := time.LoadLocation(p.TimeZone); err != nil {
				d.fail(n, "timeZone: %q is not known", p.TimeZone)
			}
		},
		"keep": func(n *yaml.Node) {
			if p.Keep = d.number(n); p.Keep < 2 {
				d.fail(n, "keep: at least 2 snapshots must be kept")
			}
		},
		"contact": func(n *yaml.Node) { p.Contact = d.text(n) },
		"backupKey": func(n *yaml.Node) {
			p.BackupKey = d.text(n)
			if _, err := age.ParseX25519Recipient(p.BackupKey); err != nil && p.BackupKey != "" {
				d.fail(n, "backupKey: %q is not the key that dhowctl key backup has made", p.BackupKey)
			}
		},
	})
}

func (d *decoder) site(key, n *yaml.Node) manifest.Site {
	var s manifest.Site
	d.mapping(n, "site "+key.Value, map[string]func(*yaml.Node){
		"ring": func(n *yaml.Node) { s.Ring = d.text(n) },
		"pin":  func(n *yaml.Node) { s.Pin = d.pin(n) },
		"hold": func(n *yaml.Node) {
			s.Hold = &manifest.Hold{}
			d.mapping(n, "hold", map[string]func(*yaml.Node){
				"reason": func(n *yaml.Node) { s.Hold.Reason = d.text(n) },
				"since": func(n *yaml.Node) {
					var err error
					if s.Hold.Since, err = parseTime(d.text(n)); err != nil {
						d.fail(n, "since: a date such as 2026-11-21 is expected")
					}
				},
			})
		},
	})
	return s
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

func repositoryPath(dir string) string { return filepath.Join(dir, fleetFile) }
