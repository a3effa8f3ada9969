package fetch

import (
	"context"
	"sync"
	"time"
)

// pace holds reading to a rate in bytes per second, 0 for none, whoever reads. Whoever reads slowly makes the other side send slowly.
type pace struct {
	rate int64
	mu   sync.Mutex
	next time.Time // when what was read so far may have come
}

// piece is how much is read at once, at most most: so little that a pause stays well below the time after which a line counts as dead.
func (p *pace) piece(most int) int {
	if p.rate == 0 {
		return most
	}
	return int(min(int64(most), max(p.rate/4, 1)))
}

// wait pauses after n bytes as long as the rate asks. Time in which nothing came is not made up for.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate == 0 {
		return nil
	}
	return sleep(ctx, p.pause(n, time.Now()))
}

func (p *pace) pause(n int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return p.next.Sub(now)
}
