package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
)

// Names of compose files in a folder, in the order in which compose looks for them.
var (
	composeFiles  = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideFiles = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// adoptStack notes in config the stack that runs from dir, and adds what its .env says to settings where they have nothing. Nothing
// of the stack is touched: the agent takes it over when it starts.
func (s *shell) adoptStack(ctx context.Context, docker *engine.Engine, dir string, config *site.Config, settings map[string]string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return api.Fail(api.CodeUsage, "see: dhow install --help", "cannot adopt: %v", err).In("adopt_cannot", "cause", err.Error())
	}
	env, err := site.ReadSettings(filepath.Join(dir, ".env"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.Fail(api.CodeUsage, "correct the file and try again", "%v", err).In("file_wrong", "cause", err.Error())
	}
	files, err := findComposeFiles(dir, env)
	if err != nil {
		return api.Fail(api.CodeUsage, "see: dhow install --help", "cannot adopt: %v", err).In("adopt_cannot", "cause", err.Error())
	}
	project := config.Project
	if project == "" {
		if project, err = projectName(dir, files, env); err != nil {
			return api.Fail(api.CodeUsage, "say it with --project NAME", "cannot adopt: %v", err).In("adopt_project", "cause", err.Error())
		}
	}
	containers, err := docker.Containers(ctx, project)
	if err != nil {
		return err
	}
	running, elsewhere := 0, ""
	for _, c := range containers {
		if c.OneOff || c.State != "running" {
			continue
		}
		if c.WorkingDir != dir {
			elsewhere = c.WorkingDir
			continue
		}
		running++
		if own := filesOf(dir, c.ConfigFiles); own != nil {
			files = own // what the stack was started with beats what a look at the folder says
		}
	}
	switch {
	case elsewhere != "":
		return api.Fail(api.CodeRefused, "adopt the folder that the stack was started in: --adopt "+elsewhere,
			"cannot adopt: the stack %q runs from %s, not from %s", project, elsewhere, dir).
			In("adopt_elsewhere", "project", project, "elsewhere", elsewhere, "folder", dir)
	case running == 0:
		return api.Fail(api.CodeRefused, "start it (docker compose up -d), or say its name with --project NAME",
			"cannot adopt: no container of the stack %q runs", project).In("adopt_none", "project", project)
	}
	for name, value := range env {
		if _, there := settings[name]; !there && !strings.HasPrefix(name, "COMPOSE_") {
			settings[name] = value
		}
	}
	config.Project = project
	config.Adopt = &site.Adopt{Dir: dir, Files: files, Project: project}
	s.line("running", "install.adopted", "project", project, "containers", s.words.Count("install.containers", running), "files", s.words.List(files))
	return nil
}

// findComposeFiles returns the compose files of dir, relative to it, as compose would take them.
func findComposeFiles(dir string, env map[string]string) ([]string, error) {
	if list := env["COMPOSE_FILE"]; list != "" {
		separator := env["COMPOSE_PATH_SEPARATOR"]
		if separator == "" {
			separator = string(os.PathListSeparator)
		}
		var files []string
		for _, f := range strings.Split(list, separator) {
			if filepath.IsAbs(f) {
				rel, err := filepath.Rel(dir, f)
				if err != nil {
					return nil, err
				}
				f = rel
			}
			if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
				return nil, fmt.Errorf("COMPOSE_FILE names a file that is not there: %w", err)
			}
			files = append(files, filepath.Clean(f))
		}
		return files, nil
	}
	first := func(names []string) string {
		for _, n := range names {
			if info, err := os.Stat(filepath.Join(dir, n)); err == nil && info.Mode().IsRegular() {
				return n
			}
		}
		return ""
	}
	base := first(composeFiles)
	if base == "" {
		return nil, fmt.Errorf("%s holds no compose file (%s)", dir, strings.Join(composeFiles, ", "))
	}
	if override := first(overrideFiles); override != "" {
		return []string{base, override}, nil
	}
	return []string{base}, nil
}

// filesOf makes the paths of a container's label relative to dir, nil when one of them is not there any more.
func filesOf(dir string, labels []string) []string {
	var files []string
	for _, f := range labels {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			return nil
		}
		if _, err := os.Stat(f); err != nil {
			return nil
		}
		files = append(files, rel)
	}
	return files
}

const maxComposeFile = 4 << 20 // bytes

// projectName returns the name that compose gives the project: from .env, from the files (the last one wins), or the folder's.
func projectName(dir string, files []string, env map[string]string) (string, error) {
	if name := env["COMPOSE_PROJECT_NAME"]; name != "" {
		return name, nil
	}
	for _, f := range slices.Backward(files) {
		r, err := os.Open(filepath.Join(dir, f))
		if err != nil {
			return "", err
		}
		var head struct {
			Name string `yaml:"name"`
		}
		err = yaml.NewDecoder(io.LimitReader(r, maxComposeFile)).Decode(&head)
		_ = r.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("%s: %w", f, err)
		}
		if strings.Contains(head.Name, "$") {
			return "", fmt.Errorf("%s: the name of the project is made of variables", f)
		}
		if head.Name != "" {
			return head.Name, nil
		}
	}
	name := notInProject.ReplaceAllString(strings.ToLower(filepath.Base(dir)), "")
	return strings.TrimLeft(name, "_-"), nil
}

var notInProject = regexp.MustCompile(`[^-_a-z0-9]+`)
