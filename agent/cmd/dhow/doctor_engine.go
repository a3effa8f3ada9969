package main

import (
	"context"
	"errors"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/update"
	"dhow/installer"
)

func checkEngine(ctx context.Context, p *patient) []finding {
	s := p.stack(ctx)
	if s == nil {
		return nil // the configuration says where the engine is, and can't be read
	}
	if s.docker == nil {
		return failed(isBad, "engine.address", explain(s.err))
	}
	if s.err != nil {
		if strings.Contains(s.err.Error(), "permission denied") { // the client of the engine keeps the text only
			return said(isBad, "engine.away", s.err.Error(), "doctor.sudo")
		}
		if hangs(s.err) {
			return said(isBad, "engine.away", s.err.Error(), "doctor.engine.restart", "command", installer.ServiceCommand("restart", "docker"))
		}
		if errors.Is(s.err, engine.ErrNotRunning) {
			return said(isBad, "engine.away", s.err.Error(), "doctor.engine.start", "command", installer.ServiceCommand("start", "docker"))
		}
		return said(isBad, "engine.away", s.err.Error(), "doctor.engine.access", "address", s.at.Address)
	}
	if old, needed := update.OldEngine(s.info.API); old {
		return bad("doctor.engine.old", "doctor.engine.newer", "version", s.info.Version, "api", s.info.API, "needed", needed)
	}
	list := good("doctor.engine.good", "version", s.info.Version, "platform", s.info.Platform, "address", s.at)
	if other, who := otherEngine(p.config); other.Address != "" && !sameSocket(other.Address, s.at.Address) {
		list = append(list, warn("doctor.engine.other", "doctor.engine.same", "address", s.at.Address, "other", other, "user", who, "file", p.paths.Config())...)
	}
	return list
}

// sameSocket reports whether two addresses lead to one engine: /var/run is a link to /run.
func sameSocket(a, b string) bool {
	real := func(address string) string {
		path, ok := strings.CutPrefix(address, "unix://")
		if to, err := filepath.EvalSymlinks(path); ok && err == nil {
			return to
		}
		return address
	}
	return real(a) == real(b)
}

// otherEngine is the engine that the person who sits here gives commands to, when that is not the user that dhow runs as: sudo has changed the
// environment and the home.
func otherEngine(config *site.Config) (e site.Endpoint, who string) {
	sudo := variable("SUDO_USER")
	if sudo == "" {
		return e, ""
	}
	u, err := user.Lookup(sudo)
	if err != nil {
		return e, ""
	}
	e, _ = site.FindEngine("", func(string) string { return "" }, u.HomeDir) // what can't be read says nothing
	if e.From == "" {                                                        // a rootless engine is used by DOCKER_HOST, which sudo takes away
		rootless := filepath.Join("/run/user", u.Uid, "docker.sock")
		if exists(rootless) {
			e = site.Endpoint{Address: "unix://" + rootless, From: "rootless"}
		}
	}
	return e, sudo
}

// checkImages looks whether the engine still has the images of the running release: docker image prune takes them when their containers are gone.
func checkImages(ctx context.Context, p *patient) (list []finding) {
	s := p.stack(ctx)
	if !s.ok() {
		return nil
	}
	images, err := s.running.Release.PlatformImages(s.info.Platform)
	if err != nil {
		return said(isBad, "images.platform", err.Error(), "doctor.tell")
	}
	store := p.store()
	for i, image := range images {
		ref := s.running.Release.Images[i].Ref
		there, err := s.docker.HasImage(ctx, image.Config.Digest)
		switch {
		case err != nil:
			return said(isWarning, "images.unknown", err.Error(), "")
		case there:
		case store != nil && !slices.ContainsFunc(image.Layers, notIn(store)) && store.Has(image.Config):
			list = append(list, warn("doctor.images.pruned", "doctor.images.load", "image", ref)...)
		default:
			list = append(list, bad("doctor.images.gone", "doctor.images.fetch", "image", ref)...)
		}
	}
	if list == nil {
		list = good("doctor.images.good", "n", len(images))
	}
	return list
}
