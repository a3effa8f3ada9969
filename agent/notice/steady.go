package notice

import (
	"time"

	"dhow/agent/api"
)

// How long a need must stand before it is told, and be gone before it counts as gone.
const (
	settles = time.Minute
	goes    = time.Hour
)

// steady leaves out needs that come and go. Its clock is one that nobody can set.
type steady struct {
	since map[string]time.Duration // those that are there
	last  map[string]time.Duration // when one that was told was there last
}

func newSteady() *steady {
	return &steady{since: map[string]time.Duration{}, last: map[string]time.Duration{}}
}

// of returns those of needs that have stood long enough, and those that were told and have not been gone for long.
func (s *steady) of(needs []api.Need, told []string, now time.Duration) (list []api.Need) {
	here := map[string]bool{}
	for _, n := range needs {
		here[n.Kind] = true
		if _, known := s.since[n.Kind]; !known {
			s.since[n.Kind] = now
		}
	}
	for kind := range s.since {
		if !here[kind] {
			delete(s.since, kind)
		}
	}
	kept := map[string]bool{}
	for _, kind := range told {
		last, known := s.last[kind]
		if here[kind] || !known {
			last = now
		}
		if now-last < goes {
			s.last[kind], kept[kind] = last, true
			continue
		}
		delete(s.last, kind)
	}
	for _, n := range needs {
		if now-s.since[n.Kind] >= settles || kept[n.Kind] {
			list = append(list, n)
			delete(kept, n.Kind)
		}
	}
	for _, kind := range told {
		if kept[kind] {
			list = append(list, api.Need{Kind: kind})
		}
	}
	return list
}
