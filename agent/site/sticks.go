package site

import (
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// Sticks says where to look for bundles that people bring.
type Sticks struct {
	Off    bool     // look nowhere
	Watch  []string // folders below which sticks are mounted; empty means the usual ones, see Places
	Folder string   // a folder that counts as a stick; empty means none
}

// Places are the folders below which sticks are mounted.
func (s Sticks) Places() []string {
	switch {
	case s.Off:
		return nil
	case len(s.Watch) > 0:
		return s.Watch
	}
	return []string{"/media", "/mnt", "/run/media"}
}

// MarshalYAML writes what readSticks reads.
func (s Sticks) MarshalYAML() (any, error) {
	if s.Off {
		return "off", nil
	}
	return struct {
		Watch  []string `yaml:"watch,omitempty,flow"`
		Folder string   `yaml:"folder,omitempty"`
	}{s.Watch, s.Folder}, nil
}

// IsZero tells the encoder that nothing is said.
func (s Sticks) IsZero() bool { return !s.Off && len(s.Watch) == 0 && s.Folder == "" }

func readSticks(n *yaml.Node, to *Sticks) error {
	if n.Kind == yaml.ScalarNode && isOff(n) {
		to.Off = true
		return nil
	}
	if n.Tag == "!!null" {
		return nil
	}
	return readMapping(n, map[string]field{
		"watch": {func(n *yaml.Node) error {
			if err := readList(n, &to.Watch); err != nil {
				return err
			}
			for i, path := range to.Watch {
				if err := checkFolder(path); err != nil {
					return mistake(n.Content[i], err)
				}
			}
			return nil
		}},
		"folder": {func(n *yaml.Node) error { return readText(n, &to.Folder, checkFolder) }},
	})
}

func checkFolder(path string) error {
	if !filepath.IsAbs(path) {
		return wrong("whole_path", "%q is not the whole path of a folder", "value", path)
	}
	return nil
}
