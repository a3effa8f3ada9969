package fetch

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	p := pace{rate: 40_000}
	if n := p.piece(64 << 10); n != 10_000 {
		t.Errorf("pieces of %d bytes", n)
	}
	begin := time.Now()
	for range 5 {
		if err := p.wait(t.Context(), 2000); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 240*time.Millisecond || took > 3*time.Second {
		t.Errorf("10 kB at 40 kB/s took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.wait(ctx, 1_000_000); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended wait: %v", err)
	}
	free := pace{}
	if n := free.piece(64 << 10); n != 64<<10 {
		t.Errorf("without a rate pieces of %d bytes", n)
	}
	if err := free.wait(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	slowest := pace{rate: 1}
	if n := slowest.piece(64 << 10); n != 1 {
		t.Errorf("at a byte a second pieces of %d bytes", n)
	}
}
