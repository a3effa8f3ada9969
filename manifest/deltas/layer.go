package deltas

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"dhow/bundle"
	"dhow/bundle/delta"
	"dhow/manifest"
)

const (
	// leastSaving is how many bytes a way saves at least: to know of it and to ask for it costs some as well.
	leastSaving = 4096
	minWindow   = 1 << 20
)

// clearly reports whether a form of size bytes is clearly smaller than another.
func clearly(size, other int64) bool {
	return size <= other-leastSaving && float64(size) < 0.95*float64(other)
}

// full makes a layer as one zstd stream, unless that is known or was tried before.
func (m *maker) full(t task) error {
	key := "full 2 " + t.DiffID.String()
	if m.done[key] || t.Size < 2*leastSaving {
		return nil
	}
	m.done[key] = true
	has := m.of(t.DiffID).Full
	if has != nil && m.store.Has(*has) {
		return nil
	}
	if n, ok := m.noted(key); ok && (!clearly(n.Size, t.Size) || m.store.Has(n.blob())) {
		if b := n.blob(); clearly(n.Size, t.Size) {
			m.of(t.DiffID).Full = &b
		}
		return nil
	}
	if !m.store.HasLayer(t.Layer) {
		m.warn("a layer of %s is not in the store: it can't be made smaller", t.service)
		return nil
	}
	b, kept, err := m.importFrom(func(w io.Writer) error {
		r, err := m.store.OpenLayer(t.Layer)
		if err != nil {
			return err
		}
		defer r.Close()
		return m.compress(w, r, t)
	}, t.Size)
	if err != nil {
		return fmt.Errorf("%s layer %d: %w", t.service, t.number, err)
	}
	if kept {
		b.MediaType = ""
		m.of(t.DiffID).Full = &b
	}
	return m.note(key, note{Digest: b.Digest, Size: b.Size})
}

// compress writes a layer as zstd. One goroutine makes the same bytes each time; the window is no larger than the layer, as sites need
// so much memory to open it. With at most bundle.FullWindow a front-end of 155 MB takes 21.1 MB, with twice as much 19.3 MB.
func (m *maker) compress(w io.Writer, r io.Reader, t task) error {
	window := minWindow
	for window < bundle.FullWindow && int64(window) < t.DiffSize {
		window *= 2
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	counted := &counter{r: bundle.WithContext(m.ctx, r), step: func(n int64) {
		m.progress(Step{Service: t.service, Layer: t.number, Stage: "compressing", Done: n, Total: t.DiffSize})
	}}
	if _, err := io.Copy(z, counted); err != nil {
		_ = z.Close()
		return err
	}
	return z.Close()
}

// delta makes the delta from an image to a layer, unless it is known or was tried before.
func (m *maker) delta(t task, base manifest.PlatformImage, from string) error {
	key := "delta 1 " + t.DiffID.String() + " " + base.Config.Digest.String()
	if m.done[key] {
		return nil
	}
	m.done[key] = true
	ways := m.of(t.DiffID)
	for _, d := range ways.Deltas {
		if d.Base == base.Config.Digest && m.store.Has(d.Blob) {
			return nil
		}
	}
	best := t.Size
	if ways.Full != nil {
		best = min(best, ways.Full.Size)
	}
	n, ok := m.noted(key)
	if !ok || n.Failed == "" && clearly(n.Size, best) && !m.store.Has(n.blob()) {
		var err error
		n, err = m.create(t, base, from, best)
		if err == nil || n.Failed != "" {
			err = cmp.Or(m.note(key, n), err)
		}
		if err != nil {
			return err
		}
	}
	if n.Failed == "" && clearly(n.Size, best) {
		for i, d := range ways.Deltas { // its bytes were lost, and are here again
			if d.Base == base.Config.Digest {
				ways.Deltas[i].Blob, ways.Deltas[i].Spool = n.blob(), n.Spool
				return nil
			}
		}
		ways.Deltas = append(ways.Deltas, manifest.Delta{Blob: n.blob(), Base: base.Config.Digest, From: from, Spool: n.Spool})
	}
	return nil
}

func (m *maker) create(t task, base manifest.PlatformImage, from string, best int64) (note, error) {
	step := func(stage delta.Stage, done, total int64) {
		m.progress(Step{From: from, Service: t.service, Layer: t.number, Stage: string(stage), Done: done, Total: total})
	}
	for _, l := range append(append([]manifest.Layer(nil), base.Layers...), t.Layer) {
		if !m.store.HasLayer(l) {
			return note{}, errAbsent
		}
	}
	step("unpacking", 0, 0)
	old, err := m.base.open(base.Layers)
	if err != nil {
		return note{}, err
	}
	layer, err := m.layer.open([]manifest.Layer{t.Layer})
	if err != nil {
		return note{}, err
	}
	var stats delta.Stats
	b, _, err := m.importFrom(func(w io.Writer) error {
		var err error
		stats, err = delta.Create(m.ctx, old, layer[0], w, delta.Options{Dir: m.dir, Progress: step})
		return err
	}, best)
	if err != nil {
		return note{Failed: m.why(err)}, err
	}
	return note{Digest: b.Digest, Size: b.Size, Spool: stats.Spool}, nil
}

// why returns the text of an error of delta.Create that comes of what the layers hold, and would come each time; "" of all others.
func (m *maker) why(err error) string {
	lasting := errors.Is(err, delta.ErrMismatch) || errors.Is(err, bundle.ErrDamaged) || errors.Is(err, bundle.ErrTooLarge)
	if m.ctx.Err() != nil || !lasting || !m.base.sound() || !m.layer.sound() {
		return ""
	}
	text := err.Error()
	return text[:min(len(text), maxNote/8)] // some characters take 6 bytes as JSON
}

// importFrom puts what write makes into the store if it is clearly smaller than best, and returns what it is either way.
func (m *maker) importFrom(write func(w io.Writer) error, best int64) (manifest.Blob, bool, error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(w)
		done <- err
		_ = w.CloseWithError(err)
	}()
	b, kept, err := m.store.ImportIf(m.ctx, r, math.MaxInt64-1, func(b manifest.Blob) bool { return clearly(b.Size, best) })
	_ = r.CloseWithError(err) // write ends when the store could not
	return b, kept, cmp.Or(<-done, err)
}

// counter counts what is read.
type counter struct {
	r    io.Reader
	n    int64
	step func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.step(c.n)
	return n, err
}
