package ladder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"

	"dhow/bundle"
	"dhow/bundle/delta"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Job is what Run does.
type Job struct {
	Query
	Others  []fetch.Want    // what is wanted beside layers: files and configs
	Sources []bundle.Source // nearest first
	Options fetch.Options
	// Export opens the archive of an image (docker save) that Query.Engine names. It is not called when that names none.
	Export func(ctx context.Context, config digest.Digest) (io.ReadCloser, error)
	// Measure says anew how many bytes may be written, before each plan; nil means that Query.Room counts.
	Measure func() int64
	// Dearer is asked before bytes move over a line of which fewer would do with more disk (Plan.Roomier); an error from it ends Run and is
	// returned as it is. It may be nil.
	Dearer func(Plan) error
	// Setback is told of each rung that failed, once it is known what is done instead; it may be nil.
	Setback func(Setback)
	// Progress is told how far a layer is that is being made of what was fetched, in bytes read and written; it may be nil.
	Progress func(done, total int64)
}

// Run brings what is wanted into the store, and returns what came from sources. When ctx ends it returns at once, and parts stay.
func Run(ctx context.Context, job Job) (fetch.Moved, error) {
	r := runner{Job: job, dir: workDir(job.Store)}
	r.Refused = maps.Clone(job.Refused)
	if r.Refused == nil {
		r.Refused = map[digest.Digest]bool{}
	}
	r.cramped, r.rotten = map[digest.Digest]bool{}, map[digest.Digest]bool{}
	r.split()
	if err := Clean(r.Store); err != nil {
		return r.moved, err
	}
	err := r.run(ctx)
	if cerr := Clean(r.Store); err == nil {
		err = cerr
	}
	if err == nil {
		err = r.drop()
	}
	return r.moved, err
}

// runner is one Run.
type runner struct {
	Job
	dir      string // of temporary files
	local    []bundle.Source
	lan, far []bundle.Source
	// neighbours is set when far are those of the local network.
	neighbours bool
	moved      fetch.Moved
	setbacks   []Setback              // that are not reported yet
	full       error                  // of a disk on which a layer could not be made
	rotten     map[digest.Digest]bool // what the disk did not keep as it came
	between    []manifest.Layer
}

// split sorts the sources by what their bytes cost. Neighbours count as far when there is nobody else: then it is they who are asked for
// what is planned.
func (r *runner) split() {
	for _, src := range r.Sources {
		switch fetch.Reach(src) {
		case fetch.Local:
			r.local = append(r.local, src)
		case fetch.LAN:
			r.lan = append(r.lan, src)
		default:
			r.far = append(r.far, src)
		}
	}
	if len(r.far) == 0 {
		r.far, r.lan, r.neighbours = r.lan, nil, true
	}
}

func (r *runner) run(ctx context.Context) error {
	for {
		// A stick gives what makes the least work. What is called a local network may be a tunnel: it gives what has the fewest bytes.
		nearby := r.fromNear(ctx, r.local, false)
		if nearby == nil || ofSource(nearby) {
			if err := r.fromNear(ctx, r.lan, true); err != nil {
				nearby = err
			}
		}
		if ctx.Err() != nil || nearby != nil && !ofSource(nearby) {
			return nearby
		}
		if r.Measure != nil {
			r.Room = r.Measure()
		}
		plan := Make(r.Query)
		if r.Dearer != nil && plan.Roomier != nil && len(r.far) > 0 && !r.neighbours {
			if err := r.Dearer(plan); err != nil {
				return err
			}
		}
		r.report(plan)
		again, err := r.fromFar(ctx, plan, nearby)
		if errors.Is(err, fs.ErrNotExist) && r.full != nil {
			return errors.Join(r.full, err) // there is a way, and no room for it
		}
		if err != nil {
			return err
		}
		if !again {
			again, err = r.makeAll(ctx, plan)
		}
		if err != nil || !again {
			return err
		}
	}
}

// refuse takes a rung out of the plans to come.
func (r *runner) refuse(d digest.Digest, b Setback) {
	r.Refused[d] = true
	r.setbacks = append(r.setbacks, b)
}

// report tells of the rungs that failed, now that it is planned what is done instead.
func (r *runner) report(plan Plan) {
	for _, b := range r.setbacks {
		for _, s := range plan.Steps {
			if s.Layer.Digest == b.Layer.Digest && len(r.far) > 0 {
				b.Next = s.Rungs[0].Kind
			}
		}
		if r.Setback != nil {
			r.Setback(b)
		}
	}
	r.setbacks = nil
}

