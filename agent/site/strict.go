package site

import (
	"slices"
	"strings"

	"dhow/manifest"

	"gopkg.in/yaml.v3"
)

// field reads the value of one key.
type field struct{ read func(*yaml.Node) error }

// mistake is a problem at its place.
func mistake(n *yaml.Node, err error) error {
	said := Problem(err) // problem and problem_kind come first
	return &ConfigError{Line: n.Line, Column: n.Column, Message: said[1], Kind: said[3], Args: said[4:]}
}

// readMapping refuses what it does not know, so that a mistyped key is not a silent default.
func readMapping(n *yaml.Node, fields map[string]field) error {
	if n.Kind != yaml.MappingNode {
		return mistake(n, wrong("mapping", "keys and values are expected here, like %q", "example", "site: kin-001"))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, ok := fields[key.Value]
		switch {
		case !ok:
			return mistake(key, unknownKey(key.Value, fields))
		case seen[key.Value]:
			return mistake(key, wrong("twice", "key %q stands here twice", "key", key.Value))
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
		return mistake(n, wrong("single", "a single value is expected here"))
	}
	if n.Tag == "!!null" || n.Value == "" {
		return nil
	}
	if check != nil {
		if err := check(n.Value); err != nil {
			return mistake(n, err)
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
		return mistake(n, wrong("list", "a list is expected here, each entry on a line that begins with %q", "example", "- "))
	}
	for _, item := range n.Content {
		var s string
		if err := readText(item, &s, nil); err != nil {
			return err
		}
		if s == "" {
			return mistake(item, wrong("entry", "an entry of this list is empty"))
		}
		*to = append(*to, s)
	}
	return nil
}

func unknownKey(key string, fields map[string]field) error {
	best, least := "", 3
	for name := range fields {
		if d := manifest.Distance(strings.ToLower(key), name); d < least || (d == least && best != "" && name < best) {
			best, least = name, d
		}
	}
	if best != "" {
		return wrong("key_like", "unknown key %q (did you mean %q?)", "key", key, "like", best)
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return wrong("key", "unknown key %q (known are %s)", "key", key, "known", strings.Join(names, ", "))
}
