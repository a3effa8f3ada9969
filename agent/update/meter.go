package update

import (
	"slices"
	"sync"
	"time"

	"dhow/agent/site"
)

// meter counts what crosses the line and knows what may. Its tally is written to the journal as it grows, so that a power cut loses little of it.
type meter struct {
	mu      sync.Mutex
	tally   *Tally // nil before it was read
	crossed int64  // bytes since the start of the process, at the last look
	unsaved int64
	saved   time.Duration // when it was written last, since the start
	limits  limits
	read    time.Time // when limits were read
	pause   *pauseState
	came    time.Time // when the last piece came
	gauge   gauge
	done    int64 // of total bytes of the fetch at work
	total   int64
}

const (
	// saveEvery is how many bytes may be lost by a power cut where there is a budget, saveElse where there is none.
	saveEvery = 1 << 20
	saveElse  = 32 << 20
	// saveAfter is how often the running time is written where something depends on it.
	saveAfter = 10 * time.Minute
	// limitsAge is for how long limits count that were read while bytes come.
	limitsAge = 2 * time.Second
	// longestGap is the longest time between two pieces that counts as one transfer.
	longestGap = time.Minute
)

// limitsNow reads what the configuration and the fleet allow.
func (m *Manager) limitsNow() limits {
	c := m.config()
	l := limits{rate: c.BytesPerSecond()}
	l.day, l.month = c.Budgets()
	var err error
	if l.quiet, err = site.ParseQuiet(c.Quiet, c.TimeZone); err != nil {
		m.Log.Warn("the quiet hours can't be read, so there are none", "error", err)
	}
	if l.zone, err = site.Zone(c.TimeZone); err != nil {
		l.zone = time.Local
	}
	return l
}

// look takes stock of the line: what has crossed it since the last look, and what holds now. With fresh the configuration is read anew.
func (m *Manager) look(fresh bool) (at moment, l limits, t Tally, err error) {
	if fresh || time.Since(m.meter.age()) > limitsAge {
		l := m.limitsNow()
		m.meter.mu.Lock()
		m.meter.limits, m.meter.read = l, time.Now()
		m.meter.mu.Unlock()
	}
	at = moment{wrong: m.clockWrong(), up: time.Since(m.begun)}
	r := &m.meter
	r.mu.Lock()
	defer r.mu.Unlock()
	at.wall = m.now().In(r.limits.zone)
	if r.tally == nil {
		r.tally = &Tally{}
		if _, err := m.Journal.Fact(factLine, r.tally); err != nil {
			r.tally = nil
			return at, r.limits, t, err
		}
	}
	crossed := r.crossed
	if m.Network != nil {
		crossed, _ = m.Network.Traffic()
	}
	bytes := crossed - r.crossed
	begun := r.tally.look(at, bytes)
	r.crossed, r.unsaved = crossed, r.unsaved+bytes
	most := int64(saveElse)
	if r.limits.day > 0 || r.limits.month > 0 {
		most = saveEvery
	}
	late := at.up-r.saved > saveAfter && (r.unsaved > 0 || most == saveEvery && r.tally.Month.Bytes > 0)
	if begun && r.tally.Month.Bytes > 0 || r.unsaved >= most || late {
		err = m.saveTally(at)
	}
	t = *r.tally
	t.Speeds = slices.Clone(t.Speeds)
	return at, r.limits, t, err
}

func (r *meter) age() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read
}

// saveTally writes the tally. The caller holds the meter.
func (m *Manager) saveTally(at moment) error {
	if err := m.Journal.SetFact(factLine, m.meter.tally); err != nil {
		return err
	}
	m.meter.unsaved, m.meter.saved = 0, at.up
	return nil
}

// settleTally writes what has not been written yet, at the end of a change.
func (m *Manager) settleTally() error {
	at, _, _, err := m.look(true)
	if err != nil {
		return err
	}
	m.meter.mu.Lock()
	defer m.meter.mu.Unlock()
	if m.meter.unsaved == 0 {
		return nil
	}
	return m.saveTally(at)
}

// arrived measures the speed of the line by n bytes that have come over it.
func (r *meter) arrived(n int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gap := now.Sub(r.came)
	first := r.came.IsZero() || gap > longestGap
	r.came = now
	if r.tally != nil && !first { // of the first piece nobody knows how long it took
		r.tally.took(int64(n), gap)
	}
}

// ended says that no more bytes are on their way.
func (r *meter) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came, r.gauge, r.done, r.total = time.Time{}, gauge{}, 0, 0
}

// reached says how far the fetch at work is, in bytes.
func (r *meter) reached(done, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauge.add(time.Now(), done)
	r.done, r.total = done, total
}

// gauge tells the speed of the last half minute.
type gauge struct{ seen []reading }

type reading struct {
	at   time.Time
	done int64
}

const gaugeSpan = 30 * time.Second

// add notes that so many bytes are done. Bytes that are fewer than before begin a new count.
func (g *gauge) add(at time.Time, done int64) {
	n := len(g.seen)
	switch {
	case n > 0 && done < g.seen[n-1].done:
		g.seen = nil
	case n > 1 && at.Sub(g.seen[n-2].at) < time.Second:
		g.seen = g.seen[:n-1]
	}
	g.seen = append(g.seen, reading{at, done})
	for len(g.seen) > 2 && at.Sub(g.seen[1].at) > gaugeSpan {
		g.seen = g.seen[1:]
	}
}

// speed is how many bytes came in a second up to now, 0 while nobody knows.
func (g *gauge) speed(now time.Time) float64 {
	if len(g.seen) < 2 {
		return 0
	}
	first, last := g.seen[0], g.seen[len(g.seen)-1]
	if now.Sub(first.at) < time.Second {
		return 0
	}
	return float64(last.done-first.done) / now.Sub(first.at).Seconds()
}
