package main

import (
	"fmt"
	"strings"

	"dhow/agent/api"
	"dhow/manifest"
)

// parseMirrors reads REGISTRY=MIRROR.
func parseMirrors(texts []string) (mirrors []manifest.Mirror, err error) {
	for _, text := range texts {
		of, by, _ := strings.Cut(text, "=")
		m, err := manifest.ParseMirror(of, by)
		if err != nil {
			return nil, fail(api.CodeUsage, fmt.Sprintf("--mirror %s: %v", text, err), "write it like --mirror docker.io=registry.local:5000")
		}
		mirrors = append(mirrors, m)
	}
	return mirrors, nil
}
