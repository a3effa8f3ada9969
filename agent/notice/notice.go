package notice

import (
	"context"
	"log/slog"
	"time"

	"dhow/agent/api"
	"dhow/agent/words"
)

// Config says how people are told.
type Config struct {
	Hook     []string // the command and its arguments; empty for none
	Desktop  bool
	Language string
}

// Options are the parts of a Teller. All fields are required.
type Options struct {
	Status  func(ctx context.Context) (api.Status, error)
	History func(ctx context.Context) ([]api.Update, error)
	// Changed returns a channel that is closed when anything changes.
	Changed func() <-chan struct{}
	// Recall returns what was told, nil for nothing ever; Keep keeps it, on the disk when it returns.
	Recall func() (*Told, error)
	Keep   func(Told) error
	Config func() Config // as it is now
	Log    *slog.Logger
	Now    func() time.Time
}

// Teller tells people what happens.
type Teller struct {
	Options
	sessions string // the folder of the folders of those who are logged in
	leastUID int    // people have no lower number
	hookTime time.Duration
	busTime  time.Duration

	began  time.Time
	steady *steady
}

// How often the site is looked at when nothing changes, how long at least is between two looks, and how many events may wait for a hook or a desktop.
const (
	lookEvery = 30 * time.Second
	lookPause = 3 * time.Second
	answers   = 20 * time.Second
	maxQueue  = 32
)

// How long a hook may take, and a session bus.
const (
	hookTime = 30 * time.Second
	busTime  = 5 * time.Second
)

// New makes a Teller; nothing happens before Run.
func New(o Options) *Teller {
	return &Teller{Options: o, sessions: "/run/user", leastUID: 1000, hookTime: hookTime, busTime: busTime, began: time.Now(), steady: newSteady()}
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	hooks, desktops := make(chan Event, maxQueue), make(chan Event, maxQueue)
	done := make(chan struct{}, 2)
	go func() { t.each(ctx, hooks, t.hook); done <- struct{}{} }()
	go func() { t.each(ctx, desktops, t.desktop); done <- struct{}{} }()
	defer func() { <-done; <-done }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changed := t.Changed()
		for _, e := range t.look(ctx) {
			t.Log.Info("people are told", "event", e.Kind, "from", e.From, "to", e.To, "receipt", e.Receipt, "reason", e.Reason)
			for _, to := range []chan Event{hooks, desktops} {
				select {
				case to <- e:
				default:
					t.Log.Warn("too many events wait to be told, so one is left out", "event", e.Kind)
				}
			}
		}
		if !wait(ctx, lookPause) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *Teller) each(ctx context.Context, list <-chan Event, tell func(context.Context, Event)) {
	for {
		select {
		case e := <-list:
			tell(ctx, e)
		case <-ctx.Done():
			return
		}
	}
}

// look returns what is to be told now. It has been kept by then that it was told.
func (t *Teller) look(ctx context.Context) []Event {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	told, err := t.Recall()
	if err != nil {
		t.Log.Warn("cannot read what people were told", "error", err)
		return nil
	}
	status, err := t.Status(ctx)
	if err != nil {
		return nil // whoever asks hears of it; the next look is soon
	}
	history, err := t.History(ctx)
	if err != nil {
		return nil
	}
	var before []string
	if told != nil {
		before = told.Needs
	}
	list, now := Events(told, status, history, t.steady.of(status.Needs, before, time.Since(t.began)))
	if told == nil || !same(*told, now) {
		if err := t.Keep(now); err != nil {
			t.Log.Warn("cannot keep what people are told, so they are not", "error", err)
			return nil
		}
	}
	said := words.For(t.Config().Language, status.Language)
	for i := range list {
		list[i].When, list[i].language = t.Now().Round(0), said.Language()
		list[i].Text = list[i].title(said) + " " + list[i].body(said)
	}
	return list
}
