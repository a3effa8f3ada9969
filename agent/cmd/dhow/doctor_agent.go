package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/installer"
)

func checkAgent(_ context.Context, p *patient) []finding {
	if p.agentErr != nil {
		return failed(isBad, "agent.away", p.shell.hinted(explain(p.agentErr)))
	}
	list := good("doctor.agent.good", "state", p.status.State)
	if p.status.State == api.StateStuck {
		list = bad("doctor.agent.stuck", "doctor.agent.stuck.help", "code", p.status.Code)
	}
	for _, w := range p.status.Warned() {
		if !p.known(w.Text) {
			list = append(list, finding{Result: isWarning, ID: "agent.warning", Text: w.Text, said: w.Said})
		}
	}
	return list
}

// checkDhow looks which version of Dhow itself runs, and whether it is the one that the manifest asks for.
func checkDhow(_ context.Context, p *patient) []finding {
	if p.status == nil || p.status.Agent == nil {
		return nil // the check of the agent says so
	}
	a := p.status.Agent
	switch {
	case a.Trouble != "" && a.Kind == "failed":
		return said(isWarning, "dhow.failed", a.Trouble, "doctor.dhow.retry")
	case a.Trouble != "" && a.Kind == "waits":
		return said(isWarning, "dhow.waits", a.Trouble, "doctor.dhow.retry")
	case a.Trouble != "":
		return said(isWarning, "dhow.older", a.Trouble, "doctor.tell")
	case a.Wanted != "":
		return good("doctor.dhow.comes", "version", a.Version, "wanted", a.Wanted)
	}
	return good("doctor.dhow.good", "version", a.Version)
}

// checkService looks whether the agent is started by itself when the computer is. One below a prefix is started by hand.
func checkService(ctx context.Context, p *patient) []finding {
	if p.shell.prefix != "" {
		return nil
	}
	state, err := installer.State()
	switch {
	case errors.Is(err, installer.ErrNoInit):
		return warn("doctor.service.none", "doctor.service.byhand")
	case err != nil:
		return said(isWarning, "service.unknown", err.Error(), "")
	case state == installer.Absent:
		return bad("doctor.service.absent", "doctor.service.install")
	case state == installer.Stopped:
		return bad("doctor.service.stopped", "doctor.service.start", "command", installer.ServiceCommand("start", installer.Name))
	}
	if systemdRuns() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		out, _ := exec.CommandContext(ctx, "systemctl", "is-enabled", installer.Name).Output()
		if word := strings.TrimSpace(string(out)); word == "disabled" || word == "masked" {
			return bad("doctor.service.disabled", "doctor.service.enable")
		}
	}
	return good("doctor.service.good")
}

func checkSettings(_ context.Context, p *patient) []finding {
	if p.configErr != nil {
		return failed(isBad, "settings.config", explain(p.configErr))
	}
	path := p.paths.Settings()
	values, err := site.ReadSettings(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return good("doctor.settings.none", "file", p.paths.Config())
	case errors.Is(err, fs.ErrPermission):
		return said(isWarning, "settings.closed", err.Error(), "doctor.sudo")
	case err != nil:
		return said(isBad, "settings.broken", err.Error(), "doctor.settings.correct")
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return warn("doctor.settings.open", "doctor.settings.chmod", "file", path)
	}
	return good("doctor.settings.good", "n", len(values), "file", path)
}

func checkLanguage(_ context.Context, p *patient) []finding {
	if p.config == nil {
		return nil
	}
	if l := p.config.Language; l != "" && !words.Speaks(l) {
		var all []string
		for _, l := range p.shell.words.Languages() {
			all = append(all, l.Tag)
		}
		return warn("doctor.language.unknown", "doctor.language.known", "language", l, "all", strings.Join(all, ", "), "file", p.paths.Config())
	}
	return good("doctor.language.good", "language", p.shell.words.Language())
}
