package update

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// Staged is a release as it was put in place at this site, read by others than the agent.
type Staged struct {
	Dir     string
	Release *manifest.Release
	Project *stack.Project
}

// StagedFolders lists the folders of the releases that are here, those that were changed last first.
func StagedFolders(at site.Paths) ([]string, error) {
	entries, err := os.ReadDir(at.Stacks())
	if err != nil {
		return nil, err
	}
	type folder struct {
		path    string
		changed int64
	}
	var list []folder
	for _, e := range entries {
		path := filepath.Join(at.Stacks(), e.Name())
		info, err := os.Stat(filepath.Join(path, envFile))
		if err != nil || strings.HasPrefix(e.Name(), durable.TempPrefix) {
			continue
		}
		list = append(list, folder{path, info.ModTime().UnixNano()})
	}
	slices.SortFunc(list, func(a, b folder) int { return int(max(-1, min(1, b.changed-a.changed))) })
	paths := make([]string, len(list))
	for i, f := range list {
		paths[i] = f.path
	}
	return paths, nil
}

// ReadStaged reads the folder of a release. A stack that was taken over as it ran is none.
func ReadStaged(ctx context.Context, dir string) (*Staged, error) {
	data, err := os.ReadFile(filepath.Join(dir, releaseFile))
	if err != nil {
		return nil, err
	}
	r, err := manifest.ParseRelease(data)
	if err != nil {
		return nil, err
	}
	env, err := site.ReadSettings(filepath.Join(dir, envFile))
	if err != nil {
		return nil, err
	}
	name := env["COMPOSE_PROJECT_NAME"]
	if name == "" {
		return nil, fmt.Errorf("%s names no project", filepath.Join(dir, envFile))
	}
	p, err := stack.Load(ctx, stack.Source{Dir: dir, Files: composeFiles(r), Project: name, Profiles: r.Profiles, Env: env})
	if err != nil {
		return nil, err
	}
	return &Staged{dir, r, p}, nil
}

// Servers lists the database servers of a release with the containers that they run in.
func (s *Staged) Servers(containers []engine.Container) []database.Server {
	return serversOf(s.Release, containers)
}

// OldEngine says whether an engine with this version of the API is too old, and which is needed.
func OldEngine(version string) (old bool, needed string) {
	return !versionAtLeast(version, oldestAPI), oldestAPI
}
