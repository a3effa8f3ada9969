package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/support"
	"dhow/bundle/fetch"
	"dhow/installer"
)

// Of the log, so much goes into a support file: what compresses to far less than support.MaxSize.
const (
	supportLines = 5000
	supportLog   = 4 << 20 // bytes
)

// seenContainer is a container as support describes it: nothing of its environment, and nothing that it prints.
type seenContainer struct {
	Name     string   `json:"name"`
	Service  string   `json:"service"`
	Image    string   `json:"image"`
	State    string   `json:"state"`
	Health   string   `json:"health,omitempty"`
	ExitCode int      `json:"exit_code"`
	Restarts int      `json:"restarts"`
	Policy   string   `json:"restart_policy"`
	OneOff   bool     `json:"one_off,omitempty"`
	Volumes  []string `json:"volumes,omitempty"`
}

// supportParts are the files of a support file, the most telling first. Every text in them has gone through one Redactor.
func (s *shell) supportParts(ctx context.Context, p *patient, now time.Time) ([]support.Part, error) {
	d := examine(ctx, p, whole)
	r := p.redactor()
	var history []api.Update
	if p.status != nil {
		history, _ = s.client().History(ctx)
	}
	var parts []support.Part
	for _, f := range []struct {
		name string
		v    any
	}{
		{"README.json", map[string]any{"format": 1, "made": now.UTC(), "dhow": version, "platform": runtime.GOOS + "/" + runtime.GOARCH}},
		{"doctor.json", d},
		{"status.json", p.status},
		{"history.json", history},
		{"containers.json", p.supportContainers()},
		{"machine.json", p.machine(ctx)},
		{"configuration.json", p.supportConfig()},
		{"trust.json", p.supportTrust()},
	} {
		data, err := r.JSON(f.v)
		if err != nil {
			return nil, err
		}
		parts = append(parts, support.Part{Name: f.name, Data: data})
	}
	var log bytes.Buffer
	err := s.readLog(ctx, wish{lines: supportLines}, func(e entry) error {
		if log.Len() < supportLog {
			log.WriteString(e.Time.UTC().Format(time.RFC3339) + " " + e.Level + " " + r.Text(e.Text) + "\n")
		}
		return nil
	})
	if err != nil {
		log.WriteString(r.Text("no log: "+err.Error()) + "\n")
	}
	return append(parts, support.Part{Name: "agent.log", Data: log.Bytes()}), nil
}

// redactor knows the settings of this site and of the fleet, and the names that may be told.
func (p *patient) redactor() *support.Redactor {
	settings, _ := site.ReadSettings(p.paths.Settings()) // one that can't be read has no value that anybody could have taken from it
	all := map[string]string{}
	for k, v := range settings {
		all[k] = v
	}
	names := []string{version, site.DefaultEngine(), p.paths.Config(), p.paths.Settings(), p.paths.State(), "site.env", "dhow.yaml"}
	if p.config != nil {
		names = append(names, p.config.Site, p.config.Project, p.config.TimeZone)
		for _, spec := range p.config.Sources {
			names = append(names, hostOf(spec))
		}
		for _, q := range p.peers() {
			if q.proxy != nil {
				if password, ok := q.proxy.User.Password(); ok {
					all["PROXY_PASSWORD "+q.host] = password
				}
				all["PROXY_KEY "+q.host] = q.proxy.User.Username()
			}
		}
	}
	if p.trust != nil {
		if current, err := p.trust.Current(); err == nil {
			names = append(names, current.Fleet.Name)
			names = append(names, current.Releases...)
			if p.config != nil {
				if as, err := current.Fleet.Assignment(p.config.Site); err == nil {
					names = append(names, as.Ring)
					for k, v := range as.Settings {
						all["fleet "+k] = v
					}
				}
			}
		}
	}
	if s := p.seen; s != nil {
		names = append(names, s.info.Version, s.info.API, s.info.Platform, s.info.Root)
		if s.running != nil {
			release := s.running.Release
			names = append(names, release.Version, release.Project, s.running.Project.Name())
			names = append(names, s.running.Project.Services()...)
			for _, i := range release.Images {
				names = append(names, i.Ref)
			}
			for _, v := range s.running.Project.Volumes() {
				names = append(names, v.Key, v.Name)
			}
			for _, db := range release.Databases {
				names = append(names, db.Databases...)
			}
		}
		for _, c := range s.containers {
			names = append(names, c.Name, c.Service)
		}
	}
	return support.NewRedactor(all, names)
}

