package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of what is kept in memory while an image's own documents are looked for in its archive.
const (
	maxDocument  = 4 << 20
	maxDocuments = 32 << 20
)

// configOf returns the config digest of the image that ref (a tag or an ID) names. The error satisfies
// errdefs.IsNotFound when there is no such image.
func (e *Engine) configOf(ctx context.Context, ref string) (digest.Digest, error) {
	in, err := e.api().ImageInspect(ctx, ref)
	if err != nil {
		return "", failure("cannot inspect image "+ref, err)
	}
	id, err := digest.Parse(in.ID)
	if err != nil {
		return "", fmt.Errorf("image %s has an ID that is no digest: %q", ref, in.ID)
	}
	if in.Descriptor == nil {
		return id, nil
	}
	e.mu.Lock()
	d, ok := e.known[id]
	e.mu.Unlock()
	if ok {
		return d, nil
	}
	d, err = e.identify(ctx, in)
	if err != nil {
		return "", fmt.Errorf("cannot find out the config digest of image %s: %w", ref, err)
	}
	e.remember(id, d)
	return d, nil
}

func (e *Engine) remember(id, config digest.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[id] = config // an ID is a digest: what it stands for never changes
}

// identify reads the config digest of an image in a containerd store out of its archive: no call of the engine says
// it. The image is read once, and the answer is kept for as long as the process lives.
func (e *Engine) identify(ctx context.Context, in image.InspectResponse) (digest.Digest, error) {
	r, err := e.api().ImageSave(ctx, []string{in.ID})
	if err != nil {
		return "", failure("cannot save it", err)
	}
	defer r.Close()
	return configInArchive(r, digest.Digest(in.ID), in.RootFS.Layers)
}

// configInArchive finds the config below the descriptor top (a manifest or an index) in an OCI archive. Of several
// images below an index the one with these diff IDs is meant. Every document is checked against its digest.
func configInArchive(r io.Reader, top digest.Digest, diffIDs []string) (digest.Digest, error) {
	docs, err := documents(r)
	if err != nil {
		return "", err
	}
	var find func(d digest.Digest, depth int) (digest.Digest, bool)
	find = func(d digest.Digest, depth int) (digest.Digest, bool) {
		var m struct {
			Config    ocispec.Descriptor   `json:"config"`
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if depth > 3 || json.Unmarshal(docs[d], &m) != nil {
			return "", false
		}
		for _, sub := range m.Manifests {
			if c, ok := find(sub.Digest, depth+1); ok {
				return c, true
			}
		}
		ids, err := configDiffIDs(docs[m.Config.Digest])
		return m.Config.Digest, err == nil && equal(ids, diffIDs)
	}
	if c, ok := find(top, 0); ok {
		return c, nil
	}
	return "", errors.New("its archive does not hold its documents")
}

// documents returns the small JSON blobs of an OCI archive by digest.
func documents(r io.Reader) (map[digest.Digest][]byte, error) {
	docs, total := map[digest.Digest][]byte{}, 0
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		hex, ok := strings.CutPrefix(h.Name, "blobs/sha256/")
		if !ok || h.Size > maxDocument || h.Size < 2 {
			continue
		}
		head := make([]byte, 1)
		if _, err := io.ReadFull(tr, head); err != nil {
			return nil, err
		}
		if head[0] != '{' {
			continue
		}
		rest, err := io.ReadAll(tr)
		if err != nil {
			return nil, err
		}
		data := append(head, rest...)
		if total += len(data); total > maxDocuments {
			return nil, errors.New("too many documents")
		}
		if d := digest.FromBytes(data); d.Encoded() == hex {
			docs[d] = data
		}
	}
}

// configDiffIDs reads the diff IDs of an image config.
func configDiffIDs(config []byte) ([]string, error) {
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("image config is not valid: %w", err)
	}
	return c.RootFS.DiffIDs, nil
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
