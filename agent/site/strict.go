package site

import (
	"fmt"
	"slices"
	"strings"

	"dhow/manifest"

	"gopkg.in/yaml.v3"
)

// field reads the value of one key.
type field struct{ read func(*yaml.Node) error }

func mistake(n *yaml.Node, format string, args ...any) error {
	return &ConfigError{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...)}
}

// readMapping refuses what it does not know, so that a mistyped key is not a silent default.
func readMapping(n *yaml.Node, fields map[string]field) error {
	if n.Kind != yaml.MappingNode {
		return mistake(n, "keys and values are expected here, like %q", "site: kin-001")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, ok := fields[key.Value]
		switch {
		case !ok:
			return mistake(key, "unknown key %q%s", key.Value, didYouMean(key.Value, fields))
		case seen[key.Value]:
			return mistake(key, "key %q stands here twice", key.Value)
		}
		seen[key.Value] = true
		if err := f.read(value); err != nil {
			return err
		}
	}
	return nil
}

func readText(n *yaml.Node, to *string, check func(string) error) error {
	if n.Kind != yaml.ScalarNode {
		return mistake(n, "a single value is expected here")
	}
	if n.Tag == "!!null" || n.Value == "" {
		return nil
	}
	if check != nil {
		if err := check(n.Value); err != nil {
			return mistake(n, "%v", err)
		}
	}
	*to = n.Value
	return nil
}

func readList(n *yaml.Node, to *[]string) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return mistake(n, "a list is expected here, each entry on a line that begins with %q", "- ")
	}
	for _, item := range n.Content {
		var s string
		if err := readText(item, &s, nil); err != nil {
			return err
		}
		if s == "" {
			return mistake(item, "an entry of this list is empty")
		}
		*to = append(*to, s)
	}
	return nil
}

func didYouMean(key string, fields map[string]field) string {
	best, least := "", 3
	for name := range fields {
		if d := manifest.Distance(strings.ToLower(key), name); d < least || (d == least && best != "" && name < best) {
			best, least = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return " (known are " + strings.Join(names, ", ") + ")"
}
