package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/agent/update"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// patient is what the checks look at. What could not be read is nil.
type patient struct {
	shell   *shell
	paths   site.Paths
	config  *site.Config
	trust   *trust.Client
	network *fetch.Network
	status  *api.Status // nil: no agent answers
	deep    bool        // read all of the store
	doors   []door      // of a release that is to be the first here

	configErr, trustErr, agentErr error

	looked sync.Once
	seen   *stackSeen
}

// stackSeen is the engine with the release that runs on it. What could not be found out is nil or empty.
type stackSeen struct {
	at         site.Endpoint
	docker     *engine.Engine
	info       engine.Info
	err        error // why the engine does not answer
	running    *update.Staged
	known      api.KnownGood
	containers []engine.Container
	listErr    error
}

// patient reads what there is to read.
func (s *shell) patient(ctx context.Context) (*patient, error) {
	p := &patient{shell: s, paths: s.paths(), network: fetch.NewNetwork()}
	if p.config, p.configErr = s.config(); api.Code(p.configErr) == api.CodeUsage && p.configErr != nil {
		return nil, p.configErr // not installed
	}
	name := ""
	if p.config != nil {
		name = p.config.Site
	}
	p.trust, p.trustErr = trust.Open(p.paths.Trust(), trust.Options{Now: fault.Now, Floor: buildTime(), Site: name})
	if p.trustErr == nil {
		p.network.WithClock(clockOf(p.trust))
	}
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := s.client().Status(ask)
	if err == nil {
		p.status = &status
	}
	p.agentErr = err
	return p, nil
}

// known reports whether an agent's warning is what another check says.
func (p *patient) known(warning string) bool {
	if p.status != nil && p.status.Agent != nil && warning == p.status.Agent.Trouble {
		return true
	}
	if p.trust == nil {
		return false
	}
	current, err := p.trust.Current()
	return err == nil && slices.Contains(current.Warnings, warning) || warning == p.trust.Clock().Warning()
}

// stack looks at the engine and at what runs there, once. It is nil while nobody knows where the engine is.
func (p *patient) stack(ctx context.Context) *stackSeen {
	p.looked.Do(func() {
		if p.config == nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		p.seen = p.look(ctx)
	})
	return p.seen
}

func (p *patient) look(ctx context.Context) *stackSeen {
	s := &stackSeen{}
	if s.at, s.err = engineOf(p.config); s.err != nil {
		return s
	}
	if s.docker, s.err = engine.Connect(s.at.Address); s.err != nil {
		return s
	}
	if s.info, s.err = s.docker.Info(ctx); s.err != nil {
		return s
	}
	if p.status != nil {
		s.known, _ = p.shell.client().KnownGood(ctx)
	}
	folders, _ := update.StagedFolders(p.paths)
	for _, dir := range folders { // the newest first
		staged, err := update.ReadStaged(ctx, dir)
		if err != nil || s.known.Release != "" && (staged.Release.Version != s.known.Release || staged.Project.Name() != s.known.Project) {
			continue
		}
		s.containers, s.listErr = s.docker.Containers(ctx, staged.Project.Name())
		runs := slices.ContainsFunc(s.containers, func(c engine.Container) bool { return c.WorkingDir == dir })
		if runs || s.known.Release != "" { // without an agent, what runs tells which release it is
			s.running = staged
			return s
		}
	}
	s.containers = nil
	if s.known.Project != "" {
		s.containers, s.listErr = s.docker.Containers(ctx, s.known.Project)
	}
	return s
}

// ok reports whether there is a running release to look at.
func (s *stackSeen) ok() bool {
	return s != nil && s.err == nil && s.running != nil && s.listErr == nil
}

// busy reports whether an update is under way: then what runs may differ from what should.
func (s *stackSeen) busy() bool { return s.known.Busy }
