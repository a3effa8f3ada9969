package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// townFetch is what dhow fetch is asked for.
type townFetch struct {
	sites, rings         []string
	from                 []string
	release, since       string
	platform, cache, out string
	root, fingerprint    string
	rate                 string
	perSecond            int64 // bytes, of rate
	yes, asJSON          bool
}

// fetched is what dhow fetch prints with --json.
type fetched struct {
	Bundle    string   `json:"bundle"`
	Fleet     string   `json:"fleet"`
	Manifest  int64    `json:"manifest"`
	Releases  []string `json:"releases"`
	Platforms []string `json:"platforms"`
	Fetched   int64    `json:"fetched"` // bytes, this time
	Bytes     int64    `json:"bytes"`   // of the content of the bundle
	Warnings  []string `json:"warnings,omitempty"`
}

func (s *shell) fetchCommand() *cobra.Command {
	var f townFetch
	cmd := &cobra.Command{
		Use: "fetch --site NAME --from SOURCE -o BUNDLE",
		Long: "Needs no agent, no engine and no rights: any computer with a good line will do. It brings what the site is pinned to by what is signed now.\n" +
			"What was fetched stays in a cache: after a cut, or a stop, the same command goes on at the byte.\n" +
			"The root of trust comes from --root, or from the source with the --fingerprint that the central team reads out.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := &town{townFetch: f, shell: s}
			if f.asJSON {
				quiet := *s
				quiet.out = s.err
				t.shell = &quiet
			}
			if err := t.run(cmd.Context()); err != nil {
				return townError(err)
			}
			if f.asJSON {
				return s.json(t.result)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.sites, "site", nil, "help.flag.fetch.site")
	flags.StringSliceVar(&f.rings, "ring", nil, "help.flag.fetch.ring")
	flags.StringSliceVar(&f.from, "from", nil, "help.flag.fetch.from")
	flags.StringVar(&f.release, "release", "", "help.flag.fetch.release")
	flags.StringVar(&f.since, "since", "", "help.flag.fetch.since")
	flags.StringVar(&f.platform, "platform", "", "help.flag.fetch.platform")
	flags.StringVar(&f.rate, "rate", "", "help.flag.fetch.rate")
	flags.StringVar(&f.cache, "cache", "", "help.flag.fetch.cache")
	flags.StringVarP(&f.out, "output", "o", "", "help.flag.fetch.output")
	flags.StringVar(&f.root, "root", "", "help.flag.fetch.root")
	flags.StringVar(&f.fingerprint, "fingerprint", "", "help.flag.fetch.fingerprint")
	flags.BoolVar(&f.yes, "yes", false, "help.flag.fetch.yes")
	flags.BoolVar(&f.asJSON, "json", false, "help.flag.json_end")
	return cmd
}

func (f *townFetch) check() error {
	usage := func(format string, args ...any) *api.Error {
		return api.Fail(api.CodeUsage, "see: dhow fetch --help", format, args...)
	}
	switch {
	case len(f.sites)+len(f.rings) == 0 && f.release == "":
		return usage("for whom is missing: --site NAME, --ring NAME or --release VERSION").In("whom_missing")
	case len(f.from) == 0:
		return usage("where from is missing: --from SOURCE").In("from_missing")
	case f.out == "":
		return usage("where to is missing: -o BUNDLE").In("to_missing", "flag", "-o BUNDLE")
	}
	for _, v := range []*string{&f.release, &f.since} {
		if *v == "" {
			continue
		}
		normal, err := manifest.ParseVersion(*v)
		if err != nil {
			return usage("%v", err)
		}
		*v = normal
	}
	if f.rate != "" {
		var err error
		if f.perSecond, err = manifest.ParseRate(f.rate); err != nil {
			return usage("--rate: %v", err)
		}
	}
	if f.platform != "" {
		p, err := manifest.NormalizePlatform(f.platform)
		if err != nil {
			return usage("--platform: %v", err)
		}
		f.platform = p
	}
	return checkOutput(f.out)
}

// checkOutput refuses names that look like files of a kind that is not written: they would become folders.
func checkOutput(out string) error {
	name := strings.ToLower(filepath.Base(out))
	for _, end := range []string{".tgz", ".tar.gz", ".tar.zst", ".tar"} {
		if strings.HasSuffix(name, end) {
			return nil
		}
	}
	end := filepath.Ext(name)
	if info, err := os.Stat(out); err == nil && info.IsDir() || len(end) < 2 || strings.HasSuffix(out, "/") || strings.ContainsAny(end, "0123456789") {
		return nil
	}
	return api.Fail(api.CodeUsage, "write FILE.tgz, FILE.tar.gz, FILE.tar.zst or FILE.tar, or a folder: "+out+"/",
		"cannot write bundle %s: %s is no kind of bundle", out, end).In("bundle_kind", "bundle", out, "kind", end)
}

// town is a dhow fetch at work.
type town struct {
	townFetch
	shell   *shell
	client  *trust.Client
	store   *bundle.Store
	sources []bundle.Source // the nearest first
	base    *pack.Since     // what is left out; nil: nothing
	result  fetched
}

func (t *town) run(ctx context.Context) error {
	if err := t.check(); err != nil {
		return err
	}
	release, err := t.openCache(ctx)
	if err != nil {
		return err
	}
	defer release()
	defer func() {
		for _, src := range t.sources {
			_ = src.Close()
		}
	}()
	m, err := t.refresh(ctx)
	if err != nil {
		return err
	}
	versions, err := t.wanted(m)
	if err != nil {
		return err
	}
	releases, err := t.documents(ctx, versions)
	if err != nil {
		return err
	}
	parts, err := t.plan(releases)
	if err != nil {
		return err
	}
	if err := t.bring(ctx, parts); err != nil {
		return err
	}
	return t.write(ctx, m, releases, parts)
}

// wanted lists the releases that the manifest pins for those who are named, from old to new.
func (t *town) wanted(m *trust.Manifest) ([]string, error) {
	pins := map[string]bool{}
	ask := func(who, pin string, hold *manifest.Hold) error {
		switch {
		case hold != nil:
			return api.Fail(api.CodeRefused, "ask the central team", "%s is held (%s): it would not take a bundle", who, hold.Reason).In("held", "who", who, "reason", hold.Reason)
		case t.release != "" && pin != t.release:
			return api.Fail(api.CodeRefused, "leave out --release, or ask the central team to pin it",
				"%s is pinned to %s, not to %s: it would not take the bundle", who, orNothing(pin), t.release).
				In("pinned_other", "who", who, "pin", orNothing(pin), "release", t.release)
		case pin == "":
			return api.Fail(api.CodeRefused, "ask the central team", "no release is pinned for %s", who).In("nothing_pinned", "who", who)
		}
		pins[pin] = true
		return nil
	}
	for _, name := range t.sites {
		as, err := m.Fleet.Assignment(name)
		if err != nil {
			return nil, api.Fail(api.CodeUsage, "is the name right? the central team adds a site with: dhowctl site add", "%v", err).
				In("who_unknown", "cause", err.Error())
		}
		if err := ask("site "+name, as.Pin, as.Hold); err != nil {
			return nil, err
		}
	}
	for _, name := range t.rings {
		ring, ok := m.Fleet.Rings[name]
		if !ok {
			return nil, api.Fail(api.CodeUsage, "is the name right?", "fleet %s has no ring %s", m.Fleet.Name, name).In("no_ring", "fleet", m.Fleet.Name, "ring", name)
		}
		if err := ask("ring "+name, ring.Pin, nil); err != nil {
			return nil, err
		}
		for site, entry := range m.Fleet.Sites {
			if as, err := m.Fleet.Assignment(site); err == nil && entry.Ring == name && as.Hold == nil && as.Pin != "" && t.release == "" {
				pins[as.Pin] = true
			}
		}
	}
	if len(pins) == 0 {
		pins[t.release] = true
	}
	var versions []string
	for v := range pins {
		versions = append(versions, v)
	}
	manifest.SortVersions(versions)
	t.result.Fleet, t.result.Manifest, t.result.Releases = m.Fleet.Name, m.Number, versions
	return versions, nil
}

func orNothing(pin string) string {
	if pin == "" {
		return "nothing"
	}
	return pin
}

// hint is what the bundle says of itself: one that is for several is for everybody.
func (t *town) hint(fleet string, made time.Time) bundle.Hint {
	h := bundle.Hint{Fleet: fleet, Made: made}
	switch {
	case len(t.sites) == 1 && len(t.rings) == 0:
		h.Site = t.sites[0]
	case len(t.rings) == 1 && len(t.sites) == 0:
		h.Ring = t.rings[0]
	}
	return h
}

// who says for whom it is.
func (t *town) who() string { return strings.Join(slices.Concat(t.sites, t.rings), ", ") }

// townError gives an error the hint that fits a laptop.
func townError(err error) error {
	var e *api.Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case errors.Is(err, context.Canceled):
		return api.Fail(api.CodeInternal, "the same command goes on where this ended", "interrupted").In("town_interrupted")
	case errors.Is(err, bundle.ErrUnreachable):
		return api.Fail(api.CodeUnreachable, "check the line; the same command goes on where this ended", "%v", err).In("town_unreachable", "cause", err.Error())
	case errors.Is(err, site.ErrLocked):
		return api.Fail(api.CodeBusy, "wait for it, or use another --cache", "another dhow fetch is at work").In("town_busy")
	case errors.Is(err, trust.ErrUnknownRelease):
		return api.Fail(api.CodeRefused, "is the version right? the central team publishes it with: dhowctl publish", "%v", err).In("town_release", "cause", err.Error())
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, trust.ErrDamaged) && !errors.Is(err, bundle.ErrDamaged):
		return api.Fail(api.CodeRefused, "no source has all of the release: ask the central team whether it is published", "%v", err).
			In("town_incomplete", "cause", err.Error())
	case errors.Is(err, manifest.ErrPlatform):
		return api.Fail(api.CodeRefused, "leave out --platform, or ask the central team for a release with images for it", "%v", err).
			In("town_platform", "cause", err.Error())
	}
	return trustError(err)
}

// defaultCache is the folder for a fleet, in the user's cache.
func defaultCache(fingerprint string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", api.Fail(api.CodeUsage, "name a folder: --cache DIR", "this user has no cache: %v", err).In("no_cache", "cause", err.Error())
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Dhow", fingerprint), nil
	}
	return filepath.Join(dir, "dhow", fingerprint), nil
}
