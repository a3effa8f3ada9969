package audit

import (
	"strings"

	"dhow/manifest"
)

// Agents says which versions of the agent are new, or changed.
func Agents(now []*manifest.Agent) (list []Change) {
	for _, a := range now {
		var platforms []string
		for _, p := range a.Platforms {
			platforms = append(platforms, p.Platform)
		}
		list = append(list, Change{What: "agent", Name: a.Version, To: strings.Join(platforms, ", "), Text: "agent " + a.Version + " for " + strings.Join(platforms, ", ")})
	}
	return list
}
