package delta

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"dhow/bundle/delta/deflate"
)

func TestDeltas(t *testing.T) {
	clinic := func(version uint64, p deflate.Params) []byte {
		return tarOf(t, file{"app/openmrs.war", war(t, p, version)}, file{"app/start.sh", []byte("exec java\n")})
	}
	page := text(1, 200000)
	changed := append(append(bytes.Clone(page[:70000]), "a new line\n"...), page[71000:]...)
	code := noise(8, 100000)
	shifted := bytes.Clone(code)
	for i := 0; i < len(shifted); i += 9 {
		if i%1000 > 300 {
			shifted[i] += 4
		}
	}
	for _, test := range []struct {
		name    string
		old     [][]byte
		layer   []byte
		most    int // bytes of the delta
		opened  int
		inexact int
	}{
		{name: "the same", old: [][]byte{page}, layer: page, most: 700},
		{name: "nothing", old: [][]byte{page}, layer: nil, most: 600},
		{name: "from nothing", layer: page, most: 60000},
		{name: "from empty layers", old: [][]byte{nil, nil}, layer: page[:5000], most: 3000},
		{name: "a line", old: [][]byte{page}, layer: changed, most: 800},
		{name: "moved between layers", old: [][]byte{page[:90000], page[90000:]}, layer: append(bytes.Clone(page[50000:]), page[:50000]...), most: 800},
		{name: "differences everywhere", old: [][]byte{code}, layer: shifted, most: 3000},
		{name: "a class", old: [][]byte{clinic(1, usual)}, layer: clinic(2, usual), most: 9000, opened: 2},
		{name: "a class, level 9", old: [][]byte{clinic(1, usual)}, layer: clinic(2, deflate.Params{Level: 9, MemLevel: 8}), most: 19000, opened: 6},
		{name: "a class, memLevel 9", old: [][]byte{clinic(1, deflate.Params{Level: 6, MemLevel: 9})}, layer: clinic(2, deflate.Params{Level: 6, MemLevel: 9}), most: 9000, opened: 2},
		{name: "not zlib's", old: [][]byte{clinic(1, deflate.Params{})}, layer: clinic(2, deflate.Params{}), most: 60000, inexact: 2},
		{name: "zlib's from others'", old: [][]byte{clinic(1, deflate.Params{})}, layer: clinic(1, usual), most: 19000, opened: 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, stats := create(t, test.old, test.layer)
			if len(d) > test.most {
				t.Errorf("%d bytes, at most %d: %+v", len(d), test.most, stats)
			}
			if stats.Opened != test.opened || stats.Inexact != test.inexact {
				t.Errorf("%d streams opened and %d inexact, not %d and %d", stats.Opened, stats.Inexact, test.opened, test.inexact)
			}
			if again, _ := create(t, test.old, test.layer); !bytes.Equal(again, d) {
				t.Error("another delta the second time")
			}
		})
	}
}

func TestHeader(t *testing.T) {
	old, layer := tarOf(t, file{"a.war", war(t, usual, 1)}), tarOf(t, file{"a.war", war(t, usual, 2)})
	d, stats := create(t, [][]byte{old}, layer)
	h, err := ReadHeader(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Old) != 1 || h.Old[0] != layerOf(old).Identity || h.New != layerOf(layer).Identity {
		t.Errorf("from %v to %v", h.Old, h.New)
	}
	if h.Spool == 0 || h.Spool != stats.Spool || h.Window != maxWindow || h.Features&featureOpened == 0 {
		t.Errorf("%+v", h)
	}
	var last int64
	progress := func(done int64) {
		if done < last {
			t.Errorf("progress went back from %d to %d", last, done)
		}
		last = done
	}
	if err := Apply(context.Background(), []Layer{layerOf(old)}, bytes.NewReader(d), int64(len(d)), io.Discard, t.TempDir(), progress); err != nil {
		t.Fatal(err)
	}
	if last != h.Work() {
		t.Errorf("progress ends at %d of %d", last, h.Work())
	}
}

func TestProgressOfCreate(t *testing.T) {
	old, layer := tarOf(t, file{"a.war", war(t, usual, 1)}), tarOf(t, file{"a.war", war(t, usual, 2)})
	var stages []Stage
	ends := map[Stage]bool{}
	_, err := Create(context.Background(), []Layer{layerOf(old)}, layerOf(layer), io.Discard, Options{
		Dir: t.TempDir(), Progress: func(s Stage, done, total int64) {
			if len(stages) == 0 || stages[len(stages)-1] != s {
				stages = append(stages, s)
			}
			ends[s] = done == total
			if done > total {
				t.Errorf("%s: %d of %d", s, done, total)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []Stage{Scanning, Opening, Indexing, Comparing, Verifying} {
		if i >= len(stages) || stages[i] != s {
			t.Fatalf("stages %q", stages)
		}
	}
	if !ends[Scanning] || !ends[Verifying] {
		t.Errorf("not all of them come to their end: %v", ends)
	}
}

func TestCreateAndApplyCanBeCancelled(t *testing.T) {
	old, layer := tarOf(t, file{"a.war", war(t, usual, 1)}), tarOf(t, file{"a.war", war(t, usual, 2)})
	d, _ := create(t, [][]byte{old}, layer)
	stop := errors.New("the power of the network is gone")
	dir := t.TempDir()
	for after := range 4 {
		ctx, cancel := context.WithCancelCause(context.Background())
		n := 0
		progress := func() {
			if n++; n > after {
				cancel(stop)
			}
		}
		_, err := Create(ctx, []Layer{layerOf(old)}, layerOf(layer), io.Discard, Options{Dir: dir, Progress: func(Stage, int64, int64) { progress() }})
		if !errors.Is(err, stop) {
			t.Errorf("create, after %d: %v", after, err)
		}
		cancel(nil)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(stop)
	err := Apply(ctx, []Layer{layerOf(old)}, bytes.NewReader(d), int64(len(d)), io.Discard, dir, nil)
	if !errors.Is(err, stop) {
		t.Errorf("apply: %v", err)
	}
	empty(t, dir)
}

func TestOutputThatFails(t *testing.T) {
	old, layer := text(1, 100000), text(2, 100000)
	d, _ := create(t, [][]byte{old}, layer)
	full := errors.New("no space left on device")
	dir := t.TempDir()
	err := Apply(context.Background(), []Layer{layerOf(old)}, bytes.NewReader(d), int64(len(d)), failing{full}, dir, nil)
	if !errors.Is(err, full) {
		t.Error(err)
	}
	empty(t, dir)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What expands too much stays closed, so that the delta can be applied within its bounds.
func TestBombsStayClosed(t *testing.T) {
	bomb := func(seed uint64) []byte {
		inner := zipOf(t, usual, file{"zeros", make([]byte, 4<<20)}, file{"text", text(seed, 20000)})
		return tarOf(t, file{"a.war", zipOf(t, usual, file{"a.jar", inner}, file{"text", text(seed, 3000)})})
	}
	d, _ := create(t, [][]byte{bomb(1)}, bomb(2))
	h, err := ReadHeader(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	if h.Spool > 1<<20 || h.Expanded > 1<<20 {
		t.Errorf("the spool is %d and the opened layer %d bytes long", h.Spool, h.Expanded)
	}
}
