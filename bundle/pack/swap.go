package pack

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"dhow/bundle"

	"github.com/opencontainers/go-digest"
)

// heads are what a publication ends with: the artifact that sites ask for, and lists. Documents that have their digest in their path, and
// blobs, are found without a list; it only keeps them from being collected as garbage.
type heads struct {
	manifest raw
	lists    []list
}

// list is an artifact that is there for its layers.
type list struct {
	tag string
	raw
}

// swap makes next the tag "manifest" in place of before, which it sets to next. What the tag and the lists were before stays under tags of
// its own: a site may have just begun to read it, and registries collect what no tag names. The tag "manifest-before" is put after those of the
// lists: when it is what sites read, an earlier swap ended in the middle, the lists may be its, and nothing is left out of those before.
func (t *tags) swap(ctx context.Context, before *digest.Digest, next heads) error {
	old, now, err := t.get(ctx, bundle.ManifestTag)
	if err != nil {
		return err
	}
	mine := digest.FromBytes(next.manifest.data)
	if now == mine {
		*before = mine
		return t.add(ctx, next.lists)
	}
	if now != *before {
		return ErrOvertaken
	}
	_, kept, err := t.get(ctx, bundle.ManifestTag+bundle.BeforeSuffix)
	if err != nil {
		return err
	}
	for _, l := range next.lists {
		if err := t.keep(ctx, l.tag, kept == now); err != nil {
			return err
		}
	}
	if old != nil && kept != now {
		if err := t.put(ctx, bundle.ManifestTag+bundle.BeforeSuffix, raw{old, bundle.OCIManifestMediaType}); err != nil {
			return err
		}
	}
	for _, l := range next.lists {
		if err := t.put(ctx, l.tag, l.raw); err != nil {
			return err
		}
	}
	if err := t.put(ctx, bundle.ManifestTag, next.manifest); err != nil {
		return err
	}
	switch _, now, err = t.get(ctx, bundle.ManifestTag); {
	case err != nil:
		return err
	case now == "":
		return errors.New("the registry does not keep what it is sent")
	case now != mine:
		return ErrOvertaken
	}
	*before = mine
	return nil
}

// add puts lists of the manifest that is there: they may only become longer.
func (t *tags) add(ctx context.Context, lists []list) error {
	for _, l := range lists {
		there, d, err := t.get(ctx, l.tag)
		if err != nil {
			return err
		}
		both, err := union(l.data, there)
		if err == nil && digest.FromBytes(both.data) != d {
			err = t.put(ctx, l.tag, both)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keep puts what a list is beside it; more adds it to what stands there.
func (t *tags) keep(ctx context.Context, tag string, more bool) error {
	data, _, err := t.get(ctx, tag)
	if err != nil || data == nil {
		return err
	}
	m := raw{data, bundle.OCIManifestMediaType}
	if more {
		there, _, err := t.get(ctx, tag+bundle.BeforeSuffix)
		if err != nil {
			return err
		}
		if m, err = union(there, data); err != nil {
			return err
		}
	}
	return t.put(ctx, tag+bundle.BeforeSuffix, m)
}

// union returns the list a with the layers of b that it hasn't. What is no list has none.
func union(a, b []byte) (raw, error) {
	var kind string
	var layers []descriptor
	for _, data := range [][]byte{a, b} {
		var one struct {
			ArtifactType string
			Layers       []descriptor
		}
		if json.Unmarshal(data, &one) != nil {
			continue
		}
		if kind == "" {
			kind = one.ArtifactType
		}
		for _, l := range one.Layers {
			if l.MediaType != bundle.EmptyMediaType && !slices.ContainsFunc(layers, func(x descriptor) bool { return x.Digest == l.Digest }) {
				layers = append(layers, l)
			}
		}
	}
	return artifact(kind, layers, nil)
}
