package site

import (
	"dhow/manifest"

	"gopkg.in/yaml.v3"
)

// readMirrors reads what stands in for registries, HOST[:PORT] to the address of the mirror.
func readMirrors(n *yaml.Node, to *map[string]string) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return mistake(n, wrong("mirror", "a registry and its mirror are expected here, like %q", "example", "docker.io: registry.local:5000"))
	}
	*to = map[string]string{}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return mistake(value, wrong("single", "a single value is expected here"))
		}
		m, err := manifest.ParseMirror(key.Value, value.Value)
		if err != nil {
			return mistake(key, err)
		}
		if seen[m.Of] {
			return mistake(key, wrong("mirror_twice", "%s has a mirror already", "registry", m.Of))
		}
		seen[m.Of] = true
		(*to)[key.Value] = value.Value
	}
	return nil
}
