package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Release returns the document of a release that the current manifest lists, and its digest. It comes from the folder when it was
// fetched before (src may be nil then), else from src, and is kept. Fails with ErrUnknownRelease when the manifest does
// not list it.
func (c *Client) Release(ctx context.Context, src Source, version string) (*manifest.Release, digest.Digest, error) {
	p, info, data, err := c.listed(version)
	if err != nil {
		return nil, "", err
	}
	if data != nil {
		return decodeRelease(data, version, p.fleet.Name)
	}
	if src == nil {
		return nil, "", fmt.Errorf("the document of release %s: %w", version, ErrNothing)
	}
	c.work.Lock()
	defer c.work.Unlock()
	data, err = target(ctx, src, p.root.Signed.ConsistentSnapshot, info, manifest.MaxRelease)
	if err != nil {
		return nil, "", err
	}
	r, d, err := decodeRelease(data, version, p.fleet.Name)
	if err != nil {
		return nil, "", err
	}
	if err := c.keepDocument(releasesDir, documentFile(version, info), data); err != nil {
		return nil, "", err
	}
	return r, d, nil
}

// listed returns what the present manifest says of a release, and its document when it is here.
func (c *Client) listed(version string) (p *parsed, info *metadata.TargetFiles, data []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, err = c.done(); err != nil {
		return nil, nil, nil, err
	}
	// The version becomes part of a path: only one in its normal form may.
	normal, err := manifest.ParseVersion(version)
	info = p.targets.Signed.Targets[manifest.ReleasePath(version)]
	if err != nil || normal != version || info == nil {
		return nil, nil, nil, fmt.Errorf("%.80q: %w (manifest %d)", version, ErrUnknownRelease, p.targets.Signed.Version)
	}
	data, err = c.readKept(releasesDir, documentFile(version, info), manifest.MaxRelease)
	if err != nil || info.VerifyLengthHashes(data) != nil {
		data = nil
	}
	return p, info, data, nil
}

// CachedRelease returns a release document that Release returned before, even when the manifest no longer lists it. Fails with
// ErrNothing when there is none.
func (c *Client) CachedRelease(version string) (*manifest.Release, digest.Digest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, err := manifest.ParseVersion(version); err != nil || v != version {
		return nil, "", fmt.Errorf("the document of release %.80q: %w", version, ErrNothing)
	}
	names, err := c.releaseFiles(version)
	if err != nil {
		return nil, "", err
	}
	if p, err := c.done(); err == nil {
		if info := p.targets.Signed.Targets[manifest.ReleasePath(version)]; info != nil {
			names = append([]string{documentFile(version, info)}, names...)
		}
	}
	for _, name := range names {
		data, err := c.readKept(releasesDir, name, manifest.MaxRelease)
		if err != nil || name != version+"."+sum(data)+".json" {
			continue
		}
		return decodeRelease(data, version, "")
	}
	return nil, "", fmt.Errorf("the document of release %s: %w", version, ErrNothing)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// decodeRelease parses a verified document. A document under another's name, or of another fleet, is a mistake of the signer.
func decodeRelease(data []byte, version, fleet string) (*manifest.Release, digest.Digest, error) {
	r, err := manifest.ParseRelease(data)
	if err != nil {
		return nil, "", err
	}
	if r.Version != version {
		return nil, "", fmt.Errorf("the document of release %s is %w: it describes %s", version, ErrDamaged, r.Version)
	}
	if fleet != "" && r.Fleet != fleet {
		return nil, "", fmt.Errorf("the document of release %s is for fleet %s: %w", version, r.Fleet, ErrOtherFleet)
	}
	return r, digest.NewDigestFromEncoded(digest.SHA256, sum(data)), nil
}

// releaseFiles lists the documents of a version that are here.
func (c *Client) releaseFiles(version string) ([]string, error) {
	all, err := c.keptFiles(releasesDir)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(name string) bool { return fileVersion(name) != version }), nil
}

// fileVersion returns the version in VERSION.SHA256.json, "" for another name.
func fileVersion(name string) string {
	rest, ok := strings.CutSuffix(name, ".json")
	at := len(rest) - 65
	if !ok || at < 1 || rest[at] != '.' {
		return ""
	}
	return rest[:at]
}
