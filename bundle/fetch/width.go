package fetch

import "time"

// most is how many transfers run side by side at most.
const most = 4

// width finds out how many transfers side by side bring the most. It begins with one. When that has been measured for a while one more is
// tried, and stays if it brings clearly more: a thin line is full with one, which then is done sooner than two that share it.
type width struct {
	now    int           // transfers that should run
	window time.Duration // for which each is measured
	limit  int64         // bytes per second that are allowed, 0 for any

	begun    time.Time // the phase
	bytes    int64     // that came in it
	settling bool      // what comes isn't steady yet
	trial    bool      // now is one more than what is known to be good
	before   [most + 1]float64
	retry    time.Time // before which nothing more is tried
	pause    time.Duration
}

// measure is how long each number of transfers is watched; on a thin line, where few pieces come, up to five times as long.
const measure = 2 * time.Second

const (
	enough    = 512 << 10 // bytes that say something about speed in a window
	firstWait = 30        // windows until one more is tried again after it brought nothing
)

func newWidth(window time.Duration, limit int64) *width {
	return &width{now: 1, window: window, limit: limit, settling: true, pause: firstWait * window}
}

// came notes that n bytes came while busy transfers ran and rest bytes wait for their turn. It reports what is to change: 1 for one transfer
// more, -1 for one less.
func (w *width) came(at time.Time, n int64, busy int, rest int64) int {
	if busy != w.now || w.begun.IsZero() {
		w.begin(at, w.settling)
		return 0
	}
	w.bytes += n
	took := at.Sub(w.begun)
	if took < w.window || !w.settling && w.bytes < enough && took < 5*w.window {
		return 0
	}
	if w.settling {
		w.begin(at, false)
		return 0
	}
	rate := float64(w.bytes) / took.Seconds()
	w.begin(at, false)
	switch {
	case w.trial && rate >= w.before[w.now]*gain(w.now):
		w.trial, w.pause = false, firstWait*w.window
	case w.trial || w.now > 1 && rate < w.before[w.now]: // the line isn't what it was
		w.back(at)
		return -1
	case w.now < most && at.After(w.retry) && float64(rest) > 2*rate*w.window.Seconds() && (w.limit == 0 || rate < 0.8*float64(w.limit)):
		w.now++
		w.before[w.now], w.trial = rate, true
		w.begin(at, true)
		return 1
	}
	return 0
}

// back is one transfer less, for some time.
func (w *width) back(at time.Time) {
	w.now, w.trial = max(1, w.now-1), false
	w.retry = at.Add(w.pause)
	w.pause = min(2*w.pause, 64*firstWait*w.window)
	w.begin(at, true)
}

func (w *width) begin(at time.Time, settling bool) { w.begun, w.bytes, w.settling = at, 0, settling }

// gain is how much faster n transfers must be than one less: half of what they could be.
func gain(n int) float64 { return max(1.2, 1+0.5/float64(n-1)) }
