package author

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"
	"gopkg.in/yaml.v3"
)

// unknownKey matches what the compose library says of a key that it does not know: where it stands, and its name.
var unknownKey = regexp.MustCompile(`(?:^|: )([^\s:]*) ?additional properties '([^']+)'.* not allowed`)

// mistyped turns the compose library's error about an unknown key into one that says where the key stands and what was meant; nil when
// text is about something else.
func (d *documents) mistyped(text string) *Error {
	found := unknownKey.FindStringSubmatch(text)
	if found == nil {
		return nil
	}
	path, key := found[1], found[2]
	doc, node, keys := d.findKey(path, key)
	if doc == nil {
		return nil
	}
	what := path
	if what == "" {
		what = "the compose file"
	}
	hint := "that is no key that compose knows there"
	if near := nearest(key, knownKeys(keys)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return problem(fmt.Sprintf("%s:%d:%d", doc.path, node.Line, node.Column), hint, "unknown key %q in %s", key, what)
}

// findKey looks for a key below a path such as "services.app.deploy", first where the path leads, then anywhere: merged mappings
// (<<: *name) stand elsewhere. keys is the path in its parts.
func (d *documents) findKey(path, key string) (doc *document, node *yaml.Node, keys []string) {
	for _, doc := range slices.Backward(d.all) {
		for _, root := range doc.roots {
			for in, keys := range below(root, path, nil) {
				if node, _ := pair(in, key); node != nil {
					return doc, node, keys
				}
			}
		}
	}
	for _, doc := range slices.Backward(d.all) {
		for _, root := range doc.roots {
			mappings(root, func(m *yaml.Node) {
				if found, _ := pair(m, key); found != nil && node == nil {
					node = found
				}
			})
			if node != nil {
				return doc, node, strings.Split(path, ".")
			}
		}
	}
	return nil, nil, nil
}

// below yields what path can lead to: names may have dots in them.
func below(node *yaml.Node, path string, keys []string) func(yield func(*yaml.Node, []string) bool) {
	return func(yield func(*yaml.Node, []string) bool) {
		node = resolve(node)
		if path == "" {
			yield(node, keys)
			return
		}
		step := func(name string, child *yaml.Node) bool {
			rest, ok := strings.CutPrefix(path, name)
			if !ok || rest != "" && rest[0] != '.' {
				return true
			}
			for n, k := range below(child, strings.TrimPrefix(rest, "."), append(slices.Clone(keys), name)) {
				if !yield(n, k) {
					return false
				}
			}
			return true
		}
		for i, child := range node.Content {
			switch {
			case node.Kind == yaml.SequenceNode:
				if !step(strconv.Itoa(i), child) {
					return
				}
			case node.Kind == yaml.MappingNode && i%2 == 1:
				if !step(node.Content[i-1].Value, child) {
					return
				}
			}
		}
	}
}

// composeSchema is the JSON schema of compose files.
var composeSchema = sync.OnceValue(func() map[string]any {
	var s map[string]any
	_ = json.Unmarshal([]byte(schema.Schema), &s) // it is part of the library; without it there are no suggestions
	return s
})

// knownKeys returns the keys that compose knows below the keys of a path.
func knownKeys(path []string) []string {
	known, at := map[string]bool{}, variants(composeSchema(), 0)
	for _, key := range path {
		var next []map[string]any
		for _, s := range at {
			next = append(next, child(s, key)...)
		}
		at = next
	}
	for _, s := range at {
		properties, _ := s["properties"].(map[string]any)
		for name := range properties {
			known[name] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// child returns what a schema says of the value of a key, or of the elements of a list.
func child(s map[string]any, key string) (all []map[string]any) {
	properties, _ := s["properties"].(map[string]any)
	if next, ok := properties[key].(map[string]any); ok {
		return variants(next, 0)
	}
	patterns, _ := s["patternProperties"].(map[string]any)
	for pattern, next := range patterns {
		if re, err := regexp.Compile(pattern); err == nil && re.MatchString(key) {
			if next, ok := next.(map[string]any); ok {
				all = append(all, variants(next, 0)...)
			}
		}
	}
	for _, name := range []string{"items", "additionalProperties"} {
		if next, ok := s[name].(map[string]any); ok && len(all) == 0 {
			all = variants(next, 0)
		}
	}
	return all
}

// variants follows references and alternatives.
func variants(s map[string]any, depth int) []map[string]any {
	all := []map[string]any{s}
	if depth > 8 {
		return all
	}
	if ref, ok := s["$ref"].(string); ok {
		definitions := composeSchema()
		for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			definitions, _ = definitions[part].(map[string]any)
		}
		if definitions != nil {
			all = append(all, variants(definitions, depth+1)...)
		}
	}
	for _, name := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := s[name].([]any)
		for _, next := range list {
			if next, ok := next.(map[string]any); ok {
				all = append(all, variants(next, depth+1)...)
			}
		}
	}
	return all
}
