package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// memory is a journal that keeps what was saved, as bytes, and can refuse to.
type memory struct {
	saved  []byte
	facts  map[string]string
	saves  int
	refuse int // the save with this number fails
}

func (m *memory) NextID() (uint64, error) { return 1, nil }

func (m *memory) Save(c *Change, facts map[string]json.RawMessage) error {
	m.saves++
	if m.saves == m.refuse {
		return syscall.ENOSPC
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	m.saved = data
	for k, v := range facts {
		if m.facts == nil {
			m.facts = map[string]string{}
		}
		m.facts[k] = string(v)
	}
	return nil
}

// world is what a program's handlers change: the effects, newest last, and the log of events.
type world struct {
	effects []string
	events  []string
	fails   map[string]int // handler name to how often it fails
	retries map[string]int
	journal *memory
}

func (w *world) add(e string) {
	if !slices.Contains(w.effects, e) {
		w.effects = append(w.effects, e)
	}
}

func (w *world) remove(e string) {
	w.effects = slices.DeleteFunc(w.effects, func(x string) bool { return x == e })
}

// program makes a kind from words: "a b! c" are three steps, the one with ! is the commit.
func (w *world) program(words string) Kind {
	k := Kind{Interruptions: 3, Ended: func(c *Change) map[string]any { return map[string]any{"ended": c.Cause.Step} }}
	for _, word := range strings.Fields(words) {
		name := strings.TrimSuffix(word, "!")
		k.Steps = append(k.Steps, Step{
			Name:   name,
			Commit: word != name,
			Do: func(_ context.Context, t *Task) error {
				if err := t.Save(name); err != nil {
					return err
				}
				w.add(name)
				if w.retries[name] > 0 {
					w.retries[name]--
					w.events = append(w.events, "retry:"+name)
					return &Retry{After: time.Second, Err: errors.New("not yet")}
				}
				if w.fails[name] > 0 {
					w.fails[name]--
					w.events = append(w.events, "fail:"+name)
					return &Failure{Class: ClassRelease, Err: fmt.Errorf("%s is broken", name)}
				}
				w.events = append(w.events, name)
				return t.Set("last", name)
			},
			Undo: func(context.Context, *Task) error {
				if w.fails["-"+name] > 0 {
					w.fails["-"+name]--
					w.events = append(w.events, "fail:-"+name)
					return errors.New("cannot undo")
				}
				w.remove(name)
				w.events = append(w.events, "-"+name)
				return nil
			},
			Cleanup: func(context.Context, *Task) error {
				if w.fails["~"+name] > 0 {
					w.fails["~"+name]--
					return errors.New("cannot clean")
				}
				w.events = append(w.events, "~"+name)
				return nil
			},
		})
	}
	return k
}

func (w *world) runner(k Kind, fault func(string) error) *Runner {
	now := time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	return &Runner{
		Kinds: map[string]Kind{"test": k}, Journal: w.journal, Fault: fault,
		Now:  func() time.Time { now = now.Add(time.Second); return now },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func TestSequences(t *testing.T) {
	for _, tt := range []struct {
		name    string
		program string
		fails   map[string]int
		retries map[string]int
		events  string
		status  Status
		effects string
	}{
		{"all well", "a b c!", nil, nil, "a b c ~a ~b ~c", Done, "a b c"},
		{"first fails", "a b c!", map[string]int{"a": 1}, nil, "fail:a -a ~a", Undone, ""},
		{"last before commit fails", "a b c!", map[string]int{"c": 1}, nil, "a b fail:c -c -b -a ~a ~b ~c", Undone, ""},
		{"after the commit only repeats", "a b! c", map[string]int{"c": 3}, nil, "a b fail:c fail:c fail:c c ~a ~b ~c", Done, "a b c"},
		{"retry is no failure", "a b!", nil, map[string]int{"a": 4}, "retry:a retry:a retry:a retry:a a b ~a ~b", Done, "a b"},
		{"undo repeats until it works", "a b c!", map[string]int{"b": 1, "-b": 4}, nil, "a fail:b fail:-b fail:-b fail:-b fail:-b -b -a ~a ~b", Undone, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{fails: tt.fails, retries: tt.retries, journal: &memory{}}
			r := w.runner(w.program(tt.program), nil)
			c, err := r.Start("test", "plan", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Run(context.Background(), c); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(w.events, " "); got != tt.events {
				t.Errorf("events\n got %s\nwant %s", got, tt.events)
			}
			if c.Status() != tt.status || c.Finished.IsZero() || !c.Cleaned {
				t.Errorf("status %s finished %v cleaned %v, want %s", c.Status(), c.Finished, c.Cleaned, tt.status)
			}
			if got := strings.Join(w.effects, " "); got != tt.effects {
				t.Errorf("effects %q, want %q", got, tt.effects)
			}
			if tt.status == Undone && w.journal.facts["ended"] == "" {
				t.Error("the facts of the end were not written")
			}
		})
	}
}

// restart runs the program again and again. At every point in cuts the run dies, as often as the number says: its goroutine ends there,
// so that nothing after the point happens, like a killed process.
func restart(t *testing.T, w *world, k Kind, cuts map[string]int) *Change {
	t.Helper()
	fault := func(point string) error {
		if cuts[point] > 0 {
			cuts[point]--
			runtime.Goexit()
		}
		return nil
	}
	r := w.runner(k, fault)
	if _, err := r.Start("test", "plan", nil); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c := new(Change)
		if err := json.Unmarshal(w.journal.saved, c); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			defer close(ended)
			ended <- r.Run(context.Background(), c)
		}()
		if err, ok := <-ended; ok {
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatal("never ended")
	return nil
}

// TestCrashAnywhere kills before and after every handler, alone and in pairs, in a good run and in a failing one.
func TestCrashAnywhere(t *testing.T) {
	for _, failing := range []string{"", "d"} {
		var points []string
		for _, s := range []string{"a", "b", "c", "d", "e"} {
			points = append(points, s+"/before", s+"/after", "undo-"+s+"/before", "undo-"+s+"/after")
		}
		for _, p := range points {
			for _, q := range points {
				fails := map[string]int{}
				if failing != "" {
					fails[failing] = 99
				}
				w := &world{fails: fails, journal: &memory{}}
				c := restart(t, w, w.program("a b c d! e"), map[string]int{p: 1, q: 1})
				want, status := "a b c d e", Done
				if failing != "" {
					want, status = "", Undone
				}
				if got := strings.Join(w.effects, " "); got != want || c.Status() != status {
					t.Fatalf("killed at %s and %s, failing %q: effects %q status %s, want %q %s", p, q, failing, got, c.Status(), want, status)
				}
			}
		}
	}
}

func TestTooManyInterruptions(t *testing.T) {
	w := &world{journal: &memory{}}
	c := restart(t, w, w.program("a b c!"), map[string]int{"b/before": 3})
	if c.Status() != Undone || c.Cause.Class != ClassInterrupted || c.Cause.Message != "step b was interrupted 3 times" {
		t.Fatalf("got %s, cause %+v", c.Status(), c.Cause)
	}
	w = &world{journal: &memory{}}
	c = restart(t, w, w.program("a b! c"), map[string]int{"c/before": 20})
	if c.Status() != Done {
		t.Fatalf("after the commit: got %s, want done", c.Status())
	}
}

func TestJournalFullStopsTheRun(t *testing.T) {
	for n := 2; n < 30; n++ {
		w := &world{journal: &memory{}}
		k := w.program("a b c!")
		r := w.runner(k, nil)
		c, err := r.Start("test", "plan", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.journal.refuse = n
		err = r.Run(context.Background(), c)
		if w.journal.saves < n {
			if err != nil {
				t.Fatal(err)
			}
			return // past the last save of a whole run
		}
		if !errors.Is(err, ErrJournal) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("save %d refused: got %v", n, err)
		}
		again := new(Change)
		if err := json.Unmarshal(w.journal.saved, again); err != nil {
			t.Fatal(err)
		}
		if err := r.Run(context.Background(), again); err != nil || again.Status() != Done {
			t.Fatalf("save %d refused, run again: %v %s", n, err, again.Status())
		}
	}
	t.Fatal("a run never needs fewer than 30 saves")
}

func TestShutdownIsNoFailure(t *testing.T) {
	w := &world{journal: &memory{}}
	ctx, cancel := context.WithCancel(context.Background())
	k := Kind{Interruptions: 2, Steps: []Step{{Name: "a", Do: func(ctx context.Context, _ *Task) error { cancel(); return ctx.Err() }}}}
	r := w.runner(k, nil)
	c, err := r.Start("test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := r.Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if c.Cause != nil || c.Steps[0].Begun != 0 || c.Status() != Doing {
		t.Fatalf("a shutdown was counted: %+v", c)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	w := &world{journal: &memory{}}
	r := w.runner(Kind{Steps: []Step{{Name: "a", Do: func(context.Context, *Task) error { panic("oops") }}}}, nil)
	c, err := r.Start("test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if c.Status() != Undone || !strings.HasPrefix(c.Cause.Message, "internal error: panic in step a: oops") {
		t.Fatalf("%s %+v", c.Status(), c.Cause)
	}
}

func TestAbandonBeforeTheFirstStep(t *testing.T) {
	w := &world{journal: &memory{}}
	r := w.runner(w.program("a b!"), nil)
	c, err := r.Start("test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Abandon(c, Cause{Class: ClassReplaced, Message: "something else was asked for"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if c.Status() != Undone || c.Finished.IsZero() || len(w.effects) != 0 {
		t.Fatalf("%s %+v", c.Status(), c)
	}
}

func TestCleanupIsTriedAgain(t *testing.T) {
	w := &world{fails: map[string]int{"~a": 1}, journal: &memory{}}
	r := w.runner(w.program("a!"), nil)
	c, err := r.Start("test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), c); err != nil || c.Cleaned {
		t.Fatalf("err %v cleaned %v", err, c.Cleaned)
	}
	if err := r.Run(context.Background(), c); err != nil || !c.Cleaned {
		t.Fatalf("err %v cleaned %v", err, c.Cleaned)
	}
	if got := strings.Join(w.events, " "); got != "a ~a" {
		t.Fatalf("events %s: Do ran again", got)
	}
}

func TestSecretsAreTakenOutOfCausesAndTrouble(t *testing.T) {
	w := &world{fails: map[string]int{"b": 1, "-b": 1}, journal: &memory{}}
	k := w.program("a b!")
	do, undo := k.Steps[1].Do, k.Steps[1].Undo
	k.Steps[1].Do = func(ctx context.Context, t *Task) error {
		return fmt.Errorf("denied for s3cret: %w", do(ctx, t))
	}
	k.Steps[1].Undo = func(ctx context.Context, t *Task) error {
		if err := undo(ctx, t); err != nil {
			return fmt.Errorf("s3cret is not right: %w", err)
		}
		return nil
	}
	r := w.runner(k, nil)
	r.Redact = func(text string) string { return strings.ReplaceAll(text, "s3cret", "***") }
	var seen []string
	r.Observer = func(c *Change, _ Progress) {
		if s := c.Steps[1].Trouble; s != "" && !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	c, err := r.Start("test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if c.Cause.Message != "denied for ***: b is broken" || c.Cause.Class != ClassRelease {
		t.Errorf("cause %+v", c.Cause)
	}
	if !slices.Equal(seen, []string{"*** is not right: cannot undo"}) {
		t.Errorf("trouble %q", seen)
	}
}
