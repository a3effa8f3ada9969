//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/sign"
)

const passphrase = "a passphrase for the benchmark"

var (
	versions = []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"}
	agents   = []string{"1.0.0", "1.1.0"} // that of the fleet, and of the pilot
)

// fleet is a fleet repository with many sites, and the folder where it is published.
type fleet struct {
	dir, web string
	repo     *sign.Repository
	store    *bundle.Store
	signed   *sign.Documents
	rings    map[string]string
	sites    []string
	pins     map[string]string // of single sites
}

// newFleet makes one as a central team would have it: three rings, and of every hundred sites two that are an exception.
func newFleet(dir, web string, sites int) (*fleet, error) {
	f := &fleet{dir: dir, web: web, rings: map[string]string{"pilot": "1.3.0", "wave1": "1.2.0", "wave2": "1.1.0"}, pins: map[string]string{}}
	if _, err := sign.Init(dir, "drc-emr", []byte(passphrase)); err != nil {
		return nil, err
	}
	f.sites = names(sites)
	for i, name := range f.sites {
		if i%100 == 0 {
			f.pins[name] = versions[i/100%3]
		}
	}
	if err := f.write(); err != nil {
		return nil, err
	}
	for i, v := range versions {
		if err := f.repo.AddRelease(release(v)); err != nil {
			return nil, err
		}
		if err := f.repo.SaveWays(ways(v, versions[max(0, i-2):i])); err != nil {
			return nil, err
		}
	}
	for _, v := range agents {
		if err := f.repo.SaveAgent(program(v)); err != nil {
			return nil, err
		}
	}
	if err := f.write(); err != nil {
		return nil, err
	}
	var err error
	f.store, err = bundle.OpenStore(filepath.Join(dir, "store"))
	return f, err
}

// program is a version of dhow itself, for what scripts/release makes, with deltas from two versions.
func program(version string) *manifest.Agent {
	a := &manifest.Agent{Format: manifest.AgentFormat, Fleet: "drc-emr", Version: version}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"} {
		d := func(what string) digest.Digest { return digest.FromString(version + platform + what) }
		p := manifest.AgentProgram{Platform: platform, Digest: d(""), Size: 40_652_962, Full: manifest.Blob{Digest: d("zstd"), Size: 12_889_327}}
		for _, from := range []string{"0.8.0", "0.9.0"} {
			p.Deltas = append(p.Deltas, manifest.Delta{Blob: manifest.Blob{Digest: d("from " + from), Size: 3_978_221}, Base: d(from), From: from})
		}
		a.Platforms = append(a.Platforms, p)
	}
	return a
}

