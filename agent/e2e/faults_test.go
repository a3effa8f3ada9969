//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sample that scripts/test has time for: so many faults, double ones among them, and SIGKILLs at random moments.
const (
	sampleFaults = 64
	sampleDouble = 16
	sampleKills  = 50
	faultSeed    = 3
	faultWorkers = 4
)

// TestFaults lets the agent fail at its fault points, once or twice in an order, kills it at random moments besides, and expects each time the
// whole old or the whole new release with its data. It tries a sample; scripts/bench faults tries all ($DHOW_FAULTS how many, "all" for
// no limit; $DHOW_FAULTS_SEED; $DHOW_FAULTS_KILLS; $DHOW_FAULTS_ENGINE kills of the engine; $DHOW_FAULTS_ONLY a pattern that a fault's text must match).
func TestFaults(t *testing.T) {
	tried, double, kills, seed := sampleFaults, sampleDouble, sampleKills, uint64(faultSeed)
	whole := os.Getenv("DHOW_FAULTS")
	if whole != "" {
		tried, double, kills = number(t, "DHOW_FAULTS"), 0, number(t, "DHOW_FAULTS_KILLS")
		seed = uint64(number(t, "DHOW_FAULTS_SEED"))
	}
	sites, traces, spans := traced(t)
	passed := map[string]bool{}
	for _, o := range orders {
		for _, p := range traces[o.name] {
			passed[p] = true
		}
		t.Logf("%d fault points in %s: %s", len(traces[o.name]), o.name, traces[o.name])
	}
	single, doubles := faultPlan(traces, seed)
	pool := &faultPool{
		report: faultReport{points: map[string]bool{}, actions: map[string]int{}},
		jobs:   only(t, interleave(single, doubles, 3), os.Getenv("DHOW_FAULTS_ONLY")),
		kills:  kills, wanted: tried, double: double, seed: seed, random: rand.New(rand.NewPCG(seed, 50)), spans: spans,
	}
	t.Logf("%d faults in all, at %d points", len(pool.jobs), len(passed))
	t.Run("workers", func(t *testing.T) {
		if whole != "" {
			t.Run("engine", func(t *testing.T) {
				t.Parallel()
				pool.engineKills(t, number(t, "DHOW_FAULTS_ENGINE"))
			})
		}
		for i, k := range sites {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				pool.work(t, k)
			})
		}
	})
	r := &pool.report
	figure(t, "fault points: %d; tried: %s", len(passed), r)
	figure(t, "faults: %s", r.summary())
	if whole == "" && (len(r.points) < 40 || r.double < 15 || len(r.actions) < len(faultActions) || r.kills < sampleKills) {
		t.Errorf("too few were tried: %s", r)
	}
}

// traced makes a site for each worker, and carries every order out on one of them without faults.
func traced(t *testing.T) (sites []*faultSite, traces map[string][]string, spans map[string]time.Duration) {
	t.Helper()
	sites, traces, spans = make([]*faultSite, faultWorkers), map[string][]string{}, map[string]time.Duration{}
	var mu sync.Mutex
	good := t.Run("traces", func(group *testing.T) {
		for i := range sites {
			group.Run(strconv.Itoa(i), func(sub *testing.T) {
				sub.Parallel()
				// Each worker has images of its own: no site takes away what another one uses. The site outlives this part.
				k := newFaultSite(t, killFleet(t, fmt.Sprintf("faults%d", i)))
				sites[i], k.t, k.site.t = k, sub, sub
				for n := i; n < len(orders); n += faultWorkers {
					o := orders[n]
					points, span := k.trace(o)
					mu.Lock()
					traces[o.name], spans[o.name] = points, span
					mu.Unlock()
				}
			})
		}
	})
	if !good {
		t.FailNow()
	}
	return sites, traces, spans
}

func number(t testing.TB, variable string) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "all" {
		return 1 << 30
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("$%s: %v", variable, err)
	}
	return n
}

func only(t testing.TB, jobs []faultJob, pattern string) []faultJob {
	t.Helper()
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(jobs, func(j faultJob) bool { return !wanted.MatchString(j.String()) })
}

// faultPool hands out what is to be tried and counts what came of it.
type faultPool struct {
	mu             sync.Mutex
	jobs           []faultJob
	kills          int // random ones still to do
	wanted, double int
	given          int
	seed           uint64
	random         *rand.Rand
	spans          map[string]time.Duration
	report         faultReport
}

