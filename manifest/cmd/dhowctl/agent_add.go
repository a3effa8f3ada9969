package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/deltas"
	"dhow/manifest/program"
	"dhow/manifest/sign"
)

func (a *app) agentAdd() *cobra.Command {
	var named, from []string
	var none bool
	c := a.command("add VERSION [DIST] [--platform linux/amd64=FILE]…", "Add a version of dhow itself, for sites to run", cobra.RangeArgs(1, 2),
		func(ctx context.Context, args []string) error {
			files, err := programFiles(args[1:], named)
			if err != nil {
				return err
			}
			return a.addAgent(ctx, args[0], files, from, none)
		})
	c.Long = "Adds the programs of a version of dhow, by platform: those of a folder that scripts/release has made, or files by name. Each is looked\n" +
		"at (is it a program for that platform, and whole?) and none is run. Deltas are made from the two versions before and from those that are\n" +
		"pinned, so that sites fetch a few per cent of it.\n\n" +
		"Nothing changes at sites before it is pinned: dhowctl agent pin VERSION [--ring RING], then publish."
	c.Flags().StringArrayVar(&named, "platform", nil, "a program, as PLATFORM=FILE; may be given more than once")
	c.Flags().StringSliceVar(&from, "deltas-from", nil, "versions from which sites come, in place of the two before and those that are pinned")
	c.Flags().BoolVar(&none, "no-deltas", false, "make no deltas")
	c.MarkFlagsMutuallyExclusive("deltas-from", "no-deltas")
	return c
}

// programFiles returns the files by platform.
func programFiles(dist, named []string) (map[string]string, error) {
	files := map[string]string{}
	add := func(platform, path string) error {
		p, err := manifest.NormalizePlatform(platform)
		if err != nil {
			return usage(err)
		}
		if files[p] != "" {
			return fail(api.CodeUsage, "two programs are given for "+p, "")
		}
		files[p] = path
		return nil
	}
	for _, dir := range dist {
		list, err := filepath.Glob(filepath.Join(dir, "programs", "dhow-*-*"))
		if err != nil || len(list) == 0 {
			return nil, fail(api.CodeUsage, dir+" has no programs of dhow (programs/dhow-linux-amd64 …)",
				"name the folder that scripts/release has made, or: --platform linux/amd64=FILE")
		}
		for _, path := range list {
			platform := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "dhow-"), ".exe")
			system, arch, _ := strings.Cut(platform, "-")
			if arch == "armv7" {
				arch = "arm/v7"
			}
			if err := add(system+"/"+arch, path); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range named {
		platform, path, ok := strings.Cut(n, "=")
		if !ok || path == "" {
			return nil, fail(api.CodeUsage, fmt.Sprintf("--platform %q: no file is named", n), "write it like linux/amd64=./dhow")
		}
		if err := add(platform, path); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fail(api.CodeUsage, "no program is given", "dhowctl agent add VERSION DIST, or --platform linux/amd64=FILE")
	}
	return files, nil
}

func (a *app) addAgent(ctx context.Context, version string, files map[string]string, from []string, noDeltas bool) error {
	v, err := manifest.ParseVersion(version)
	if err != nil {
		return usage(err)
	}
	r, store, err := a.withStore()
	if err != nil {
		return err
	}
	var programs []deltas.Program
	for _, platform := range sorted(files) {
		if err := checkProgram(files[platform], platform); err != nil {
			return err
		}
		programs = append(programs, deltas.Program{Platform: platform, Open: func() (io.ReadCloser, error) { return os.Open(files[platform]) }})
	}
	var older []*manifest.Agent
	if !noDeltas {
		if older, err = agentsBefore(r, v, from); err != nil {
			return err
		}
	}
	show, end := waysProgress(a)
	agent, warnings, err := deltas.MakeAgent(ctx, store, r.Fleet().Fleet().Name, v, programs, older, show)
	end()
	if err != nil {
		return fmt.Errorf("cannot add agent %s: %w", v, err)
	}
	switch known, err := r.Agent(v); {
	case err == nil:
		agent.Platforms = append(agent.Platforms, others(known, agent)...)
	case !errors.Is(err, sign.ErrUnknownAgent):
		return err
	}
	if err := r.SaveAgent(agent); err != nil {
		return err
	}
	a.printf("Agent %s:\n", v)
	for _, p := range agent.Platforms {
		a.printf("  %-14s %s\n", p.Platform, agentWays(p))
	}
	for _, w := range warnings {
		a.warnf("%s", w)
	}
	a.printf("Pin it with: dhowctl agent pin %s\n", v)
	return nil
}

