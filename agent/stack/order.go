package stack

import (
	"slices"
	"strings"
)

// layers puts names into groups of which each depends only on earlier ones; within a group the names are sorted.
// Dependencies that are not names themselves are passed over. Names in a circle form the last group, so that no name
// is ever lost.
func layers(deps map[string][]string) [][]string {
	var out [][]string
	placed := map[string]bool{}
	for len(placed) < len(deps) {
		var group, rest []string
		for name, needs := range deps {
			if placed[name] {
				continue
			}
			rest = append(rest, name)
			if !slices.ContainsFunc(needs, func(d string) bool {
				_, known := deps[d]
				return known && !placed[d]
			}) {
				group = append(group, name)
			}
		}
		if len(group) == 0 {
			group = rest
		}
		slices.Sort(group)
		for _, name := range group {
			placed[name] = true
		}
		out = append(out, group)
	}
	return out
}

// dependsOn reads compose's label depends_on, "db:service_healthy:false,cache:service_started:false".
func dependsOn(label string) []string {
	var deps []string
	for d := range strings.SplitSeq(label, ",") {
		if name, _, _ := strings.Cut(d, ":"); name != "" {
			deps = append(deps, name)
		}
	}
	return deps
}
