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
	case errors.Is(s.failed, ErrBusy): // it has said when to come back
		return 0, s.failed
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
