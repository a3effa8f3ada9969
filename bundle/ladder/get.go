package ladder

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
)

// fromNear fetches any form of what is missing from sources that cost nothing, those with the fewest bytes first, or last.
func (r *runner) fromNear(ctx context.Context, sources []bundle.Source, fewest bool) error {
	if len(sources) == 0 {
		return nil
	}
	wants := slices.Clone(r.Others)
	p := planner{Query: r.Query, here: map[manifest.Blob]bool{}, closed: r.cramped}
	for _, l := range r.Layers {
		var made []manifest.Blob
		for _, rung := range p.rungs(l, nil) {
			if rung.Kind != Carried {
				made = append(made, rung.Blob)
			}
		}
		w := wantLayer(l)
		if fewest {
			w.Forms = append(made, w.Forms...)
		} else {
			slices.Reverse(made)
			w.Forms = append(w.Forms, made...)
		}
		wants = append(wants, w)
	}
	wants = slices.DeleteFunc(wants, func(w fetch.Want) bool { return w.In(r.Store) })
	if len(wants) == 0 {
		return nil
	}
	opts, first := r.Options, int64(-1)
	opts.Progress = func(done, total int64) {
		if first < 0 {
			first = done
		}
		// What these sources don't have is not what is to come: it will be less from the others.
		if r.Options.Progress != nil && done > first {
			r.Options.Progress(done, total)
		}
	}
	return r.fetch(ctx, sources, wants, opts)
}

// wantLayer is a layer as it is carried, or plain.
func wantLayer(l manifest.Layer) fetch.Want {
	if l.Digest == l.DiffID {
		return fetch.Want{Forms: []manifest.Blob{l.Blob}, Layer: l}
	}
	return fetch.Want{Forms: []manifest.Blob{l.Blob, plain(l)}, Layer: l}
}

func (r *runner) fetch(ctx context.Context, sources []bundle.Source, wants []fetch.Want, opts fetch.Options) error {
	moved, err := fetch.Blobs(ctx, r.Store, sources, wants, opts)
	r.moved.Add(moved)
	return err
}

// fromFar fetches what is planned and not here. It reports whether the plan is to be made again, because something of it can't be had.
func (r *runner) fromFar(ctx context.Context, plan Plan, nearby error) (again bool, err error) {
	wants := slices.DeleteFunc(slices.Clone(r.Others), func(w fetch.Want) bool { return w.In(r.Store) })
	for _, s := range plan.Steps {
		if rung := s.Rungs[0]; rung.Kind == Carried {
			wants = append(wants, wantLayer(s.Layer))
		} else if !r.Store.Has(rung.Blob) {
			wants = append(wants, fetch.Want{Forms: []manifest.Blob{rung.Blob}})
		}
	}
	if len(wants) == 0 {
		return false, nil
	}
	if len(r.far) == 0 && nearby != nil {
		return false, nearby
	}
	slices.SortStableFunc(wants, func(a, b fetch.Want) int { return cmp.Compare(a.Size(), b.Size()) }) // small things first
	err = r.fetch(ctx, r.far, wants, r.Options)
	if err == nil || ctx.Err() != nil || !stepsDown(err) {
		return false, err
	}
	// One of them is missing or damaged. Which one shows when each is asked for by itself.
	for _, s := range plan.Steps {
		rung := s.Rungs[0]
		if r.Store.Has(rung.Blob) || rung.Kind == Carried {
			continue
		}
		one := r.fetch(ctx, r.far, []fetch.Want{{Forms: []manifest.Blob{rung.Blob}}}, r.Options)
		switch {
		case one == nil:
			again = true
		case ctx.Err() != nil || !stepsDown(one):
			return false, one
		default:
			again = true
			if r.neighbours && errors.Is(one, fs.ErrNotExist) {
				r.Refused[rung.Blob.Digest] = true // they have what they need themselves, and that is no deltas
				continue
			}
			r.refuse(rung.Blob.Digest, Setback{Layer: s.Layer, Rung: rung, Err: one}) // the next time another source, or this one, may do better
		}
	}
	if again {
		return true, nil
	}
	return false, err
}
