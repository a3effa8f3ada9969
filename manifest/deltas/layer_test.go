package deltas

import (
	"bytes"
	"context"
	"testing"

	"dhow/manifest"

	"github.com/klauspost/compress/zstd"
)

// A window is as large as the layer, but not larger than what a site has memory for.
func TestWindow(t *testing.T) {
	for size, want := range map[int64]uint64{1: 1 << 20, 5 << 20: 8 << 20, 32 << 20: 32 << 20, 1 << 30: 32 << 20} {
		var out bytes.Buffer
		m := &maker{ctx: context.Background(), progress: func(Step) {}}
		if err := m.compress(&out, bytes.NewReader(make([]byte, 3<<20)), task{Layer: manifest.Layer{DiffSize: size}}); err != nil {
			t.Fatal(err)
		}
		var h zstd.Header
		if err := h.Decode(out.Bytes()); err != nil || h.SingleSegment || h.WindowSize != want {
			t.Errorf("%d bytes: window %d, error %v", size, h.WindowSize, err)
		}
	}
}