// makeAll turns what was fetched into layers. It reports whether a rung failed, so that the plan is to be made again.
func (r *runner) makeAll(ctx context.Context, plan Plan) (again bool, err error) {
	bases := bases{runner: r, files: map[digest.Digest]*os.File{}}
	defer bases.close()
	for _, s := range plan.Steps {
		if s.Between {
			r.between = append(r.between, s.Layer)
		}
		err := r.makeOne(ctx, &bases, s)
		if err == nil {
			continue
		}
		lost, wrong := (*baseError)(nil), refused(err)
		switch {
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.As(err, &lost):
			r.refuse(s.Rungs[0].Base.Config.Digest, Setback{Layer: s.Layer, Rung: s.Rungs[0], Err: err, Fetched: true})
		case wrong:
			if err := r.blame(ctx, Setback{Layer: s.Layer, Rung: s.Rungs[0], Err: err, Fetched: true}); err != nil {
				return false, err
			}
		case noRoom(err): // what was fetched stays: there may be room the next time
			r.full = err
			r.cramped[s.Rungs[0].Blob.Digest] = true
			r.setbacks = append(r.setbacks, Setback{Layer: s.Layer, Rung: s.Rungs[0], Err: err, Fetched: true})
		default:
			return false, err
		}
		return true, nil
	}
	return false, nil
}

// blame removes what did not give its layer, and refuses it. What the disk has not kept as it came is no fault of the way: it is fetched once more.
func (r *runner) blame(ctx context.Context, b Setback) error {
	blob := b.Rung.Blob
	f, err := r.Store.Open(blob)
	if err == nil {
		_, err = io.Copy(io.Discard, bundle.WithContext(ctx, f))
		_ = f.Close()
	}
	switch {
	case err == nil:
		b.Lasting = true
		r.refuse(blob.Digest, b)
	case !stepsDown(err):
		return err
	case r.rotten[blob.Digest]:
		r.refuse(blob.Digest, b)
	default:
		r.rotten[blob.Digest] = true
		r.setbacks = append(r.setbacks, b)
	}
	return r.Store.Remove(blob.Digest)
}

// Clean removes the temporary files of a Run that was killed. None may be under way.
func Clean(s *bundle.Store) error {
	if err := os.RemoveAll(workDir(s)); err != nil {
		return fmt.Errorf("cannot clean store: %w", err)
	}
	return s.Clean()
}

func workDir(s *bundle.Store) string { return filepath.Join(s.Dir(), "ladder") }

// drop removes what was fetched only to make layers of it, now that they are here.
func (r *runner) drop() error {
	wanted := map[digest.Digest]bool{}
	for _, l := range r.Layers {
		wanted[l.Digest], wanted[l.DiffID] = true, true
	}
	for _, l := range r.between {
		for _, d := range []digest.Digest{l.Digest, l.DiffID} {
			if wanted[d] {
				continue
			}
			if err := r.Store.Remove(d); err != nil {
				return err
			}
		}
	}
	return Drop(r.Query)
}

// Drop removes what is in the store only to make layers of it that are here: deltas, layers as zstd, and parts of them.
func Drop(q Query) error {
	needed := map[digest.Digest]bool{}
	for _, l := range q.Layers {
		needed[l.Digest], needed[l.DiffID] = true, true
	}
	all := []*manifest.Ways{q.Ways}
	for _, k := range q.Known {
		all = append(all, k.Ways)
		for _, image := range k.Images {
			for _, l := range image.Layers {
				needed[l.Digest], needed[l.DiffID] = true, true
			}
		}
	}
	for _, ways := range all {
		for _, b := range ways.Blobs() {
			if !needed[b.Digest] {
				if err := q.Store.Remove(b.Digest); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// work makes the folder of temporary files.
func (r *runner) work() (string, error) { return r.dir, durable.MkdirAll(r.dir, 0o700) }

// refused reports whether an error says that what was fetched does not give the layer.
func refused(err error) bool {
	for _, kind := range []error{
		delta.ErrWrongBase, delta.ErrUnknownFeature, delta.ErrMismatch, bundle.ErrDamaged, bundle.ErrTooLarge,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// stepsDown reports whether an error of a source speaks of what was asked for, and not of the line.
func stepsDown(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, bundle.ErrDamaged) || errors.Is(err, bundle.ErrTooLarge)
}

// ofSource reports whether another source may do better.
func ofSource(err error) bool {
	return stepsDown(err) || errors.Is(err, bundle.ErrUnreachable) || errors.Is(err, bundle.ErrUnsafePath)
}

func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) }
