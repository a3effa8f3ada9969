//go:build e2e

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"dhow/agent/api"
)

// randomMoment is one at which something befalls the engine somewhere in an update.
func randomMoment(random *rand.Rand) moment {
	do := []string{
		"load-images", "stage-release", "copy-ahead", "close-doors", "back-up", "arm-restore", "start-release", "check-health", "commit-release", "open-doors",
	}
	undo := []string{"undo-start-release", "undo-arm-restore", "undo-close-doors", "undo-load-images"}
	what := []string{killed, restarted, powerCut, lateStart}
	m := moment{what: what[random.IntN(len(what))], after: time.Duration(random.Int64N(int64(500 * time.Millisecond)))}
	steps := do
	if m.failing = random.IntN(2) == 0; m.failing {
		steps = append(do[:7:7], undo...) // it may fail while it starts
	}
	m.point = steps[random.IntN(len(steps))] + "/before"
	return m
}

// engineKills lets things befall an engine at random moments of updates.
func (p *faultPool) engineKills(t *testing.T, count int) {
	random := rand.New(rand.NewPCG(p.seed, 27))
	var e *engineSite
	for range count {
		if e == nil {
			e = newEngineSite(t, "faultengine")
		}
		m := randomMoment(random)
		began := time.Now()
		good := t.Run(m.what+" at "+m.point, func(t *testing.T) {
			e.t, e.site.t, e.engine.t = t, t, t
			e.befall(m)
		})
		e.t, e.site.t, e.engine.t = t, t, t
		t.Logf("%4.1fs %+v", time.Since(began).Seconds(), m)
		p.mu.Lock()
		p.report.engine++
		if !good {
			// Whatever was not as it should be counts as a loss, unless the site does not come to rest.
			if st, ok := e.site.look(); !ok || st.State != api.StateIdle && st.State != api.StateReady {
				p.report.stuck++
			} else {
				p.report.lost++
			}
		}
		p.mu.Unlock()
		if !good {
			return // the engine may be of no use any more
		}
	}
}
