package pack

import (
	"fmt"
	"io"
	"strings"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
)

// dockerImage is an entry of docker-archive's manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerManifest returns the list that makes plain "docker load" work, or nil and a warning where it can't: engines before 23 load no zstd
// layers, and one tag can't name the images of two platforms.
func (p *plan) dockerManifest(store *bundle.Store) ([]byte, error) {
	if len(p.images) == 0 {
		return nil, nil
	}
	platforms := map[string]bool{}
	list := []*dockerImage{}
	byConfig := map[digest.Digest]*dockerImage{}
	for _, i := range p.images {
		platforms[i.Platform] = true
		for _, l := range i.Layers {
			kind, err := compression(store, l.Blob)
			if err != nil {
				return nil, err
			}
			if kind == bundle.Zstd {
				p.warn("plain docker load can't be used on this bundle: layers of %s are compressed with zstd", i.refs[0])
				return nil, nil
			}
		}
		d := byConfig[i.Config.Digest]
		if d == nil {
			d = &dockerImage{Config: bundle.BlobPath(i.Config.Digest), RepoTags: []string{}, Layers: []string{}}
			for _, l := range i.Layers {
				d.Layers = append(d.Layers, bundle.BlobPath(l.Digest))
			}
			byConfig[i.Config.Digest] = d
			list = append(list, d)
		}
		for _, ref := range i.refs {
			if tag := repoTag(ref); tag != "" {
				d.RepoTags = appendNew(d.RepoTags, tag)
			}
		}
	}
	if len(platforms) > 1 {
		p.warn("plain docker load can't be used on this bundle: it holds images for several platforms; make one for a single platform")
		return nil, nil
	}
	lastWins(list)
	return encode(list)
}

func (p *plan) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// lastWins leaves a tag that several releases use to the last of them, as loading them one after the other would.
func lastWins(list []*dockerImage) {
	seen := map[string]bool{}
	for n := len(list) - 1; n >= 0; n-- {
		kept := []string{}
		for _, tag := range list[n].RepoTags {
			if !seen[tag] {
				kept = append(kept, tag)
			}
			seen[tag] = true
		}
		list[n].RepoTags = kept
	}
}

// repoTag is the tag that docker load gives an image, or "" when the reference can't be one.
func repoTag(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if _, err := name.NewTag(ref, name.WeakValidation); err != nil || strings.HasPrefix(ref, "sha256:") {
		return ""
	}
	if strings.LastIndex(ref, ":") <= strings.LastIndex(ref, "/") {
		ref += ":latest"
	}
	return ref
}

// compression reads how a blob begins.
func compression(store *bundle.Store, b manifest.Blob) (bundle.Compression, error) {
	r, err := store.Open(b)
	if err != nil {
		return bundle.Plain, err
	}
	defer r.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return bundle.Plain, err
	}
	return bundle.Detect(head[:n]), nil
}
