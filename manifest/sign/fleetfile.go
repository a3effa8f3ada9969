package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dhow/bundle/durable"
	"dhow/manifest"
)

const (
	fleetFile    = "fleet.yaml"
	fleetFormat  = 1 // of fleet.yaml; that of the signed document is another
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

// Fleet returns what the file says: pins that name a line or "previous" stand in Asked and have no Pin, see Repository.Resolve. Callers must
// not change it.
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
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(f.doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, Mistakes{syntaxMistake(path, err)}
	}
	var second yaml.Node
	if err := documents.Decode(&second); err == nil {
		return nil, Mistakes{{
			Path: path, Line: second.Line, Column: second.Column,
			Text: "a second document begins here: fleet.yaml has one only, so take the line --- away",
		}}
	} else if !errors.Is(err, io.EOF) {
		return nil, Mistakes{syntaxMistake(path, err)}
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
	data, again, err := f.text()
	if err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	if err := durable.WriteFile(f.path, data, 0o644); err != nil {
		return fmt.Errorf("cannot save fleet: %w", err)
	}
	f.data, f.edited, f.doc = data, false, again.doc // with the lines of the new text
	return nil
}

// text is what f says, in the lines of the file as it was read wherever they say the same, and what it reads as. What is written must say what
// was meant.
func (f *FleetFile) text() ([]byte, *FleetFile, error) {
	indent := indentOf(string(f.data))
	next, err := encodeYAML(f.doc, indent)
	if err != nil {
		return nil, nil, err
	}
	before := &yaml.Node{}
	if err := yaml.Unmarshal(f.data, before); err == nil {
		if plain, err := encodeYAML(before, indent); err == nil {
			data := keepLines(string(f.data), string(plain), string(next))
			if again, err := parseFleetFile(f.path, data); err == nil && data != nil && reflect.DeepEqual(again.fleet, f.fleet) {
				return data, again, nil
			}
		}
	}
	data := spaced(next)
	again, err := parseFleetFile(f.path, data)
	if err != nil {
		return nil, nil, err
	}
	if !reflect.DeepEqual(again.fleet, f.fleet) {
		return nil, nil, fmt.Errorf("internal error: %s would not say what was meant", f.path)
	}
	return data, again, nil
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

// place is where the value of a key of a ring or site stands, or else its name. It is for messages.
func (f *FleetFile) place(section, name string, keys ...string) Mistake {
	m := Mistake{Path: f.path, Section: section, Name: name}
	n := f.doc.Content[0]
	for _, step := range append([]string{section, name}, keys...) {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	m.Line, m.Column = n.Line, n.Column
	return m
}

// Place says where something stands in the file, as "fleet.yaml:3:5": a section, a name in it, a key, and so on. What is not there has the
// place of what should hold it.
func (f *FleetFile) Place(path ...string) string {
	n := f.doc.Content[0]
	for _, step := range path {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	if n.Line == 0 {
		return f.path
	}
	return fmt.Sprintf("%s:%d:%d", f.path, n.Line, n.Column)
}

func repositoryPath(dir string) string { return filepath.Join(dir, fleetFile) }