// names looks like names of health centres: a kind, and syllables of places.
func names(n int) []string {
	kinds := []string{"cs", "hgr", "pds", "cmc", "csr"}
	syllables := strings.Fields("ka ki ko ku la li lo lu ma mi mo mu na ni no nu sa si so ta ti to tu ba bi bo bu nda mba nga ngo lu ya yo wa wi zi ndo")
	var all []string
	seen := map[string]bool{}
	for state := uint64(1); len(all) < n; {
		next := func(bound int) int {
			state = state*6364136223846793005 + 1442695040888963407
			return int(state >> 33 % uint64(bound))
		}
		name := kinds[next(len(kinds))] + "-"
		for range 2 + next(3) {
			name += syllables[next(len(syllables))]
		}
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	return all
}

func (f *fleet) ring(i int) string {
	switch {
	case i%20 == 0:
		return "pilot"
	case i%3 == 0:
		return "wave1"
	}
	return "wave2"
}

// write makes fleet.yaml anew.
func (f *fleet) write() error {
	var b strings.Builder
	b.WriteString("format: 1\nname: drc-emr\nagent: " + agents[0] + "\npolicy:\n  fetch: \"0 * * * *\"\n  window: \"21:00-05:00\"\n  timeZone: Africa/Kinshasa\n" +
		"  contact: +243 000 000 000\n  keep: 3\nrings:\n")
	for _, ring := range []string{"pilot", "wave1", "wave2"} {
		own := ""
		if ring == "pilot" {
			own = ", agent: " + agents[1]
		}
		fmt.Fprintf(&b, "  %s: {pin: %s%s, settings: {OMRS_LOCALE: fr}}\n", ring, f.rings[ring], own)
	}
	b.WriteString("sites:\n")
	for i, name := range f.sites {
		fmt.Fprintf(&b, "  %s:\n    ring: %s\n", name, f.ring(i))
		if pin := f.pins[name]; pin != "" {
			fmt.Fprintf(&b, "    pin: %s\n", pin)
		}
		switch {
		case i%200 == 50:
			fmt.Fprintf(&b, "    hold: {reason: the server room is painted, since: 2026-10-%02dT08:00:00Z}\n", 1+i/200%28)
		case i%200 == 150:
			fmt.Fprintf(&b, "    settings: {FACILITY_CODE: \"%d\"}\n", 10000+i)
		}
	}
	err := durable.WriteFile(filepath.Join(f.dir, "fleet.yaml"), []byte(b.String()), 0o644)
	if err == nil {
		f.repo, err = sign.Open(f.dir)
	}
	return err
}

// publish signs and publishes; more are further places.
func (f *fleet) publish(ctx context.Context, more ...string) (time.Duration, error) {
	if err := f.write(); err != nil {
		return 0, err
	}
	start := time.Now()
	var err error
	if f.signed, err = f.repo.Sign([]byte(passphrase), start); err != nil {
		return 0, err
	}
	c := pack.Contents{Documents: f.signed.Files, Store: f.store}
	if err := pack.PublishDir(ctx, f.web, c); err != nil {
		return 0, err
	}
	took := time.Since(start)
	for _, spec := range more {
		if err := pack.PublishOCI(ctx, spec, c, nil); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// inOne writes the whole fleet as one document, for comparison.
func (f *fleet) inOne() (int, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return 0, err
	}
	defer e.Close()
	packed := e.EncodeAll(mustJSON(f.signed.Fleet), nil)
	return len(packed), os.WriteFile(filepath.Join(f.web, "whole.json.zst"), packed, 0o644)
}

// ways lead to a release from those before it.
func ways(version string, from []string) *manifest.Ways {
	l := manifest.LayerWays{DiffID: digest.FromString(version), Full: &manifest.Blob{Digest: digest.FromString(version + " whole"), Size: 5}}
	for _, v := range from {
		l.Deltas = append(l.Deltas, manifest.Delta{
			Blob: manifest.Blob{Digest: digest.FromString(v + version), Size: 5}, Base: release(v).Images[0].Platforms[0].Config.Digest, From: v,
		})
	}
	return &manifest.Ways{Format: manifest.WaysFormat, Fleet: "drc-emr", Version: version, Layers: []manifest.LayerWays{l}}
}

func release(version string) *manifest.Release {
	blob := func(what string) manifest.Blob {
		return manifest.Blob{Digest: digest.FromString(version + what), Size: int64(len(what))}
	}
	return &manifest.Release{
		Format: manifest.ReleaseFormat, Fleet: "drc-emr", Version: version, Project: "emr", Created: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Compose: []string{"compose.yaml"}, Files: []manifest.File{{Path: "compose.yaml", Mode: 0o644, Blob: blob("compose")}},
		Images: []manifest.Image{{
			Ref: "registry.example.org/app:" + version, Services: []string{"app"},
			Platforms: []manifest.PlatformImage{{
				Platform: "linux/amd64", Manifest: blob("manifest"), Config: blob("config"),
				Layers: []manifest.Layer{{Blob: blob("layer"), DiffID: digest.FromString(version), DiffSize: 10240}},
			}},
		}},
		Rollback: manifest.Rollback{Data: "restore"},
	}
}
