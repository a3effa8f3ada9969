package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// ahead is what the fleet says of this site before it is one. All of it may be missing: what no source tells now the agent finds out later.
type ahead struct {
	trust   *trust.Client // keeps nothing
	clock   trust.Clock
	signed  bool // whether the clock is held against something signed
	unknown bool // the fleet does not know the site
	fleet   string
	given   map[string]string // settings that come from the fleet
	release *manifest.Release
}

// lookTime bounds the questions to a source over a line.
const lookTime = 20 * time.Second

// lookAhead asks the stick, the folders and then the other sources for what this site is to run, and keeps nothing of it. root is nil when
// the site trusts one already.
func (s *shell) lookAhead(ctx context.Context, dir string, root []byte, config *site.Config, in installation) ahead {
	next := ahead{clock: trust.Clock{Now: fault.Now(), Floor: buildTime()}}
	specs := rootSources(config, in)
	slices.SortStableFunc(specs, func(a, b string) int { return remote(a) - remote(b) })
	for _, spec := range specs {
		if next.ask(ctx, dir, root, config.Site, spec) == nil {
			return next
		}
	}
	return next
}

func remote(spec string) int {
	if strings.Contains(spec, "://") {
		return 1
	}
	return 0
}

func (a *ahead) ask(ctx context.Context, dir string, root []byte, name, spec string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o := trust.Options{Now: fault.Now, Floor: buildTime(), Site: name}
	var client *trust.Client
	var err error
	if root != nil {
		client, err = trust.Scratch(root, o)
	} else if client, err = trust.Open(dir, o); err == nil {
		client = client.Scratch()
	}
	if err != nil {
		return err
	}
	a.trust = client
	src, err := newNetwork().Open(ctx, spec)
	if err != nil {
		return err
	}
	defer src.Close()
	m, err := client.Refresh(ctx, src, remote(spec) == 0)
	if err != nil {
		return err
	}
	a.clock, a.signed, a.fleet = client.Clock(), true, m.Fleet.Name
	as, err := m.Fleet.Assignment(name)
	if a.unknown = errors.Is(err, manifest.ErrUnknownSite); err != nil {
		return nil
	}
	a.given = as.Settings
	if as.Pin != "" {
		a.release, _, err = client.Release(ctx, src, as.Pin)
	}
	return err
}

// tellClock says how the clock is, and what does not fit. Doubted says that something speaks against a clock that could be right.
func (s *shell) tellClock(next ahead, doubted bool) {
	now := next.clock.Now.Local().Format("2006-01-02 15:04 MST")
	switch {
	case next.clock.Wrong() && next.signed:
		s.line("clock", "install.clock_wrong", "now", now, "then", next.clock.Floor.Local().Format(time.DateOnly))
	case next.clock.Wrong():
		s.line("clock", "install.clock_old", "now", now)
	case next.signed && !doubted:
		s.line("clock", "install.clock_good", "now", now)
	default:
		s.printf("%s\n", s.lineOf("clock", now))
	}
	if next.unknown {
		s.line("warning", "install.unknown_site", "fleet", next.fleet)
	}
}

// offerAdopt looks for a stack that runs already under the name that the release has, and asks whether it is to be taken over. It answers the
// folder of the stack.
func (s *shell) offerAdopt(ctx context.Context, docker *engine.Engine, config *site.Config, in installation, next ahead) (string, error) {
	paths := s.paths()
	if next.release == nil || config.Adopt != nil {
		return "", nil
	}
	if _, err := os.Stat(paths.Journal()); err == nil {
		return "", nil // what runs is ours
	}
	project := config.Project
	if project == "" {
		project = next.release.Project
	}
	list, err := docker.Containers(ctx, project)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(c engine.Container) bool {
		return c.State == "running" && !c.OneOff && c.WorkingDir != "" && !strings.HasPrefix(c.WorkingDir, paths.Stacks())
	})
	if i < 0 {
		return "", nil
	}
	answer, asked := s.ask(s.lineOf("running", s.say("install.ask_adopt", "project", project)) + " [Y/n] ")
	switch {
	case !asked && in.from == "":
		s.line("running", "install.running", "project", project, "folder", list[i].WorkingDir)
		return "", nil
	case !asked:
		return "", api.Fail(api.CodeNotConfirmed, "take it over without restarting it: --adopt "+list[i].WorkingDir+"; or stop it first: docker compose down",
			"a stack %q runs here already, from %s; nothing was done", project, list[i].WorkingDir).
			In("install-running", "project", project, "folder", list[i].WorkingDir)
	case answer != "" && !yes(answer):
		return "", api.Fail(api.CodeNotConfirmed, "stop it first (docker compose down), or take it over", "the stack %q would be in the way; nothing was done", project).
			In("install-in_way", "project", project)
	}
	return list[i].WorkingDir, nil
}

// askSettings asks for what the release needs and nobody has given. Nothing that is typed is shown.
func (s *shell) askSettings(settings map[string]string, next ahead) error {
	if next.release == nil {
		return nil
	}
	var missing []string
	for _, v := range next.release.Settings {
		if v.Required && settings[v.Name] == "" && next.given[v.Name] == "" {
			missing = append(missing, v.Name)
		}
	}
	f, ok := s.in.(*os.File)
	if len(missing) > 0 && (!ok || !terminal(s.in)) {
		s.line("settings", "install.missing", "names", s.words.List(missing))
		return nil
	}
	for _, name := range missing {
		for settings[name] == "" {
			s.printf("%s: ", s.lineOf("settings", name))
			value, err := term.ReadPassword(int(f.Fd()))
			s.printf("\n")
			if err != nil {
				return api.Fail(api.CodeNotConfirmed, "give it with --settings FILE", "the setting %s has no value; nothing was done", name).
					In("install-setting", "name", name)
			}
			settings[name] = string(value)
		}
	}
	return nil
}