func (p *patient) supportContainers() (list []seenContainer) {
	if p.seen == nil {
		return nil
	}
	for _, c := range p.seen.containers {
		one := seenContainer{
			Name: c.Name, Service: c.Service, Image: c.Image, State: c.State, Health: c.Health, ExitCode: c.ExitCode, Restarts: c.Restarts,
			Policy: c.RestartPolicy, OneOff: c.OneOff,
		}
		for _, m := range c.Mounts {
			one.Volumes = append(one.Volumes, m.Type+" "+m.Name+" "+m.Destination)
		}
		list = append(list, one)
	}
	return list
}

// machine says what computer this is, and how its service is.
func (p *patient) machine(ctx context.Context) map[string]any {
	m := map[string]any{"cpus": runtime.NumCPU(), "go": runtime.Version()}
	for name, path := range map[string]string{"kernel": "/proc/sys/kernel/osrelease", "uptime": "/proc/uptime", "load": "/proc/loadavg", "init": "/proc/1/comm"} {
		if data, err := os.ReadFile(path); err == nil {
			m[name] = strings.ReplaceAll(strings.TrimSpace(string(data)), " ", ",")
		}
	}
	if memory, err := site.ReadMemory(); err == nil {
		m["memory"] = memory
	}
	disks := map[string]any{}
	for _, dir := range p.disks(ctx) {
		free, _ := site.Free(dir)
		left, all, _ := site.Inodes(dir)
		disks[dir] = map[string]any{"free": free, "inodes_left": left, "inodes": all}
	}
	m["disks"] = disks
	if s := p.seen; s != nil {
		m["engine"] = map[string]any{"address": s.at.Address, "from": s.at.From, "version": s.info.Version, "api": s.info.API, "driver": s.info.Driver, "platform": s.info.Platform}
	}
	if p.shell.prefix == "" && systemdRuns() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		out, _ := exec.CommandContext(ctx, "systemctl", "show", installer.Name,
			"--property=LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus,UnitFileState,MemoryCurrent").Output()
		m["unit"] = strings.Fields(string(out))
	}
	return m
}

// supportConfig is the configuration without what is nobody's business: addresses without logins, of settings the names only, no contact.
func (p *patient) supportConfig() map[string]any {
	if p.config == nil {
		if p.configErr != nil {
			return map[string]any{"error": p.configErr.Error()}
		}
		return nil
	}
	c := p.config
	clean := func(list []string) (out []string) {
		for _, spec := range list {
			out = append(out, fetch.Redact(spec))
		}
		return out
	}
	names := []string{}
	if settings, err := site.ReadSettings(p.paths.Settings()); err == nil {
		for name := range settings {
			names = append(names, name)
		}
	}
	mirrors := map[string]string{}
	for k, v := range c.Mirrors {
		mirrors[k] = fetch.Redact(v)
	}
	return map[string]any{
		"site": c.Site, "sources": clean(c.Sources), "mirrors": mirrors, "project": c.Project, "fetch": c.Fetch, "window": c.Window, "time_zone": c.TimeZone,
		"rate": c.Rate, "quiet": c.Quiet, "budget": c.Budget, "language": c.Language, "engine": c.Engine, "serve": c.Serve, "page_off": c.Page.Off,
		"adopted": c.Adopt != nil, "restored": c.Restore != nil, "backup_at": c.Backup.At, "copies": len(c.Backup.Copies), "folders": len(c.Backup.Folders),
		"settings": names, "folder": filepath.Dir(p.paths.Config()),
	}
}

func (p *patient) supportTrust() map[string]any {
	if p.trust == nil {
		return map[string]any{"error": p.trustErr.Error()}
	}
	clock := p.trust.Clock()
	out := map[string]any{"now": clock.Now.UTC(), "clock_wrong": clock.Wrong()}
	links, err := p.trust.Explain()
	if err != nil {
		out["error"] = err.Error()
	}
	var list []map[string]any
	for _, l := range links {
		list = append(list, map[string]any{"document": l.Document, "number": l.Number, "expires": l.Expires.UTC(), "made": l.Made.UTC(), "good": l.Err == nil})
	}
	out["documents"] = list
	return out
}
