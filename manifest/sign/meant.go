package sign

import (
	"maps"
	"slices"
	"strings"

	"dhow/manifest"
)

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// meant returns ` (did you mean "x"?)` for the known word that is nearest to a mistyped one, or nothing.
func meant(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := manifest.Distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}