// next is a job for a site that runs a release: rather one that can begin at once. It has no faults when it is time for random kills.
func (p *faultPool) next(running string) (job faultJob, kills int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kills > 0 && (p.given%3 == 2 || len(p.jobs) == 0 || p.report.enough(p.wanted, p.double)) {
		p.given++
		kills = min(p.kills, 1+p.random.IntN(3))
		p.kills -= kills
		var fit []order
		for _, o := range orders {
			if o.from == running {
				fit = append(fit, o)
			}
		}
		return faultJob{order: fit[p.random.IntN(len(fit))]}, kills, true
	}
	if len(p.jobs) == 0 || p.report.enough(p.wanted, p.double) {
		return faultJob{}, 0, false
	}
	p.given++
	i := slices.IndexFunc(p.jobs[:min(len(p.jobs), 12)], func(j faultJob) bool { return j.order.from == running })
	i = max(i, 0)
	job = p.jobs[i]
	p.jobs = slices.Delete(p.jobs, i, i+1)
	return job, 0, true
}

// work tries one after another. A site on which something went wrong is left for a new one.
func (p *faultPool) work(t *testing.T, k *faultSite) {
	f := &fleet{name: strings.TrimSuffix(k.site.name, "-1"), centre: k.site.centre, sites: 1}
	for {
		job, kills, ok := p.next(k.running)
		if !ok {
			return
		}
		began := time.Now()
		name := job.String()
		if kills > 0 {
			name += " random-kills"
		}
		good := t.Run(name, func(t *testing.T) {
			k.t, k.site.t = t, t
			p.try(k, job, kills)
		})
		k.t, k.site.t = t, t
		t.Logf("%4.1fs %s", time.Since(began).Seconds(), name)
		if !good {
			p.mu.Lock()
			p.report.unclean++
			p.mu.Unlock()
			k.site.remove()
			k = newFaultSite(t, f)
		}
	}
}

// try does one order with its faults, or with SIGKILLs at random moments.
func (p *faultPool) try(k *faultSite, job faultJob, kills int) {
	k.t.Helper()
	o := job.order
	k.bring(o.from)
	either := k.prepare(o)
	dir := k.t.TempDir()
	var texts []string
	for _, f := range job.faults {
		texts = append(texts, f.String())
	}
	env := func(int) []string { return []string{"DHOW_FAULT=" + strings.Join(texts, ","), "DHOW_FAULT_DIR=" + dir} }
	k.launch(env)
	asked := k.ask(o)
	done := 0
	if kills > 0 {
		done = p.killAtRandom(k, o, asked, kills)
	}
	_, stuck := k.settle(o, asked, 90*time.Second, env)
	reached := make([]bool, len(job.faults))
	for i, f := range job.faults {
		reached[i] = k.reached(f, dir)
	}
	var lost string
	if stuck == "" {
		lost = k.judge(o, either)
	}
	p.mu.Lock()
	switch {
	case kills > 0:
		p.report.kills += done
		p.kills += kills - done
	case slices.Contains(reached, true):
		p.report.count(job, reached)
	default:
		p.report.missed++
	}
	if lost != "" {
		p.report.lost++
	}
	if stuck != "" {
		p.report.stuck++
	}
	p.mu.Unlock()
	if stuck != "" {
		k.t.Fatalf("stuck: %s\n%s", stuck, k.site.tail())
	}
	if lost != "" {
		k.t.Fatalf("lost: %s\n%s", lost, k.site.tail())
	}
	k.tidy()
	if k.t.Failed() {
		k.t.Log(k.site.tail())
	}
}

// launch starts the agent and waits until it answers; it may die several times before.
func (k *faultSite) launch(env func(int) []string) {
	k.t.Helper()
	s := k.site
	s.launch(env(0)...)
	poll(k.t, 30*time.Second, "the agent to answer", func() (bool, string) {
		if !s.running() {
			s.launch(env(0)...)
		}
		_, ok := s.look()
		return ok, s.tail()
	})
}

// reached reports whether a fault has happened. One in tidying up comes after the order's end.
func (k *faultSite) reached(f fault, dir string) bool {
	there := func() bool {
		_, err := os.Stat(filepath.Join(dir, f.noted()))
		return err == nil
	}
	deadline := time.Now().Add(3 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		if !strings.Contains(f.point, "clean-") || time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// killAtRandom kills the agent up to so many times while the order is being carried out, and answers how often it did.
func (p *faultPool) killAtRandom(k *faultSite, o order, asked chan Result, kills int) (done int) {
	k.t.Helper()
	s := k.site
	for range kills {
		p.mu.Lock()
		pause := time.Duration(p.random.Int64N(int64(p.spans[o.name])))
		p.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case r := <-asked:
			timer.Stop()
			asked <- r
			return done
		case <-timer.C:
		}
		s.kill()
		done++
		s.launch()
	}
	return done
}
