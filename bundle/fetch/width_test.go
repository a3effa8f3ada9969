package fetch

import (
	"testing"
	"time"
)

// TestWidth plays lines: how much they bring in a second for each number of transfers.
func TestWidth(t *testing.T) {
	const mb = 1e6
	for _, c := range []struct {
		name  string
		limit int64
		rest  int64
		rate  func(second, n int) float64
		most  int // transfers at any time
		end   int
		tried int // how often there was one more
	}{
		{"thin line", 0, 1 << 40, func(int, int) float64 { return 20_000 }, 2, 1, 4},
		{"fast line that one fills", 0, 1 << 40, func(int, int) float64 { return 8 * mb }, 2, 1, 4},
		{"each has its share", 0, 1 << 40, func(_, n int) float64 { return float64(n) * mb }, 4, 4, 3},
		{"two fill it", 0, 1 << 40, func(_, n int) float64 { return mb * float64(min(n, 2)) }, 3, 2, 5},
		{"two are hardly faster", 0, 1 << 40, func(_, n int) float64 { return mb * (1 + 0.3*float64(n-1)) }, 2, 1, 4},
		{"it becomes thin", 0, 1 << 40, func(s, n int) float64 {
			if s > 100 {
				return 0.1 * mb
			}
			return mb * float64(n)
		}, 4, 1, 5},
		{"it becomes wide", 0, 1 << 40, func(s, n int) float64 {
			if s < 200 {
				return mb
			}
			return mb * float64(n)
		}, 4, 4, 6},
		{"what is allowed is used by one", 1_000_000, 1 << 40, func(int, int) float64 { return 0.95 * mb }, 1, 1, 0},
		{"little is left", 0, 3_000_000, func(_, n int) float64 { return float64(n) * mb }, 1, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWidth(2*time.Second, c.limit)
			at := time.Now()
			most, tried, was := 1, 0, 1
			for tick := range 4 * 600 {
				at = at.Add(250 * time.Millisecond)
				busy := w.now
				w.came(at, int64(c.rate(tick/4, busy)/4), busy, c.rest)
				if w.now > was {
					tried++
				}
				was, most = w.now, max(most, w.now)
			}
			if most != c.most || w.now != c.end || tried > c.tried {
				t.Errorf("at most %d transfers, %d in the end, one more %d times; want %d, %d, at most %d", most, w.now, tried, c.most, c.end, c.tried)
			}
		})
	}
}

// TestWidthCountsFullLanesOnly: a transfer that is missing says nothing of the line.
func TestWidthCountsFullLanesOnly(t *testing.T) {
	w := newWidth(time.Second, 0)
	at := time.Now()
	for range 1000 {
		at = at.Add(100 * time.Millisecond)
		if step := w.came(at, 1_000_000, 0, 1<<40); step != 0 {
			t.Fatalf("%+d", step)
		}
	}
}
