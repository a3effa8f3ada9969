package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/installer/carry"
	"dhow/manifest"
	"dhow/manifest/author"
)

// installerBeside says what to put beside a bundle for computers that are no sites yet.
type installerBeside struct {
	wanted  bool
	from    string // a folder of scripts/release
	sources []string
}

func (i *installerBeside) flags(f *pflag.FlagSet) {
	f.BoolVar(&i.wanted, "with-installer", false, "put beside it (inside, when it is a folder) what makes a computer a site")
	f.StringVar(&i.from, "installer", "", "with --with-installer: take dhow from this folder, which scripts/release has made (default: the version that sites are to run)")
	f.StringArrayVar(&i.sources, "source", nil, "with --with-installer: where the new site looks for news, oci://HOST/PATH or https://…; may be given more than once")
}

// check refuses what can't be before the bundle is written.
func (i *installerBeside) check() error {
	switch {
	case !i.wanted && (i.from != "" || len(i.sources) > 0):
		return fail(api.CodeUsage, "--installer and --source are for --with-installer", "")
	case !i.wanted:
		return nil
	}
	for _, s := range i.sources {
		if _, path, ok := strings.Cut(s, "://"); !ok || path == "" {
			return fail(api.CodeUsage, fmt.Sprintf("--source %q is no address that a site could reach", s), "write it like oci://registry.example.org/emr or https://example.org/emr")
		}
	}
	return nil
}

// programs are those of the folder that was named, or of the newest agent that the bundle's sites are to run.
func (i *installerBeside) programs(agents []*manifest.Agent, store *bundle.Store) (list []carry.Program, err error) {
	if i.from != "" {
		return programsIn(i.from)
	}
	agents = slices.DeleteFunc(slices.Clone(agents), func(a *manifest.Agent) bool { return len(a.Platforms) == 0 })
	if len(agents) == 0 {
		return nil, fail(api.CodeRefused, "which dhow to install is not known: the manifest that was signed last names no agent whose bytes are here",
			"take it from a folder that scripts/release has made: --installer DIR; or: dhowctl agent add, dhowctl agent pin, publish")
	}
	newest := slices.MaxFunc(agents, func(a, b *manifest.Agent) int { return manifest.CompareVersions(a.Version, b.Version) })
	for _, p := range newest.Platforms {
		if strings.HasPrefix(p.Platform, "linux/") {
			list = append(list, carry.Program{Platform: p.Platform, Open: func() (io.ReadCloser, error) { return store.OpenLayer(p.Layer()) }})
		}
	}
	return list, nil
}

// programsIn lists the programs for sites in a folder that scripts/release has made.
func programsIn(dir string) (list []carry.Program, err error) {
	for _, pattern := range []string{filepath.Join(dir, "programs", "dhow-linux-*"), filepath.Join(dir, "dhow-linux-*")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			p := carry.Program{
				Platform: "linux/" + strings.Replace(strings.TrimPrefix(filepath.Base(file), "dhow-linux-"), "armv", "arm/v", 1),
				Open:     func() (io.ReadCloser, error) { return os.Open(file) },
			}
			if p.FileName() != filepath.Base(file) {
				continue
			}
			if err := checkProgram(file, p.Platform); err != nil {
				return nil, err
			}
			list = append(list, p)
		}
		if len(list) > 0 {
			return list, nil
		}
	}
	return nil, fail(api.CodeUsage, dir+" has no programs of dhow (programs/dhow-linux-amd64 …)", "name the folder that scripts/release has made")
}

// putInstaller writes the installer for the bundle out, and says how to use it.
func (a *app) putInstaller(ctx context.Context, out string, i installerBeside, programs []carry.Program) error {
	dir, name := filepath.Clean(out), ""
	if info, err := os.Stat(out); err != nil || !info.IsDir() { // one in parts has none of that name
		dir, name = filepath.Dir(out), filepath.Base(out)
	}
	size, err := carry.Write(ctx, dir, carry.Contents{Bundle: name, Sources: i.sources, Programs: programs})
	if err != nil {
		return err
	}
	var platforms []string
	for _, p := range programs {
		platforms = append(platforms, p.Platform)
	}
	a.printf("Installer %s written, dhow for %s: %s.\n", filepath.Join(dir, carry.Script), strings.Join(platforms, ", "), author.SizeText(size))
	if len(i.sources) == 0 {
		a.printf("warning   a site that is made with it gets releases from sticks only: name where it is to look, --source oci://HOST/PATH\n")
	}
	a.printf("At the computer: sudo sh %s --site NAME\n", filepath.Join(dir, carry.Script))
	return nil
}
