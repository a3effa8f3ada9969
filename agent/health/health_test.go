package health

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// at is what the engine reports from a moment on, counted from the beginning.
type at struct {
	after    time.Duration
	services []Service
	err      error
}

// play answers like an engine that goes through moments.
func play(moments []at) func(context.Context) ([]Service, error) {
	start := time.Now()
	return func(context.Context) ([]Service, error) {
		var now at
		for _, m := range moments {
			if time.Since(start) >= m.after {
				now = m
			}
		}
		return now.services, now.err
	}
}

func TestWait(t *testing.T) {
	db := Service{Name: "db", State: "running", Health: "healthy"}
	web := Service{Name: "web", State: "running"}
	job := Service{Name: "job", State: "exited", OneShot: true}
	as := func(s Service, change func(*Service)) Service { change(&s); return s }
	starting := as(db, func(s *Service) { s.Health = "starting" })
	sick := as(db, func(s *Service) {
		s.Health, s.HealthLog = "unhealthy", "\x1b\r\n  Unknown column 'dob\x07' \nmore"
	})
	for _, c := range []struct {
		what    string
		moments []at
		want    string // "" for success
		took    time.Duration
	}{
		{"healthy at once", []at{{services: []Service{db}}}, "", 0},
		{"healthy later", []at{{services: []Service{starting}}, {after: time.Minute, services: []Service{db}}}, "", time.Minute},
		{"sick, then healthy", []at{{services: []Service{sick}}, {after: time.Minute, services: []Service{db}}}, "", time.Minute},
		{"no health check", []at{{services: []Service{web}}}, "", 10 * time.Second},
		{"no health check, healthy neighbour", []at{{services: []Service{web, db, job}}}, "", 10 * time.Second},
		{
			"a restart begins the settling anew", []at{
				{services: []Service{web}},
				{after: 9 * time.Second, services: []Service{as(web, func(s *Service) { s.Restarts = 1 })}},
			}, "", 19 * time.Second,
		},
		{
			"restarts older than we look do not count",
			[]at{{services: []Service{as(web, func(s *Service) { s.Restarts = 7 })}}},
			"", 10 * time.Second,
		},
		{
			"the engine is away for a while",
			[]at{{err: errors.New("connection refused")}, {after: time.Minute, services: []Service{db}}},
			"", time.Minute,
		},
		{
			"a one-shot that was removed after its work",
			[]at{{services: []Service{job, starting}}, {after: time.Minute, services: []Service{db}}},
			"", time.Minute,
		},
		{
			"never healthy",
			[]at{{services: []Service{sick}}},
			`db did not become healthy in 15m0s: "Unknown column 'dob'"`, 15 * time.Minute,
		},
		{"never there", []at{{}}, "no service was there within 15m0s", 15 * time.Minute},
		{
			"engine away for ever",
			[]at{{err: errors.New("connection refused")}},
			"the engine did not say how the services are: connection refused", 15 * time.Minute,
		},
		{
			"ended",
			[]at{{services: []Service{db}}, {services: []Service{db, as(web, func(s *Service) { s.State, s.ExitCode = "exited", 137 })}}},
			"web ended with exit code 137", 0,
		},
		{
			"ended without an error",
			[]at{{services: []Service{db, as(web, func(s *Service) { s.State = "exited" })}}},
			"web ended with exit code 0", 0,
		},
		{
			"one-shot failed",
			[]at{{services: []Service{as(job, func(s *Service) { s.ExitCode, s.HealthLog = 2, "no table" })}}},
			`job ended with exit code 2: "no table"`, 0,
		},
		{
			"one-shot never ends",
			[]at{{services: []Service{db, as(job, func(s *Service) { s.State = "running" })}}},
			"job did not end in 15m0s", 15 * time.Minute,
		},
		{
			"never started",
			[]at{{services: []Service{as(web, func(s *Service) { s.State = "created" })}}},
			"web is created, not running, after 15m0s", 15 * time.Minute,
		},
		{
			"vanished",
			[]at{{services: []Service{starting, web}}, {after: time.Second, services: []Service{db}}},
			"web has vanished", 15 * time.Minute,
		},
		{
			"the first by name is named",
			[]at{{services: []Service{as(web, func(s *Service) { s.Health = "starting" }), starting}}},
			"db did not become healthy in 15m0s", 15 * time.Minute,
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := Wait(t.Context(), play(c.moments), Options{Within: 15 * time.Minute, Settle: 10 * time.Second})
				took := time.Since(start)
				if c.want == "" && err != nil {
					t.Fatalf("failed: %v", err)
				}
				if f := (*Failure)(nil); c.want != "" && (!errors.As(err, &f) || err.Error() != c.want) {
					t.Fatalf("got  %v\nwant %s", err, c.want)
				}
				if took < c.took || took > c.took+lastPause {
					t.Errorf("took %v, expected about %v", took, c.took)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := Wait(ctx, play([]at{{services: []Service{{Name: "db", State: "running", Health: "starting"}}}}), Options{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBrief(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		" \n\t\n":                      "",
		"\n\n one \n two":              "one",
		"a\x00b\x1b[31mc\u202ed\x9b":   "ab[31mcd",
		strings.Repeat("x", 500):       strings.Repeat("x", 160),
		strings.Repeat("x", 159) + "é": strings.Repeat("x", 159),
	} {
		if got := brief(in, 160); got != want {
			t.Errorf("brief(%q) is %q, want %q", in, got, want)
		}
	}
}
