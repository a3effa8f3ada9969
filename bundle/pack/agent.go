package pack

import (
	"context"

	"dhow/bundle"
	"dhow/manifest"
)

// agentBlobs are the blobs of a version of the agent for the platform, or for all. A program that is there for no such platform has none.
func (c Contents) agentBlobs(a *manifest.Agent) []manifest.Blob {
	if c.Platform == "" {
		return a.Blobs()
	}
	p, err := a.For(c.Platform)
	if err != nil {
		return nil
	}
	return (&manifest.Agent{Platforms: []manifest.AgentProgram{p}}).Blobs()
}

// agent puts the tag agent-VERSION, an artifact with all blobs of a version of the agent: what no tag leads to is collected as garbage. Sites
// fetch the blobs by the digests that are signed, and ask for none of it.
func (u *upload) agent(ctx context.Context, a *manifest.Agent) error {
	var layers []descriptor
	for _, p := range a.Platforms {
		notes := map[string]string{bundle.TitleAnnotation: "dhow " + p.Platform}
		layers = append(layers, descriptor{MediaType: bundle.FileMediaType, Digest: p.Full.Digest, Size: p.Full.Size, Annotations: notes})
		for _, d := range p.Deltas {
			layers = append(layers, descriptor{
				MediaType: bundle.DeltaMediaType, Digest: d.Digest, Size: d.Size, Annotations: map[string]string{wayFromAs: d.From, wayDiffID: p.Digest.String()},
			})
		}
	}
	m, err := u.artifact(ctx, bundle.AgentArtifactType, layers, map[string]string{"org.opencontainers.image.version": a.Version})
	if err != nil {
		return err
	}
	return u.manifest(ctx, bundle.AgentTag(a.Version), m)
}
