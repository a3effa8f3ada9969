package deltas

import (
	"context"
	"fmt"
	"io"

	"dhow/bundle"
	"dhow/manifest"
)

// Program is a program of the agent for one platform, as a file.
type Program struct {
	Platform string
	Open     func() (io.ReadCloser, error)
}

// MakeAgent returns the document of a version of the agent with the programs given: each whole as one zstd stream, and the deltas to it from
// the versions of older. All that it names is then in the store.
func MakeAgent(
	ctx context.Context, store *bundle.Store, fleet, version string, programs []Program, older []*manifest.Agent, progress func(Step),
) (a *manifest.Agent, warnings []string, err error) {
	release := &manifest.Release{Fleet: fleet, Version: version}
	files := map[string]manifest.Blob{} // by platform
	for _, p := range programs {
		r, err := p.Open()
		if err != nil {
			return nil, nil, err
		}
		b, err := store.Import(ctx, r, manifest.MaxProgram)
		_ = r.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("cannot keep the program for %s: %w", p.Platform, err)
		}
		b.MediaType = ""
		files[p.Platform] = b
		release.Images = append(release.Images, asImage(manifest.AgentProgram{Platform: p.Platform, Digest: b.Digest, Size: b.Size, Full: b}))
	}
	var from []*manifest.Release
	for _, o := range older {
		r := &manifest.Release{Fleet: fleet, Version: o.Version}
		for _, p := range o.Platforms {
			r.Images = append(r.Images, asImage(p))
		}
		from = append(from, r)
	}
	ways, warnings, err := Make(ctx, store, release, from, nil, progress)
	if err != nil {
		return nil, warnings, err
	}
	a = &manifest.Agent{Format: manifest.AgentFormat, Fleet: fleet, Version: version}
	for _, p := range programs {
		b := files[p.Platform]
		of := ways.Of(b.Digest)
		program := manifest.AgentProgram{Platform: p.Platform, Digest: b.Digest, Size: b.Size, Full: b, Deltas: of.Deltas}
		if of.Full != nil {
			program.Full = *of.Full
			if err := store.Remove(b.Digest); err != nil { // the stream holds it, in a third of the room
				return nil, warnings, err
			}
		}
		a.Platforms = append(a.Platforms, program)
	}
	return a, warnings, a.Validate()
}

// asImage is a program as an image with one layer, known by the digest of the program.
func asImage(p manifest.AgentProgram) manifest.Image {
	return manifest.Image{
		Ref: "dhow", Services: []string{"dhow for " + p.Platform},
		Platforms: []manifest.PlatformImage{{
			Platform: p.Platform, Config: manifest.Blob{Digest: p.Digest, Size: p.Size}, Layers: []manifest.Layer{p.Layer()},
		}},
	}
}
