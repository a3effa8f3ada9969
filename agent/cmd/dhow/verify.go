package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// verified is what verify found out, and prints with --json.
type verified struct {
	Bundle   string    `json:"bundle"`
	Fleet    string    `json:"fleet"`
	Manifest int64     `json:"manifest"`
	Expires  time.Time `json:"expires"`
	Releases []string  `json:"releases"`          // those whose bytes are all here
	Release  string    `json:"release,omitempty"` // the one for this site
	Platform string    `json:"platform,omitempty"`
	Images   int       `json:"images,omitempty"`
	Files    int       `json:"files,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
	Since    string    `json:"since,omitempty"` // the release whose bytes the bundle leaves out, and that is here
	Parts    *parts    `json:"parts,omitempty"` // of a bundle in parts
	Warnings []string  `json:"warnings,omitempty"`
}

// parts are the files of a bundle in parts.
type parts struct {
	Count  int      `json:"count"`
	Parity int      `json:"parity"`
	Wrong  []string `json:"wrong"` // missing or damaged; parity makes up for them
}

func (s *shell) verifyCommand() *cobra.Command {
	var asJSON, explain bool
	cmd := &cobra.Command{
		Use: "verify BUNDLE",
		Long: "Checks the signatures against this site's root of trust, and every byte of the release that is pinned for it.\n" +
			"Uses no network and changes nothing. Needs as much free space as the release has bytes.\n" +
			"With --explain, prints the whole chain: from the root given at install over every signed document to the images, those that\n" +
			"the containers of this site really run when no BUNDLE is given. Every step is verified again.",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := strings.Join(args, "")
			switch {
			case path == "" && !explain:
				return exactly(1)(cmd, args)
			case strings.Contains(path, "://"):
				return api.Fail(api.CodeUsage, "give the path of a bundle or folder", "verify uses no network").In("verify_network")
			case explain:
				return s.runExplain(cmd.Context(), path, asJSON)
			}
			v, err := s.verify(cmd.Context(), path)
			if err != nil {
				return trustError(err)
			}
			if asJSON {
				return s.json(v)
			}
			s.tellVerified(v)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	cmd.Flags().BoolVar(&explain, "explain", false, "help.flag.verify.explain")
	return cmd
}

func (s *shell) verify(ctx context.Context, path string) (*verified, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	client, err := trust.Open(s.paths().Trust(), trust.Options{Now: fault.Now, Floor: buildTime()})
	if err != nil {
		return nil, err
	}
	client = client.Scratch() // nothing that this bundle says is kept
	src, err := fetch.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	v, err := s.verifySource(ctx, client, config, path, src)
	if err := fetch.VerifyParts(ctx, src, err); err != nil {
		return nil, err
	}
	if p := fetch.InParts(src); p != nil {
		v.Parts = &parts{Count: len(p.Sums().Parts), Parity: len(p.Sums().Parity), Wrong: p.Wrong()}
		v.Warnings = append(v.Warnings, p.Problems()...)
	}
	return v, nil
}

func (s *shell) verifySource(ctx context.Context, client *trust.Client, config *site.Config, path string, src bundle.Source) (*verified, error) {
	m, err := client.Refresh(ctx, src, true)
	unsigned := errors.Is(err, bundle.ErrNoMetadata)
	if unsigned {
		m, err = client.Current()
	}
	if err != nil {
		return nil, err
	}
	v := &verified{Bundle: path, Fleet: m.Fleet.Name, Manifest: m.Number, Expires: m.Expires, Releases: []string{}, Warnings: m.Warnings}
	v.Platform = platform(ctx, config)
	src, have := watch(src)
	if unsigned {
		v.Warnings = append(v.Warnings, "it holds no signed manifest; it was compared with what this site knows already")
	}
	as, err := m.Fleet.Assignment(config.Site)
	if err != nil {
		return nil, api.Fail(api.CodeNotTrusted, "the central team adds it with: dhowctl site add", "%v", err).In("site_unknown", "cause", err.Error())
	}
	hint, err := bundle.ReadHint(ctx, src)
	if err == nil {
		if who := hint.Others(as.Site, as.Ring); who != "" {
			return nil, api.Fail(api.CodeNotTrusted, "use the bundle of this site, or ask the central team for one",
				"%s was made for %s, not for %s", path, who, config.Site).
				In("made_for_others", "bundle", path, "others", who, "site", config.Site)
		}
	}
	if as.Pin == "" {
		v.Warnings = append(v.Warnings, "no release is pinned for this site")
		v.Releases, err = have.releases(ctx, client, m.Releases, v.Platform)
		return v, err
	}
	release, _, err := client.Release(ctx, src, as.Pin)
	if err != nil {
		return nil, err
	}
	v.Release = as.Pin
	if v.Since = hint.Since; v.Since != "" {
		v.Releases = []string{v.Release}
		return v, s.verifySince(ctx, client, src, release, v)
	}
	if err := s.verifyBytes(ctx, src, release, v); err != nil {
		return nil, err
	}
	if unsigned {
		v.Releases = []string{v.Release} // docker save names nothing; this one was compared byte by byte
		return v, nil
	}
	v.Releases, err = have.releases(ctx, client, m.Releases, v.Platform)
	return v, err
}

// verifyBytes brings the release into a store of its own, where every byte is checked, and unpacks every layer.
func (s *shell) verifyBytes(ctx context.Context, src bundle.Source, release *manifest.Release, v *verified) error {
	wants, err := fetch.Wants(nil, release, v.Platform)
	if err != nil {
		return api.Fail(api.CodeRefused, "ask the central team for a release for this computer", "%v", err).In("not_for_computer", "cause", err.Error())
	}
	v.Bytes = fetch.Size(wants)
	free, err := site.Free(s.paths().State())
	if err != nil {
		return err
	}
	if free < v.Bytes {
		return api.Fail(api.CodeRefused, "make room on this disk", "checking needs %s, and %s are free", size(v.Bytes), size(free)).
			In("verify_room", "needed", s.words.Size(v.Bytes), "free", s.words.Size(free))
	}
	dir, err := os.MkdirTemp(s.paths().State(), durable.TempPrefix+"verify-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := bundle.OpenStore(dir)
	if err != nil {
		return err
	}
	if _, err := fetch.Blobs(ctx, store, []bundle.Source{src}, wants, fetch.Options{}); err != nil {
		return err
	}
	images, err := release.PlatformImages(v.Platform)
	if err != nil {
		return err
	}
	for _, p := range images {
		if err := store.VerifyImage(ctx, p); err != nil {
			return err
		}
	}
	v.Images, v.Files = len(images), len(release.Files)
	return nil
}

// platform is the engine's, or this computer's while no engine answers.
func platform(ctx context.Context, config *site.Config) string {
	if docker, err := connect(config); err == nil {
		if info, err := docker.Info(ctx); err == nil {
			return info.Platform
		}
	}
	arch := runtime.GOARCH
	if arch == "arm" {
		arch = "arm/v7"
	}
	return "linux/" + arch
}

func (s *shell) tellVerified(v *verified) {
	s.sayln("cli.verify.good", "bundle", v.Bundle)
	s.column(s.say("cli.label.fleet"), s.say("cli.verify.fleet", "fleet", v.Fleet, "manifest", v.Manifest, "day", v.Expires.Format(time.DateOnly)))
	if len(v.Releases) > 0 {
		s.column(s.say("cli.label.releases"), s.words.List(v.Releases))
	} else {
		s.column(s.say("cli.label.releases"), s.say("cli.verify.none", "platform", v.Platform))
	}
	if v.Since != "" {
		s.column(s.say("cli.label.site"), s.say("cli.verify.since", "release", v.Release, "platform", v.Platform, "size", s.words.Size(v.Bytes), "since", v.Since))
	} else if v.Release != "" {
		s.column(s.say("cli.label.site"), s.say("cli.verify.whole", "release", v.Release, "platform", v.Platform,
			"images", s.words.Count("cli.images", v.Images), "files", s.words.Count("cli.files", v.Files), "size", s.words.Size(v.Bytes)))
	}
	if v.Parts != nil {
		s.column(s.say("cli.label.parts"), s.say("cli.verify.parts", "parts", s.words.Count("cli.parts", v.Parts.Count), "parity", v.Parts.Parity))
	}
	for _, w := range v.Warnings {
		s.column(s.say("cli.label.warning"), w)
	}
}

// trustError gives what is wrong with a source or a root its code and a hint.
func trustError(err error) error {
	var e *api.Error
	code, hint, kind := api.CodeNotTrusted, "", ""
	switch {
	case errors.As(err, &e), errors.Is(err, context.Canceled), errors.Is(err, fs.ErrPermission):
		return err
	case errors.Is(err, trust.ErrOtherFleet):
		kind, hint = "other_fleet", "it belongs to somebody else; do not use it here"
	case errors.Is(err, trust.ErrStale):
		kind, hint = "stale", "use a newer one: this was made before what the site has already seen"
	case errors.Is(err, trust.ErrExpired):
		kind, hint = "expired", "ask the central team to publish again"
	case errors.Is(err, trust.ErrForged), errors.Is(err, bundle.ErrTooLarge), errors.Is(err, bundle.ErrUnsafePath):
		kind, hint = "forged", "do not use it; tell the central team"
	case errors.Is(err, trust.ErrDamaged), errors.Is(err, bundle.ErrDamaged):
		kind, hint = "damaged", "copy it to the stick again, or use another stick"
	case errors.Is(err, manifest.ErrNewer):
		kind, code, hint = "newer", api.CodeRefused, "install the newest dhow on this computer"
	case errors.Is(err, fetch.ErrSeveral):
		kind, code, hint = "several", api.CodeUsage, "name the file, not the folder"
	case errors.Is(err, trust.ErrNoRoot):
		kind, code, hint = "no_root", api.CodeUsage, "install it first: dhow install --help"
	case errors.Is(err, trust.ErrNothing), errors.Is(err, bundle.ErrNoMetadata):
		kind, hint = "no_bundle", "use a bundle made by dhowctl"
	case errors.Is(err, trust.ErrUnknownRelease):
		kind, hint = "release_missing", "tell the central team: the pinned release is missing"
	case errors.Is(err, bundle.ErrUnreachable):
		kind, code, hint = "no_path", api.CodeUnreachable, "check the path, and whether the stick is plugged in"
	case errors.Is(err, fs.ErrNotExist):
		kind, code, hint = "incomplete", api.CodeNotTrusted, "it lacks something that the release needs: use a full bundle"
	default:
		return fmt.Errorf("cannot verify: %w", err)
	}
	return api.Fail(code, hint, "%v", err).In(kind, "cause", err.Error())
}
