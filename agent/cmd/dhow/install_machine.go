package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/installer"
)

// engineStart is how long a Docker Engine that has just been installed may take to answer.
const engineStart = time.Minute

// checkMachine looks whether an engine for a stack answers, and installs one where that is wanted. The rest is for the checks of the doctor (see
// examineMachine), and what a release needs is checked with the release.
func (s *shell) checkMachine(ctx context.Context, paths site.Paths, config *site.Config, in installation) (docker *engine.Engine, address site.Endpoint, err error) {
	address, err = engineOf(config)
	if err != nil {
		return nil, address, err
	}
	if _, err := os.Stat(paths.Config()); err != nil && address.From != "" {
		config.Engine = address.Address // the service has another environment than whoever installs it
	}
	docker, err = engine.Connect(address.Address)
	if err != nil {
		return nil, address, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err)
	}
	info, err := docker.Info(ctx)
	if errors.Is(err, engine.ErrNotRunning) && address.From == "" && (in.withDocker || !hangs(err)) {
		if err := s.bringEngine(ctx, in); err != nil {
			return nil, address, err
		}
		info, err = s.awaitEngine(ctx, docker)
	}
	if hangs(err) {
		command := installer.ServiceCommand("restart", "docker")
		return nil, address, api.Fail(api.CodeRefused, "it hangs; restart it: "+command+"; then repeat this command", "the Docker Engine is there, and does not answer").
			In("install-hangs", "command", command)
	}
	if errors.Is(err, engine.ErrNotRunning) {
		return nil, address, noEngine()
	}
	if err != nil {
		return nil, address, api.Fail(api.CodeRefused, "look at it with: docker info", "the engine does not do what it is asked: %v", err).In("engine_odd", "cause", err.Error())
	}
	if !strings.HasPrefix(info.Platform, "linux/") {
		return nil, address, api.Fail(api.CodeRefused, "use an engine that runs Linux containers", "the engine runs %s containers", info.Platform).In("engine_windows", "platform", info.Platform)
	}
	return docker, address, nil
}

func noEngine() error {
	command := installer.ServiceCommand("start", "docker")
	return api.Fail(api.CodeRefused, "start it ("+command+"), or install it (sudo apt-get install docker.io)", "the Docker Engine does not answer").
		In("install-no_engine", "command", command)
}

// bringEngine installs or starts the engine when the command line or a person says so.
func (s *shell) bringEngine(ctx context.Context, in installation) error {
	if s.prefix != "" && !in.withDocker {
		return noEngine()
	}
	if !in.withDocker {
		answer, asked := s.ask(s.say("install.ask_engine") + " [y/N] ")
		if !asked || !yes(answer) {
			command := installer.ServiceCommand("start", "docker")
			return api.Fail(api.CodeRefused, "start it ("+command+"), or install it from the distribution: add --with-docker", "the Docker Engine does not answer").
				In("install-engine", "command", command)
		}
	}
	s.line("engine", "install.engine")
	if err := installer.InstallEngine(ctx, s.err); err != nil {
		return api.Fail(api.CodeRefused, "install a Docker Engine by hand, then repeat this command; it needs the network", "cannot install the Docker Engine: %v", err).
			In("install-cannot", "problem", err.Error())
	}
	return nil
}

// yes understands an answer in the languages that Dhow speaks, and in English.
func yes(answer string) bool {
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "o", "oui", "s", "sim", "sí", "si", "ndiyo", "w", "wi", "ن", "نعم":
		return true
	}
	return false
}

func (s *shell) awaitEngine(ctx context.Context, docker *engine.Engine) (engine.Info, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(engineStart); ; {
		info, err := docker.Info(ctx)
		if err == nil || !errors.Is(err, engine.ErrNotRunning) || time.Now().After(end) {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-tick.C:
		}
	}
}
