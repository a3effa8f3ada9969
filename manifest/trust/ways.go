package trust

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Ways returns the document that names the ways to the layers of a release. It comes from the folder when it was fetched before (src may
// be nil then), else from src, and is kept until the manifest names another one. Fails with fs.ErrNotExist when the manifest names none
// for that release: then its layers are had as its images carry them.
func (c *Client) Ways(ctx context.Context, src Source, version string) (*manifest.Ways, error) {
	p, info, data, err := c.listedWays(version)
	if err != nil {
		return nil, err
	}
	if data != nil {
		return decodeWays(data, version, p.fleet.Name)
	}
	if src == nil {
		return nil, fmt.Errorf("the ways to release %s: %w", version, ErrNothing)
	}
	c.work.Lock()
	defer c.work.Unlock()
	data, err = target(ctx, src, p.root.Signed.ConsistentSnapshot, info, manifest.MaxWays)
	if err != nil {
		return nil, err
	}
	w, err := decodeWays(data, version, p.fleet.Name)
	if err != nil {
		return nil, err
	}
	if err := c.keepDocument(waysDir, documentFile(version, info), data); err != nil {
		return nil, err
	}
	return w, c.dropUnlisted(waysDir, manifest.WaysOfPath)
}

// listedWays returns what the present manifest says of the ways to a release, and their document when it is here.
// Only the list of targets itself counts, and a manifest that delegates to other lists never came this far.
func (c *Client) listedWays(version string) (p *parsed, info *metadata.TargetFiles, data []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, err = c.done(); err != nil {
		return nil, nil, nil, err
	}
	// The version becomes part of a path: only one in its normal form may.
	normal, err := manifest.ParseVersion(version)
	info = p.targets.Signed.Targets[manifest.WaysPath(version)]
	if err != nil || normal != version || info == nil {
		return nil, nil, nil, fmt.Errorf("the ways to release %.80q: manifest %d names none: %w", version, p.targets.Signed.Version, fs.ErrNotExist)
	}
	data, err = c.readKept(waysDir, documentFile(version, info), manifest.MaxWays)
	if err != nil || info.VerifyLengthHashes(data) != nil {
		data = nil
	}
	return p, info, data, nil
}

// dropUnlisted removes the documents of a folder that the present manifest does not name: ways and agents change, and only the newest are good
// for anything. The caller holds work, and not mu.
func (c *Client) dropUnlisted(dir string, ofPath func(string) (version string, ok bool)) error {
	c.mu.Lock()
	p, err := c.done()
	var files []string
	if err == nil {
		files, err = c.keptFiles(dir)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for path, info := range p.targets.Signed.Targets {
		if version, ok := ofPath(path); ok {
			named[documentFile(version, info)] = true
		}
	}
	for _, name := range files {
		if !named[name] {
			if err := c.dropDocument(dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeWays parses a verified document. One under another release's name, or of another fleet, is a mistake of the signer.
func decodeWays(data []byte, version, fleet string) (*manifest.Ways, error) {
	w, err := manifest.ParseWays(data)
	if err != nil {
		return nil, err
	}
	if w.Version != version {
		return nil, fmt.Errorf("the ways to release %s are %w: they lead to %s", version, ErrDamaged, w.Version)
	}
	if w.Fleet != fleet {
		return nil, fmt.Errorf("the ways to release %s are for fleet %s: %w", version, w.Fleet, ErrOtherFleet)
	}
	return w, nil
}
