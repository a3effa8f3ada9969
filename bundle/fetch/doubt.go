package fetch

import (
	"context"
	"errors"
	"fmt"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// doubt is a source whose bytes did not fit a beginning that others gave.
type doubt struct {
	source *source
	blob   manifest.Blob
}

// givers are who gave to a part of so many bytes; nil among them is what was here before.
func (it *item) givers(b manifest.Blob, size int64) map[*source]bool {
	gave := it.from[b.Digest]
	if gave == nil || size == 0 {
		gave = map[*source]bool{}
		if size > 0 {
			gave[nil] = true
		}
		it.from[b.Digest] = gave
	}
	return gave
}

// doubters are those whose bytes did not fit a part of b.
func (it *item) doubters(b manifest.Blob) map[*source]bool {
	list := map[*source]bool{}
	for _, d := range it.doubts {
		if d.blob.Digest == b.Digest {
			list[d.source] = true
		}
	}
	return list
}

// blame notes who gave bytes that turned out to be wrong, when s has brought the right content.
func blame(s *source, b manifest.Blob, wrong map[*source]bool) {
	for other := range wrong {
		if other != nil && other != s {
			other.lied(other.named(fmt.Errorf("blob %s is %w: what it gave of it is something else", b.Digest, bundle.ErrDamaged)))
		}
	}
}

// anew brings an item from those over the line whose bytes did not fit what is here, after nobody else could make that whole. The beginning
// goes, unless whoever gave it may just be away: then it stays until another is known to be right.
func (j *job) anew(ctx context.Context, it *item, sources []*source) error {
	away := false
	for _, s := range sources {
		away = away || s.overLine() && errors.Is(it.said[s], bundle.ErrUnreachable)
	}
	doubts := it.doubts
	for _, d := range doubts {
		b := d.blob
		err := j.ask(ctx, d.source, it, func(most int) error {
			return j.using(d.source, func() error {
				if away {
					return j.beside(ctx, d.source, it, b, most)
				}
				if it.suspects[b.Digest] == nil {
					it.suspects[b.Digest] = it.from[b.Digest]
					if err := j.store.RemovePart(b.Digest); err != nil {
						return err
					}
				}
				return j.one(ctx, d.source, it, b, most)
			})
		})
		if err == nil {
			return j.meet(b)
		}
		if !errors.Is(err, errNowhere) {
			return err
		}
	}
	return errNowhere
}

// newItem is a want that nobody has begun in this call.
func newItem(w Want) *item {
	return &item{
		Want: w, said: map[*source]error{}, from: map[digest.Digest]map[*source]bool{}, suspects: map[digest.Digest]map[*source]bool{},
	}
}
