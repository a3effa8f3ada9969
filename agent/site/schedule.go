package site

import (
	"hash/fnv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// DefaultFetch is the fetch schedule when neither the site nor the fleet has one: hourly.
const DefaultFetch = "0 * * * *"

// maxJitter bounds the delay that keeps a fleet from asking in the same second.
const maxJitter = 15 * time.Minute

// Schedule says when to ask the sources. Every site asks later than written, always by the same part of the time until the next one, which
// comes from its name: up to all of it, and up to 15 minutes. A schedule in the hours in which a line is cheap ends as much before them.
type Schedule struct {
	cron  cron.Schedule
	zone  *time.Location
	share float64 // 0 to 1, from the site's name
}

// ParseSchedule reads a cron expression of five fields, or a name like @daily, in the time zone with that IANA name ("" is the
// computer's). An empty expression is DefaultFetch. site is the name that the delay comes from.
func ParseSchedule(expr, zoneName, site string) (*Schedule, error) {
	loc, err := zone(zoneName)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(expr) == "" {
		expr = DefaultFetch
	}
	if strings.Contains(expr, "TZ=") {
		return nil, wrong("schedule_zone", "schedule %q names a time zone: write it under time_zone", "value", expr)
	}
	c, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, wrong("schedule", `schedule %q is not understood: write five fields, like "0 20 * * *" for 20:00 every day`, "value", expr)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(site))
	return &Schedule{cron: c, zone: loc, share: float64(mix(h.Sum64())>>11) / (1 << 53)}, nil
}

// Next returns the first moment after t, or the zero time when there is none (the 31st of February).
func (s *Schedule) Next(t time.Time) time.Time {
	t = t.In(s.zone)
	if _, ok := s.cron.(cron.ConstantDelaySchedule); ok {
		base := s.cron.Next(t)
		return base.Add(s.jitter(base))
	}
	// The moment before t may come later than t by its jitter.
	for base := s.cron.Next(t.Add(-maxJitter)); !base.IsZero(); base = s.cron.Next(base) {
		if at := base.Add(s.jitter(base)); at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// Soon returns how long to wait after a start: within two minutes, by the site's name.
func (s *Schedule) Soon() time.Duration {
	return time.Duration(s.share * float64(2*time.Minute))
}

func (s *Schedule) jitter(base time.Time) time.Duration {
	next := s.cron.Next(base)
	if next.IsZero() {
		return 0
	}
	return time.Duration(s.share * float64(min(next.Sub(base), maxJitter)))
}

// mix spreads names that differ in their last letter over the whole range.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
