//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// faultActions are what can happen at a point.
var faultActions = []string{"kill", "panic", "enospc", "eio"}

// fault is an action at a point.
type fault struct{ point, action string }

func (f fault) String() string { return f.point + ":" + f.action }

// noted is the name of the file by which the point tells that it has acted.
func (f fault) noted() string { return strings.ReplaceAll(f.point, "/", "_") }

// faultJob is an order in which one fault, or two, happen.
type faultJob struct {
	order  order
	faults []fault
}

func (j faultJob) String() string {
	text := j.order.name
	for _, f := range j.faults {
		text += " " + f.String()
	}
	return text
}

// trace carries an order out and answers how long it took and the points that were passed, without those of the same place in the same step
// beyond the third and before the last: they are looks at something that takes its time.
func (k *faultSite) trace(o order) (list []string, span time.Duration) {
	k.t.Helper()
	k.bring(o.from)
	either := k.prepare(o)
	file := filepath.Join(k.site.prefix, "trace-"+o.name)
	env := func(int) []string { return []string{"DHOW_FAULT_TRACE=" + file} }
	k.site.start(env(0)...)
	began := time.Now()
	if _, stuck := k.settle(o, k.ask(o), time.Minute, env); stuck != "" {
		k.t.Fatal(stuck)
	}
	span = time.Since(began)
	if o.backup == nil || o.name == "restore" {
		poll(k.t, 10*time.Second, "the agent to tidy up", func() (bool, string) {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "clean-check-site/after"), string(text)
		})
	}
	if lost := k.judge(o, [2]side{either[1], either[1]}); lost != "" {
		k.t.Fatalf("%s without a fault: %s", o.name, lost)
	}
	k.tidy()
	text, err := os.ReadFile(file)
	if err != nil {
		k.t.Fatal(err)
	}
	last := map[string]string{}
	for _, p := range lines(string(text)) {
		place, _, _ := strings.Cut(p, "#")
		last[place] = p
	}
	for _, p := range lines(string(text)) {
		place, number, _ := strings.Cut(p, "#")
		if len(number) == 1 && number <= "3" || last[place] == p {
			list = append(list, p)
		}
	}
	return list, span
}

// faultPlan is all jobs that there are, made from the traces of all orders, in an order that the seed decides.
func faultPlan(traces map[string][]string, seed uint64) (single, double []faultJob) {
	random := rand.New(rand.NewPCG(seed, 18))
	pick := func(list []string) fault {
		return fault{list[random.IntN(len(list))], faultActions[random.IntN(len(faultActions))]}
	}
	for _, o := range orders {
		for _, p := range traces[o.name] {
			for _, action := range faultActions {
				single = append(single, faultJob{o, []fault{{p, action}}})
			}
		}
		if !o.fails {
			continue
		}
		// A second fault while the first one, or the release itself, is being undone.
		var before, undo []string
		for _, p := range traces[o.name] {
			if strings.Contains(p, "undo-") {
				undo = append(undo, p)
			} else if strings.Contains(p, "start-release") || strings.Contains(p, "check-health") || strings.Contains(p, "arm-restore") {
				before = append(before, p)
			}
		}
		for _, p := range undo {
			for _, action := range faultActions {
				double = append(double, faultJob{o, []fault{pick(before), {p, action}}})
				if again := pick(undo); again.point != p {
					double = append(double, faultJob{o, []fault{{p, action}, again}})
				}
			}
		}
	}
	for _, list := range [][]faultJob{single, double} {
		random.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	}
	return single, double
}

// interleave puts one of b after every n of a.
func interleave(a, b []faultJob, n int) (all []faultJob) {
	for i, j := range a {
		all = append(all, j)
		if (i+1)%n == 0 && len(b) > 0 {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(all, b...)
}

// faultReport counts what was tried and what came of it.
type faultReport struct {
	tried, missed, lost, stuck, unclean int
	double, kills, engine               int
	points                              map[string]bool
	actions                             map[string]int
}

func (r *faultReport) count(j faultJob, reached []bool) {
	r.tried++
	all := true
	for i, f := range j.faults {
		all = all && reached[i]
		if reached[i] {
			r.points[f.point] = true
			r.actions[f.action]++
		}
	}
	if all && len(j.faults) > 1 {
		r.double++
	}
}

// enough reports whether a sample is large enough.
func (r *faultReport) enough(tried, double int) bool { return r.tried >= tried && r.double >= double }

func (r *faultReport) String() string {
	text := fmt.Sprintf("%d distinct points;", len(r.points))
	for _, a := range faultActions {
		text += fmt.Sprintf(" %s %d", a, r.actions[a])
	}
	return text + fmt.Sprintf("; %d double faults, %d random kills, %d of the engine; %d not passed again, %d not left clean",
		r.double, r.kills, r.engine, r.missed, r.unclean)
}

// summary is the line by which the whole is judged.
func (r *faultReport) summary() string {
	return fmt.Sprintf("tried=%d lost=%d stuck=%d", r.tried+r.kills+r.engine, r.lost, r.stuck)
}

func TestFaultPlan(t *testing.T) {
	traces := map[string][]string{
		"update":         {"copy-ahead/before#1", "durable/rename@copy-ahead#1"},
		"failing-update": {"start-release/before#1", "undo-start-release/before#1"},
	}
	single, double := faultPlan(traces, 1)
	if len(single) != 16 || len(double) < 4 {
		t.Errorf("%d single and %d double faults", len(single), len(double))
	}
	again, _ := faultPlan(traces, 1)
	if !slices.EqualFunc(single, again, func(a, b faultJob) bool { return a.String() == b.String() }) {
		t.Error("the same seed gives another order")
	}
}
