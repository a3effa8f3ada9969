package fetch

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"dhow/bundle"
)

// comeBack is after how many pauses a source that did not answer is asked again, when another blob is to come.
const comeBack = 30

// source is one that Blobs asks, and how it has behaved.
type source struct {
	bundle.Source
	stream bundle.Streamer // nil for one that is asked for each blob
	reach  Distance

	mu     sync.Mutex
	busy   int       // transfers from it
	failed error     // it does not answer; of a stream: why it ended
	at     time.Time // when it did not
	busyAt time.Time // since when it has been busy, as often as it was asked
	until  time.Time // when a busy one wants to be asked again
	tries  int       // streams that ended early in a row
	wrong  error     // it sent other content than it was asked for
}

func newSource(src bundle.Source) *source {
	s := &source{Source: src, reach: Reach(src)}
	s.stream, _ = src.(bundle.Streamer)
	return s
}

// overLine reports whether its bytes cost something.
func (s *source) overLine() bool { return s.reach > LAN }

// begin says how often the source may be asked in vain, or why it is not to be asked now.
func (s *source) begin(pause time.Duration) (tries int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.wrong != nil && s.reach != Local:
		return 0, s.wrong
	case s.failed == nil:
		tries = attempts
	case errors.Is(s.failed, ErrBusy) && time.Now().Before(s.until):
		return 0, s.failed
	case errors.Is(s.failed, ErrBusy): // it is as late as it has said
		tries = attempts
	case s.reach == Local || time.Since(s.at) >= comeBack*pause:
		tries = 1 // it may have come back
	default:
		return 0, s.failed
	}
	s.busy++
	return tries, nil
}

// end notes how a transfer has ended. alone says that there was no other one from this source.
func (s *source) end() (alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	return s.busy == 0
}

// away notes that it does not answer, or, with nil, that it does.
func (s *source) away(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.at = err, time.Now()
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		s.until = s.at.Add(busy.wait)
	} else {
		s.busyAt = time.Time{}
	}
}

// patience is how long a transfer waits for a busy source before another one is asked; 0 for not at all.
func (s *source) patience(err error) time.Duration {
	busy := (*busyError)(nil)
	if s.reach != LAN || !errors.As(err, &busy) {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.busyAt.IsZero() {
		s.busyAt = now
	}
	if now.Add(busy.wait).Sub(s.busyAt) > nearPatience {
		return 0
	}
	return busy.wait
}

// lied notes that it sent something else than what was asked for.
func (s *source) lied(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong == nil {
		s.wrong = err
	}
}

// named puts the name of the source before an error.
func (s *source) named(err error) error { return fmt.Errorf("%s: %w", s.Name(), err) }
