package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// patient reads what there is to read.
func (s *shell) patient(ctx context.Context) (*patient, error) {
	p := &patient{shell: s, paths: s.paths(), network: fetch.NewNetwork()}
	if p.config, p.configErr = s.config(); api.Code(p.configErr) == api.CodeUsage {
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

func checkAgent(_ context.Context, p *patient) []finding {
	if p.agentErr != nil {
		e := p.shell.hinted(explain(p.agentErr))
		return bad(e.Hint, "%s", e.Message)
	}
	list := good("running; %s", p.status.State)
	if p.status.State == api.StateStuck {
		list = bad("call for help and give the code "+p.status.Code, "going back to the old release can't finish; it is tried again by itself")
	}
	for _, w := range p.status.Warnings {
		if !p.known(w) {
			list = append(list, warn("", "%s", w)...)
		}
	}
	return list
}

func checkSettings(_ context.Context, p *patient) []finding {
	if p.configErr != nil {
		e := explain(p.configErr)
		return bad(e.Hint, "%s", e.Message)
	}
	path := p.paths.Settings()
	values, err := site.ReadSettings(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return good("%s; there are no settings", p.paths.Config())
	case errors.Is(err, fs.ErrPermission):
		return warn("try it with sudo", "%v", err)
	case err != nil:
		return bad("correct the file", "%v", err)
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return warn("chmod 600 "+path, "%s can be read by others: it holds passwords", path)
	}
	return good("%s in %s", count(len(values), "setting"), path)
}

// checkSources asks every source for its manifest, all at once, and holds it against what this site trusts. One that answers is enough.
func checkSources(ctx context.Context, p *patient) []finding {
	if p.config == nil || p.trust == nil {
		return nil
	}
	if len(p.config.Sources) == 0 {
		return warn("add one to "+p.paths.Config()+", or use sticks: dhow update --from PATH", "this site has no source")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("no answer within 20 seconds"))
	defer cancel()
	numbers, errs := make([]int64, len(p.config.Sources)), make([]error, len(p.config.Sources))
	var all sync.WaitGroup
	for i, spec := range p.config.Sources {
		all.Go(func() { numbers[i], errs[i] = askSource(ctx, p, spec) })
	}
	all.Wait()
	answered := false
	for _, err := range errs {
		answered = answered || err == nil
	}
	var list []finding
	for i, spec := range p.config.Sources {
		err := errs[i]
		if err == nil {
			list = append(list, good("%s has manifest %d", fetch.Redact(spec), numbers[i])...)
			continue
		}
		say := bad
		if answered {
			say = warn
		}
		list = append(list, say(sourceRemedy(spec, err), "%s", about(fetch.Redact(spec), err))...)
	}
	return list
}

func askSource(ctx context.Context, p *patient, spec string) (int64, error) {
	src, err := p.network.Open(ctx, spec)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	m, err := p.trust.Scratch().Refresh(ctx, src, !strings.Contains(src.Name(), "://"))
	if err != nil {
		return 0, err
	}
	return m.Number, nil
}

// about makes sure that an error names its source.
func about(spec string, err error) string {
	text := err.Error()
	if !strings.Contains(text, spec) {
		text = spec + ": " + text
	}
	return text
}

func sourceRemedy(spec string, err error) string {
	switch {
	case errors.Is(err, bundle.ErrUnreachable) && !strings.Contains(spec, "://"):
		return "plug it in, or mount it"
	case errors.Is(err, trust.ErrExpired):
		return "ask the central team to publish again; a stick still works: dhow update --from PATH"
	case errors.Is(err, bundle.ErrUnreachable):
		return "check the line and the address; a stick works without them: dhow update --from PATH"
	}
	return explain(trustError(err)).Hint
}

const setClock = "set it, by hand or with timedatectl set-ntp true; one that is wrong again after every start needs a new battery"

func checkClock(_ context.Context, p *patient) []finding {
	if p.trust == nil {
		return nil
	}
	clock := p.trust.Clock()
	if text := clock.Warning(); text != "" {
		return bad(setClock, "%s", text)
	}
	if said := p.network.Heard(); said.Server != "" {
		if text := clock.Doubt(said.Server, said.Time); text != "" {
			return warn(setClock, "%s", text)
		}
	}
	if current, err := p.trust.Current(); err == nil {
		if text := clock.Ahead(current.Expires); text != "" {
			return warn(setClock, "%s", text)
		}
	}
	return good("%s", clock.Now.Local().Format("2006-01-02 15:04 MST"))
}

func checkZone(_ context.Context, p *patient) []finding {
	if p.config != nil && p.config.TimeZone != "" {
		return good("%s", p.config.TimeZone)
	}
	if p.trust != nil {
		if current, err := p.trust.Current(); err == nil && current.Fleet.Policy.TimeZone != "" {
			return good("%s, as the fleet says", current.Fleet.Policy.TimeZone)
		}
	}
	_, err := os.Stat("/etc/localtime")
	if os.Getenv("TZ") == "" && err != nil && runtime.GOOS != "windows" {
		return warn("add it to "+p.paths.Config()+", such as time_zone: Africa/Kinshasa", "no time zone is set: the hours for updates are taken as UTC")
	}
	return good("%s, as this computer says", time.Now().Format("MST -07:00"))
}

func checkManifest(_ context.Context, p *patient) []finding {
	if p.trustErr != nil {
		e := explain(trustError(p.trustErr))
		if errors.Is(p.trustErr, trust.ErrDamaged) {
			e.Hint = "start the agent: it begins anew by itself and waits for a manifest that is not older"
		}
		return bad(e.Hint, "%s", e.Message)
	}
	current, err := p.trust.Current()
	if errors.Is(err, trust.ErrNothing) {
		return warn("dhow update, or with a stick: dhow update --from PATH", "this site has no signed manifest")
	}
	if err != nil {
		return bad("tell the central team", "%v", err)
	}
	now := p.trust.Time()
	if text := trust.FreshnessWarning("the manifest", current.Expires, now); text != "" {
		say := warn
		if now.After(current.Expires) {
			say = bad
		}
		return say("ask the central team to publish again; a stick works with an old manifest, too", "%s", text)
	}
	text := "number %d, good until %s"
	if p.status != nil && p.status.LastCheck != nil {
		text += ", a source answered last on " + p.status.LastCheck.Local().Format("2006-01-02 15:04")
	}
	return good(text, current.Number, current.Expires.Format(time.DateOnly))
}

func checkRootExpiry(_ context.Context, p *patient) []finding {
	if p.trust == nil {
		return nil
	}
	current, err := p.trust.Current()
	if err != nil {
		return nil // the check of the manifest says so
	}
	now := p.trust.Time()
	if text := trust.ExpiryWarning("the fleet's root", current.Root, now); text != "" {
		say := warn
		if now.After(current.Root) {
			say = bad
		}
		return say("tell the central team: dhowctl key list", "%s", text)
	}
	return good("good until %s", current.Root.Format(time.DateOnly))
}

func checkEngine(ctx context.Context, p *patient) []finding {
	if p.config == nil {
		return nil // it says where the engine is
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	docker, err := engine.Connect(p.config.Engine)
	if err == nil {
		defer docker.Close()
		var info engine.Info
		if info, err = docker.Info(ctx); err == nil {
			return good("Docker %s, %s", info.Version, info.Platform)
		}
	}
	return bad("start it: systemctl start docker", "%v", err)
}

// Free space, in bytes, below which something should be done, and below which not even the journal is safe.
const (
	littleSpace = 2_000_000_000
	noSpace     = 200_000_000
)

func checkDisk(_ context.Context, p *patient) []finding {
	free, err := site.Free(p.paths.State())
	if err != nil {
		return bad("look at the disk", "%v", err)
	}
	const remedy = "make room; see which backups are kept: dhow backup list"
	switch {
	case free < noSpace:
		return bad(remedy, "%s are free at %s", size(free), p.paths.State())
	case free < littleSpace:
		return warn(remedy, "only %s are free at %s", size(free), p.paths.State())
	}
	return good("%s are free", size(free))
}
