package delta

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
)

// Small deltas that would keep a processor busy for minutes end at once.
func TestCountlessStreams(t *testing.T) {
	const most = maxInner
	empties := bytes.Repeat([]byte{3, 0}, most) // deflate streams that hold nothing
	outer := deflated(t, usual, empties)
	base := bytes.Repeat(outer, 40)
	zeros := make([]byte, 130<<16)
	// Bytes of two pages that are kept in one place, by turns.
	jumps := append(signed(0), bytes.Repeat(signed(64<<16-1, -64<<16-1), 8<<20)...)
	for _, test := range []struct {
		name string
		from crafted
		want string
	}{
		{
			"in the layer", crafted{
				old: []Layer{layerOf(zeros)}, layer: layerOf(zeros[:1<<20]), expanded: 1 << 20,
				parts: [sectionCount][]byte{
					sectionNew: bytes.Repeat(slices.Concat(varints(0, 0x68, most), bytes.Repeat(varints(0, 0x68, 0), most), varints(0)), 20),
				},
			}, "its section of streams of the layer is damaged: it holds a stream of 0 bytes, at least 32 are possible",
		},
		{
			"around nothing", crafted{
				old: []Layer{layerOf(zeros)}, layer: layerOf(make([]byte, 64<<20)), expanded: 1 << 20,
				parts: [sectionCount][]byte{sectionNew: bytes.Repeat(varints(0, 0x68, 0, 0), 32<<20)},
			}, "its section of streams of the layer is damaged: it holds a stream of 0 bytes, at least 32 are possible",
		},
		{
			"in the base", crafted{
				old: []Layer{layerOf(base)}, layer: layerOf(zeros[:100]), expanded: 100,
				parts: [sectionCount][]byte{
					sectionOld: bytes.Repeat(slices.Concat(varints(0, uint64(len(outer)), 2*most, most), bytes.Repeat(varints(0, 2, 0), most)), 40),
				},
			}, "layer 1 of the base: its section of streams of the base is damaged: it holds a stream of 2 bytes, at least 64 are possible",
		},
		{
			"of a base that inflates to more than may be", crafted{
				old: []Layer{layerOf(base)}, layer: layerOf(zeros[:100]), expanded: 100,
				parts: [sectionCount][]byte{sectionOld: bytes.Repeat(varints(0, uint64(len(outer)), 2*most, 0), 40)}, spool: 1 << 20,
			}, "layer 1 of the base: its spool is damaged: the header declares less than its streams hold",
		},
		{
			"places", crafted{
				old: []Layer{layerOf(zeros)}, layer: layerOf(zeros[:1<<20]), expanded: 16 << 20,
				parts: [sectionCount][]byte{
					sectionNew: varints(0, 0x68, 0, 16<<20),
					sectionOps: bytes.Repeat(varints(1<<2), 16<<20), sectionPlaces: jumps,
				},
			}, "its section of places is damaged: it leads to more places than a layer of this size is made of",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.from
			c.features, c.window = knownFeatures, smallWindow
			d := c.encode(t)
			start := processor(t)
			err := Apply(t.Context(), c.old, bytes.NewReader(d), int64(len(d)), io.Discard, t.TempDir(), nil)
			if took := processor(t) - start; took > 5*slower*time.Second {
				t.Errorf("%v of a processor for a delta of %d bytes", took, len(d))
			}
			if !errors.Is(err, bundle.ErrDamaged) || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("%v\nwant … %s", err, test.want)
			}
		})
	}
}

// ends ends a context when its beginning is read for the third time: the first two are for the checksum.
type ends struct {
	*bytes.Reader
	reads int
	end   func()
}

func (e *ends) ReadAt(p []byte, at int64) (int, error) {
	if at == 0 {
		if e.reads++; e.reads == 2 {
			e.end()
		}
	}
	return e.Reader.ReadAt(p, at)
}

// Nobody waits until a stream with many inside is written before an Apply ends that is told to.
func TestApplyEndsInsideOfAStream(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const count = 1 << 16
	zeros := make([]byte, count*leastPlain)
	layer := layerOf(zeros)
	layer.Tar = &ends{bytes.NewReader(zeros), 0, cancel}
	c := crafted{
		old: []Layer{layer}, layer: layerOf(make([]byte, 1<<20)), expanded: int64(len(zeros)), features: knownFeatures, window: smallWindow,
		parts: [sectionCount][]byte{
			sectionNew: slices.Concat(varints(0, 0x68, count), bytes.Repeat(varints(0, 0x68, leastPlain), count), varints(0)),
			sectionOps: varints(uint64(len(zeros)) << 2), sectionPlaces: signed(0),
		},
	}
	d := c.encode(t)
	if err := Apply(ctx, c.old, bytes.NewReader(d), int64(len(d)), io.Discard, t.TempDir(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
