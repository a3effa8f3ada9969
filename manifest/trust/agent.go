package trust

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Agent returns the document of a version of the agent that the current manifest lists. It comes from the folder when it was fetched before (src
// may be nil then), else from src, and is kept until the manifest names another one. Fails with fs.ErrNotExist when the manifest names
// none of that version.
func (c *Client) Agent(ctx context.Context, src Source, version string) (*manifest.Agent, error) {
	p, info, data, err := c.listedAgent(version)
	if err != nil {
		return nil, err
	}
	if data != nil {
		return decodeAgent(data, version, p.fleet.Name)
	}
	if src == nil {
		return nil, fmt.Errorf("the document of agent %s: %w", version, ErrNothing)
	}
	c.work.Lock()
	defer c.work.Unlock()
	data, err = target(ctx, src, p.root.Signed.ConsistentSnapshot, info, manifest.MaxAgent)
	if err != nil {
		return nil, err
	}
	a, err := decodeAgent(data, version, p.fleet.Name)
	if err != nil {
		return nil, err
	}
	if err := c.keepDocument(agentDir, documentFile(version, info), data); err != nil {
		return nil, err
	}
	return a, c.dropUnlisted(agentDir, manifest.AgentOfPath)
}

// listedAgent returns what the present manifest says of a version of the agent, and its document when it is here.
func (c *Client) listedAgent(version string) (p *parsed, info *metadata.TargetFiles, data []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, err = c.done(); err != nil {
		return nil, nil, nil, err
	}
	// The version becomes part of a path: only one in its normal form may.
	normal, err := manifest.ParseVersion(version)
	info = p.targets.Signed.Targets[manifest.AgentPath(version)]
	if err != nil || normal != version || info == nil {
		return nil, nil, nil, fmt.Errorf("agent %.80q: manifest %d names none: %w", version, p.targets.Signed.Version, fs.ErrNotExist)
	}
	data, err = c.readKept(agentDir, documentFile(version, info), manifest.MaxAgent)
	if err != nil || info.VerifyLengthHashes(data) != nil {
		data = nil
	}
	return p, info, data, nil
}

// decodeAgent parses a verified document. One under another version's name, or of another fleet, is a mistake of the signer.
func decodeAgent(data []byte, version, fleet string) (*manifest.Agent, error) {
	a, err := manifest.ParseAgent(data)
	if err != nil {
		return nil, err
	}
	if a.Version != version {
		return nil, fmt.Errorf("the document of agent %s is %w: it describes %s", version, ErrDamaged, a.Version)
	}
	if a.Fleet != fleet {
		return nil, fmt.Errorf("the document of agent %s is for fleet %s: %w", version, a.Fleet, ErrOtherFleet)
	}
	return a, nil
}
