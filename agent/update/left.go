package update

import (
	"slices"
	"time"

	"dhow/agent/change"
)

const (
	// recent is how many updates of the past say how long the next one takes.
	recent = 5
	// longestStep is more than any step takes; a longer one was measured by a clock that was set.
	longestStep = 24 * time.Hour
)

// pace is how long each step usually takes here, by its name.
type pace map[string]time.Duration

// paceOf is the median of each step over changes that were done, the newest first.
func paceOf(past []*change.Change) pace {
	took := map[string][]time.Duration{}
	for _, c := range past {
		for _, s := range c.Steps {
			d := s.Finished.Sub(s.Started)
			if s.Status == change.StepDone && !s.Finished.IsZero() && d >= 0 && d < longestStep && len(took[s.Name]) < recent {
				took[s.Name] = append(took[s.Name], d)
			}
		}
	}
	p := pace{}
	for name, list := range took {
		p[name] = median(list)
	}
	return p
}

// median is 0 for nothing.
func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// atWork is how far the step at work is. Done and total are bytes, 0 where it has none.
type atWork struct {
	elapsed     time.Duration
	done, total int64
}

// leastSample is for how long a step must have moved bytes before its own speed says more than the past.
const leastSample = 3 * time.Second

// left is how long a change will take still, 0 when nothing is known of it. A step that moves bytes is reckoned by those that are left; any other by
// what it took in the past. A change that goes back has no end that can be told.
func left(c *change.Change, p pace, w atWork) time.Duration {
	if len(p) == 0 || c.Status() != change.Doing {
		return 0
	}
	number, step := c.Current()
	var sum time.Duration
	for _, s := range c.Steps[number:] {
		sum += p[s.Name]
	}
	usual := p[step.Name]
	switch {
	case w.total > 0 && w.done > 0 && w.done <= w.total && w.elapsed >= leastSample:
		usual = time.Duration(float64(w.elapsed) * float64(w.total-w.done) / float64(w.done))
	case w.total > 0 && w.done <= w.total:
		usual = time.Duration(float64(usual) * float64(w.total-w.done) / float64(w.total))
	default:
		usual = max(0, usual-w.elapsed)
	}
	return sum + usual
}

// updatesDone are the updates of a running site that worked, the newest first; one that was the first here says nothing of how long others take.
func (m *Manager) updatesDone() ([]*change.Change, error) {
	return m.Journal.Changes(func(c *change.Change) bool {
		var p applyPlan
		applies := c.Kind == KindApply || c.Kind == KindRollback || c.Kind == KindRestore
		return applies && c.Status() == change.Done && c.ReadPlan(&p) == nil && p.From != nil
	})
}

// usualDowntime is for how long users are kept out in an update of this site, 0 when nothing is known.
func usualDowntime(past []*change.Change) time.Duration {
	var list []time.Duration
	for _, c := range past {
		if away, err := timeAway(c); err == nil && away > 0 && len(list) < recent {
			list = append(list, away)
		}
	}
	return median(list)
}