// others are the programs of a version that is there for platforms that are not given now.
func others(known, now *manifest.Agent) (list []manifest.AgentProgram) {
	for _, p := range known.Platforms {
		if !slices.ContainsFunc(now.Platforms, func(q manifest.AgentProgram) bool { return q.Platform == p.Platform }) {
			list = append(list, p)
		}
	}
	return list
}

func checkProgram(path, platform string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := program.Check(f, info.Size(), platform); err != nil {
		return fail(api.CodeRefused, fmt.Sprintf("%s: %v", path, err), "build it for "+platform+", or name the right platform")
	}
	return nil
}

// agentsBefore are the versions that deltas begin with, the newest first: those that are named, or the two before and those that are pinned.
func agentsBefore(r *sign.Repository, version string, from []string) (list []*manifest.Agent, err error) {
	if len(from) == 0 {
		all, err := r.Agents()
		if err != nil {
			return nil, err
		}
		pinned := r.Fleet().Fleet().AgentsOf()
		all = slices.DeleteFunc(all, func(v string) bool { return manifest.CompareVersions(v, version) >= 0 })
		first := max(0, len(all)-sign.KeepBefore)
		for n, v := range all {
			if n >= first || slices.Contains(pinned, v) {
				from = append(from, v)
			}
		}
	}
	for _, v := range slices.Backward(from) {
		o, err := r.Agent(v)
		if err != nil {
			return nil, unknownAgent(err)
		}
		if o.Version != version {
			list = append(list, o)
		}
	}
	return list, nil
}

// agentWays says what sites fetch: "35 MB; 0.9 MB from 1.3.0, 9.1 MB to others".
func agentWays(p manifest.AgentProgram) string {
	text := author.SizeText(p.Size) + "; "
	for _, d := range p.Deltas {
		text += author.SizeText(d.Size) + " from " + d.From + ", "
	}
	if len(p.Deltas) == 0 {
		return text + author.SizeText(p.Full.Size) + " to a site"
	}
	return text + author.SizeText(p.Full.Size) + " to others"
}

// missingPrograms lists the blobs of agents that a destination has and the store has not. It refuses when neither has one.
func missingPrograms(ctx context.Context, store *bundle.Store, agents []*manifest.Agent, has func(context.Context, manifest.Blob) (bool, error)) (
	there []manifest.Blob, err error,
) {
	for _, agent := range agents {
		for _, b := range agent.Blobs() {
			if store.Has(b) {
				continue
			}
			ok, err := has(ctx, b)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fail(api.CodeRefused, fmt.Sprintf("the bytes of agent %s are neither in %s nor at the destination", agent.Version, store.Dir()),
					"copy that folder from the computer where dhowctl agent add was run: it is not in git")
			}
			there = append(there, b)
		}
	}
	return there, nil
}

// agentsThere refuses to sign agents whose bytes could not be published.
func (a *app) agentsThere(ctx context.Context, r *sign.Repository, store *bundle.Store, fleet *manifest.Fleet, claims []*pack.Claim) error {
	var agents []*manifest.Agent
	for _, v := range fleet.AgentsOf() {
		agent, err := r.Agent(v)
		if err != nil {
			return err
		}
		agents = append(agents, agent)
	}
	for _, claim := range claims {
		if _, err := missingPrograms(ctx, store, agents, claim.Has); err != nil {
			return err
		}
	}
	return nil
}
