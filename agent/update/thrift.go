package update

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/bundle/fetch"
)

// How a fetch keeps to what a site allows: fetchBlobs uses the sources that may be used now, calls the gate for every piece that comes over the
// line, and ends with a hold when a pause, the quiet hours or the budget say so. The parts stay, and waiting.go begins it again.

// holdNow is why the line may not be used now, nil for nothing. now says that a person has asked for it at once.
func (m *Manager) holdNow(now, fresh bool) (*hold, error) {
	at, l, t, err := m.look(fresh)
	if err != nil {
		return nil, err
	}
	if p, err := m.pause(); err != nil {
		return nil, err
	} else if p != nil {
		return m.pauseHold(*p), nil
	}
	return l.holds(at, &t, now), nil
}

// allowed returns those of sources that may be used now, and why the others may not.
func (m *Manager) allowed(sources []bundle.Source, p fetchPlan) (near []bundle.Source, held *hold, err error) {
	h, err := m.holdNow(p.Now, true)
	if err != nil {
		return nil, nil, err
	}
	for _, src := range sources {
		if h == nil || fetch.Reach(src) <= h.within || p.From != "" && onThisComputer(src.Name()) {
			near = append(near, src)
		} else {
			held = h
		}
	}
	return near, held, nil
}

// gate lets pieces pass that come over the line, counts them, and ends the transfer when nothing more may come.
func (m *Manager) gate(p fetchPlan) func(context.Context, int) error {
	return func(_ context.Context, n int) error {
		m.meter.arrived(n, time.Now())
		h, err := m.holdNow(p.Now, false)
		if err != nil || h == nil {
			return err
		}
		return h
	}
}

// transfer lets do bring bytes that are left from those of sources that may be used now. The error is a *hold when it has ended at one, and when
// what may be used does not have everything; parts stay.
func (m *Manager) transfer(
	t *change.Task, p fetchPlan, release string, sources []bundle.Source, left int64, note *blobsNote,
	do func(near []bundle.Source, o fetch.Options) (fetch.Moved, error),
) (moved fetch.Moved, err error) {
	near, held, err := m.allowed(sources, p)
	if err != nil {
		return moved, err
	}
	if len(near) == 0 && held != nil {
		return moved, held
	}
	news, err := m.announce(t, p, near, release, left)
	if err != nil {
		return moved, err
	}
	t.Progress(change.Progress{Message: news.text, Said: news.said})
	m.meter.reached(note.Done, note.Total)
	defer m.meter.ended()
	moved, err = do(near, fetch.Options{
		Rate: m.config().BytesPerSecond(), Gate: m.gate(p),
		Progress: func(done, total int64) {
			m.meter.reached(done, total)
			note.Done, note.Total = done, total
			t.Progress(change.Progress{Done: done, Total: total, Message: news.text, Said: news.said})
		},
	})
	if held != nil && ofSources(err) {
		m.Log.Info("the sources that may be used now don't have everything", "error", err)
		err = held
	}
	return moved, errors.Join(err, m.settleTally())
}

// ofSources reports whether an error is the fault of sources.
func ofSources(err error) bool {
	for _, kind := range []error{bundle.ErrUnreachable, bundle.ErrDamaged, bundle.ErrTooLarge, bundle.ErrUnsafePath, fs.ErrNotExist} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// announce says what is about to come, in the log and to who follows: "34 MB, about 25 minutes at the speed of the last days". A near source may
// have it all: then nobody knows.
func (m *Manager) announce(t *change.Task, p fetchPlan, sources []bundle.Source, release string, bytes int64) (news told, err error) {
	at, l, tally, err := m.look(true)
	if err != nil {
		return news, err
	}
	news = told{amountText(bytes), api.Say("coming", sized("size", bytes)...)}
	if len(sources) > 0 && fetch.Reach(sources[0]) > fetch.LAN {
		if forecast := l.forecast(at, &tally, bytes, tally.speed(), p.Now); forecast.text != "" {
			news = told{news.text + ", " + forecast.text, api.Say("coming_estimate", sized("size", bytes, "cause", forecast.text)...).For(forecast.said)}
		}
	}
	if end := l.quiet.Until(at.wall); p.Now && !at.wrong && !end.IsZero() {
		said := api.Say("despite_quiet", "cause", news.text, "moment", plainMoment(end, at.wall)).For(news.said)
		news = told{news.text + "; the quiet hours until " + clockText(end, at.wall) + " do not count, a person wants it now", said}
	}
	m.Log.Info("fetching", "change", t.Change.ID, "release", release, "estimate", news.text)
	return news, nil
}

// lineUse is what status says of the line, nil where there is no budget.
func lineUse(at moment, l limits, t *Tally) *api.LineUse {
	if l.day == 0 && l.month == 0 {
		return nil
	}
	use := &api.LineUse{Day: t.Day.Bytes, DayBudget: l.day, Month: t.Month.Bytes, MonthBudget: l.month}
	if h := l.used(at, t); h != nil {
		use.Next, use.NextSaid = h.text, h.said
	}
	return use
}

// statusOfLine fills in what is fetched, what waits, and why.
func (m *Manager) statusOfLine(s *api.Status) error {
	at, l, t, err := m.look(true)
	if err != nil {
		return err
	}
	s.Line = lineUse(at, l, &t)
	p, err := m.pause()
	if err != nil {
		return err
	}
	if p != nil {
		s.Paused = pauseAnswer(*p)
	}
	c, err := m.unfinished()
	if err != nil {
		return err
	}
	if c != nil && c.Kind == KindFetch {
		return m.statusOfFetch(s, c, at, l, &t)
	}
	w, err := m.waiting()
	if err != nil || w == nil || w.Release == "" || w.Release == s.Release || w.Release != s.Pinned {
		return err
	}
	s.Fetch = &api.Fetching{Release: w.Release, Done: w.Done, Total: w.Total, Waits: w.Why, WaitsSaid: w.Said}
	s.Fetch.Estimate, s.Fetch.EstimateSaid = l.forecast(at, &t, w.Total-w.Done, t.speed(), false).parts()
	h, err := m.holdNow(w.Plan.Now, false)
	if err != nil || h == nil {
		return err
	}
	s.Fetch.Waits, s.Fetch.WaitsSaid = h.text, h.said
	if !h.until.IsZero() {
		s.Fetch.Until = &h.until
	}
	return nil
}

// statusOfFetch says how far a fetch is.
func (m *Manager) statusOfFetch(s *api.Status, c *change.Change, at moment, l limits, t *Tally) error {
	var target targetNote
	var p fetchPlan
	if err := c.ReadPlan(&p); err != nil {
		return err
	}
	if found, err := c.ReadNote(stepPlan, &target); err != nil || !found || target.Nothing != "" || s.Step != stepFetch {
		return err
	}
	var note blobsNote
	if _, err := c.ReadNote(stepFetch, &note); err != nil {
		return err
	}
	if note.Dearer != "" {
		s.Warn(note.Dearer, note.DearerSaid)
	}
	m.meter.mu.Lock()
	f := &api.Fetching{Release: target.Release, Done: m.meter.done, Total: m.meter.total}
	speed := m.meter.gauge.speed(time.Now())
	m.meter.mu.Unlock()
	left := f.Total - f.Done
	if f.Speed = int64(speed); f.Speed > 0 {
		f.SecondsLeft = float64(left) / speed
	} else {
		speed = t.speed()
	}
	f.Estimate, f.EstimateSaid = l.forecast(at, t, left, speed, p.Now).parts()
	s.Fetch = f
	return nil
}
