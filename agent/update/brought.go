package update

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/stick"
)

// sticks is what is known of the places where people bring bundles. None of it is kept: after a restart they are looked at again.
type sticks struct {
	mu     sync.Mutex
	places map[string]*brought
	turn   chan struct{} // closed when a change has ended: what was found may be good for something else now
}

// brought is what was found at one place.
type brought struct {
	place  stick.Place
	finds  []find
	slow   time.Duration        // how long listing took; only the visit's, as are the two below
	quiet  map[string]bool      // what is not told
	first  map[string]time.Time // when each of them was found
	looked bool                 // all that was there has been read once
	report string               // how writing a report there ended, see api.Offer
	since  time.Time            // when the call began that is under way there; zero when none is
	stop   context.CancelFunc   // ends reading; nil when nothing is read
}

// find is a bundle and what it is good for.
type find struct {
	offer  api.Offer
	number int64 // of its manifest
	// release is what it would install, by its digest; "" when it installs nothing.
	release digest.Digest
	since   bool   // it leaves something out
	ours    bool   // signed by the fleet of this site
	none    bool   // it is no bundle
	quiet   bool   // it is not told
	what    string // tells this bundle from one that was at the same place
	key     string // what it was judged by
}

// foundAt is when something was brought: first seen by the clock now, or nobody knows when because it was there before the agent began.
func (b *brought) foundAt(what string, now time.Time) time.Time {
	at, known := b.first[what]
	if known {
		return at
	}
	if b.looked || !b.place.Before {
		at = now
	}
	if b.first == nil {
		b.first = map[string]time.Time{}
	}
	b.first[what] = at
	return at
}

// hush remembers what stands on a disk since before the agent began and is of no use: nobody has just brought that, so nobody is told.
func (b *brought) hush(finds []find) {
	if b.looked {
		return
	}
	b.looked = true
	if !b.place.Before {
		return
	}
	b.quiet = map[string]bool{}
	for _, f := range finds {
		b.quiet[f.what] = true
	}
}

// hushed marks what is not told, as long as it is of no use.
func (b *brought) hushed(finds []find) []find {
	for i, f := range finds {
		finds[i].quiet = b.quiet[f.what] && !useful(f.offer.Kind)
	}
	return finds
}

func useful(kind string) bool {
	return kind == api.OfferInstall || kind == api.OfferCurrent || kind == api.OfferLooking
}

func (s *sticks) enter(p stick.Place) *brought {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places == nil {
		s.places = map[string]*brought{}
	}
	b := &brought{place: p}
	s.places[p.ID] = b
	return b
}

func (s *sticks) leave(p stick.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, p.ID)
}

// begin notes that a call is under way; stop, which may be nil, ends it when something else needs the disk.
func (s *sticks) begin(b *brought, stop context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.since, b.stop = time.Now(), stop
}

func (s *sticks) end(b *brought) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.since, b.stop = time.Time{}, nil
}

func (s *sticks) found(b *brought, finds []find) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.finds = slices.Clone(finds)
}

// ours reports whether anything there was signed by the fleet of this site.
func (s *sticks) ours(b *brought) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(b.finds, func(f find) bool { return f.ours })
}

func (s *sticks) reported(b *brought, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.report = how
}

// wait returns a channel that is closed when a change has ended.
func (s *sticks) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn == nil {
		s.turn = make(chan struct{})
	}
	return s.turn
}

func (s *sticks) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn != nil {
		close(s.turn)
		s.turn = nil
	}
}

// yield ends all reading, for a change that needs the disks. It is begun again after that.
func (s *sticks) yield() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.places {
		if b.stop != nil {
			b.stop()
		}
	}
}

// all lists what was found everywhere, and the places that do not answer.
func (s *sticks) all() (finds []find) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.places {
		if b.stop == nil && !b.since.IsZero() && time.Since(b.since) > lookFor {
			finds = append(finds, find{offer: offerAt(b.place, b.place.Path, api.OfferUnreadable, "problem", "it does not answer")})
			continue
		}
		for _, f := range b.finds {
			if f.none || f.quiet {
				continue
			}
			if f.ours {
				f.offer.Report = b.report
			}
			finds = append(finds, f)
		}
	}
	return finds
}
