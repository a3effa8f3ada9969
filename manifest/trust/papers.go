package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Document returns one of the documents of the manifest that this site has, by its path in a published folder, so that a Client is itself a
// Source: of nothing but what it has verified. Documents of releases, of the ways to them and of the agent are there once they were fetched, parts of a
// large fleet when they concern this site; fails with fs.ErrNotExist for everything else.
func (c *Client) Document(_ context.Context, name string, limit int64) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, err := c.published()
	if err != nil {
		return nil, err
	}
	data, here := all[name]
	if !here {
		if data, err = c.keptDocument(name); err != nil {
			return nil, err
		}
	}
	if data == nil {
		return nil, fmt.Errorf("%.200q is not here: %w", name, fs.ErrNotExist)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are wanted", name, len(data), limit)
	}
	return data, nil
}

// Documents returns everything that Document has, by its path. Callers must not change the content.
func (c *Client) Documents() (map[string][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, err := c.published()
	if err != nil {
		return nil, err
	}
	all = maps.Clone(all)
	for _, info := range c.parsed.targets.Signed.Targets {
		name := targetPath(info)
		data, err := c.keptDocument(name)
		if err != nil {
			return nil, err
		}
		if data != nil {
			all[name] = data
		}
	}
	return all, nil
}

// published returns the documents of the present manifest that are kept in the state: metadata, and what says who runs what.
func (c *Client) published() (map[string][]byte, error) {
	if c.papers != nil {
		return c.papers, nil
	}
	p, err := c.done()
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, root := range c.chain() {
		n, err := RootVersion(root)
		if err != nil {
			return nil, err
		}
		all[versioned(n, metadata.ROOT)] = root
	}
	done := c.state.Done
	all[timestampPath] = done.Timestamp
	all[versioned(p.snapshot.Signed.Version, metadata.SNAPSHOT)] = done.Snapshot
	all[versioned(p.targets.Signed.Version, metadata.TARGETS)] = done.Targets
	for target, data := range map[string][]byte{manifest.FleetPath: done.Fleet, manifest.SitesPath: done.Sites} {
		all[targetPath(p.targets.Signed.Targets[target])] = data
	}
	for _, data := range done.Parts {
		all[manifest.PartPath(digest.FromBytes(data))] = data
	}
	c.papers = all
	return all, nil
}

// MissingParts lists the parts of a large fleet that are not here, because they do not concern this site.
func (c *Client) MissingParts() (missing []manifest.Blob, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.done(); err != nil {
		return nil, err
	}
	parts, err := manifest.FleetFiles{Sites: c.state.Done.Sites}.Parts()
	for _, b := range parts {
		if c.state.Done.part(b) == nil {
			missing = append(missing, b)
		}
	}
	return missing, err
}

// FetchPart returns a part of a large fleet, which hangs on the signed list by its digest.
func FetchPart(ctx context.Context, src Source, b manifest.Blob) ([]byte, error) {
	path := manifest.PartPath(b.Digest)
	data, err := fetch(ctx, src, path, b.Size, true)
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(data) != b.Digest {
		return nil, fmt.Errorf("%s is %w: it is not what the fleet signed", path, ErrDamaged)
	}
	return data, nil
}

// targetName takes a path of a published folder with consistent snapshots apart: targets/releases/<digest>.1.0.0.json names the target
// releases/1.0.0.json.
func targetName(at string) string {
	dir, base := path.Split(at)
	_, base, _ = strings.Cut(base, ".")
	return strings.TrimPrefix(dir, "targets/") + base
}

// keptDocument reads a document that the present manifest lists and that is kept in a file of its own; nil when there is none.
func (c *Client) keptDocument(at string) ([]byte, error) {
	p, err := c.done()
	if err != nil {
		return nil, err
	}
	target := targetName(at)
	info := p.targets.Signed.Targets[target]
	if info == nil || targetPath(info) != at {
		return nil, nil
	}
	dir, limit := releasesDir, int64(manifest.MaxRelease)
	version, ok := manifest.ReleaseOfPath(target)
	if !ok {
		dir, limit = waysDir, manifest.MaxWays
		if version, ok = manifest.WaysOfPath(target); !ok {
			dir, limit = agentDir, manifest.MaxAgent
			if version, ok = manifest.AgentOfPath(target); !ok {
				return nil, nil
			}
		}
	}
	data, err := c.readKept(dir, documentFile(version, info), limit)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.VerifyLengthHashes(data) != nil {
		return nil, nil
	}
	return data, err
}

// Here lists the releases whose documents are here, from old to new, also those that the manifest lists no more.
func (c *Client) Here() ([]*manifest.Release, error) {
	c.mu.Lock()
	names, err := c.keptFiles(releasesDir)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	here := map[string]*manifest.Release{}
	var versions []string
	for _, name := range names {
		version := fileVersion(name)
		if here[version] != nil {
			continue
		}
		if r, _, err := c.CachedRelease(version); err == nil { // one that is damaged is fetched again when it is needed
			here[version] = r
			versions = append(versions, version)
		}
	}
	manifest.SortVersions(versions)
	list := make([]*manifest.Release, len(versions))
	for i, v := range versions {
		list[i] = here[v]
	}
	return list, nil
}
