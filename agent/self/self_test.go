package self

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestTrials(t *testing.T) {
	for _, c := range []struct {
		how    string
		spoil  func(t *testing.T, path string) // what is on the disk, with the digest that the trial names
		runs   string
		result string
		reason string
	}{
		{how: "good", runs: "2.0.0", result: Done},
		{how: "crash", runs: "1.0.0", result: RolledBack, reason: "it ended: exit status 2: panic: no such table"},
		{how: "leave", runs: "1.0.0", result: RolledBack, reason: "it ended by itself"},
		{how: "hang", runs: "1.0.0", result: RolledBack, reason: "it did not prove itself within 3s: it has said nothing"},
		{how: "unwell", runs: "1.0.0", result: RolledBack, reason: "it did not prove itself within 3s: cannot open the journal"},
		{how: "late", runs: "1.0.0", result: RolledBack, reason: "it ended: exit status 2: fatal error: all goroutines are asleep"},
		{how: "lock", runs: "1.0.0", result: RolledBack, reason: "it did not prove itself within 3s: it has fallen silent"},
		{how: "brazen", runs: "1.0.0", result: RolledBack, reason: "it ended by itself"},
		{how: "babble", runs: "1.0.0", result: RolledBack, reason: "it ended: signal: killed"},
		{how: "offline", runs: "1.0.0", result: Undecided, reason: "no source answers it: no route"},
		{how: "engineless", runs: "1.0.0", result: Undecided, reason: "the engine does not answer it: connection refused"},
		{how: "deaf", runs: "1.0.0", result: RolledBack, reason: "it did not prove itself within 3s: the engine does not answer it: connection refused"},
		{how: "flapping", runs: "1.0.0", result: Undecided, reason: "the engine does not answer it: connection refused"},
		{how: "excused", runs: "1.0.0", result: RolledBack},
		{how: "not executable", runs: "1.0.0", result: RolledBack, reason: "it can't be executed: permission denied"},
		{how: "another machine", runs: "1.0.0", result: RolledBack, reason: "it can't be executed: exec format error"},
		{how: "no loader", runs: "1.0.0", result: RolledBack, reason: "it can't be executed: no such file or directory"},
		{how: "a script that fails", runs: "1.0.0", result: RolledBack, reason: "it ended: exit status 3: out of order"},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			site := newComputer(t)
			bytesOf := map[string]string{
				"another machine":     "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100),
				"no loader":           "#!/nowhere/ld-linux\n",
				"a script that fails": "#!/bin/sh\necho out of order >&2\nexit 3\n",
			}
			var p Program
			switch content, special := bytesOf[c.how]; {
			case special:
				if err := os.WriteFile(site.candidate(), []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
				d, _, err := digestOf(site.candidate())
				p = Program{Version: "2.0.0", Digest: d}
				if err := errors.Join(err, site.Begin(p, 7, Expect{Poll: true})); err != nil {
					t.Fatal(err)
				}
			case c.how == "not executable":
				p = site.trial(t, "good")
				if err := os.Chmod(site.candidate(), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				p = site.trial(t, c.how)
			}
			if how := c.how; how == "engineless" || how == "flapping" || how == "excused" {
				if err := os.WriteFile(noEngineIn(site.folder), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			said := site.boot(t)
			if !strings.HasPrefix(said, "the agent is "+c.runs+" pid ") || site.runs(t, p) != c.runs {
				t.Errorf("%s; in place: %s", said, site.runs(t, p))
			}
			s, err := site.State()
			if err != nil || s.Trial != nil || s.Last == nil || s.Last.Result != c.result || c.reason != "" && s.Last.Reason != c.reason || s.Last.Change != 7 {
				t.Errorf("state %+v %+v, %v", s, s.Last, err)
			}
			if failed := s.Failed != nil && s.Failed.Program == p; failed != (c.result == RolledBack) {
				t.Errorf("failed: %+v", s.Failed)
			}
			if _, err := os.Stat(site.candidate()); (err == nil) != (c.result == Undecided) {
				t.Errorf("the candidate: %v", err)
			}
			if said := site.boot(t); !strings.HasPrefix(said, "the agent is "+c.runs) {
				t.Errorf("started again: %s", said)
			}
		})
	}
}

// Somebody who reaches no source three times, while the old program does each time, is to blame.
func TestOfflineThreeTimes(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	p := site.trial(t, "offline")
	for n := 1; ; n++ {
		site.boot(t)
		s, err := site.State()
		if err != nil {
			t.Fatal(err)
		}
		if n == maxUnproven {
			if s.Failed == nil || s.Failed.Program != p || s.Unproven != nil || s.Last.Result != RolledBack {
				t.Errorf("state %+v", s)
			}
			return
		}
		if s.Unproven == nil || s.Unproven.Tries != n || s.Failed != nil {
			t.Fatalf("after %d: %+v", n, s)
		}
		if err := site.Begin(p, 7, Expect{Poll: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// The pid stays the same when the program changes: that is what a service manager watches.
func TestKeepsItsPid(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	site.trial(t, "good")
	cmd := exec.Command(site.program, "agent", site.folder)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "the agent is 2.0.0 pid " + itoa(pid) + "\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// A starter that is killed takes the candidate along, and the next start counts that attempt.
func TestStarterIsKilled(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	site.trial(t, "hang")
	for n := 1; n <= 2; n++ {
		cmd := exec.Command(site.program, "agent", site.folder)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return running(site.candidate()) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		until(t, func() bool { return !running(site.candidate()) })
		if s, err := site.State(); err != nil || s.Trial == nil || s.Trial.Attempts != n {
			t.Fatalf("state %+v, %v", s.Trial, err)
		}
	}
	for n := 3; n <= maxAttempts; n++ {
		s, _ := site.State()
		s.Trial.Attempts = n
		if err := site.save(s); err != nil {
			t.Fatal(err)
		}
	}
	site.boot(t)
	s, err := site.State()
	if want := "it was interrupted 5 times before it had proven itself"; err != nil || s.Last == nil || s.Last.Reason != want {
		t.Errorf("state %+v, %v", s.Last, err)
	}
}

// A stop of the service is no failure of the candidate.
func TestServiceIsStopped(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	site.trial(t, "hang")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan Next)
	go func() { done <- site.Start(ctx) }()
	until(t, func() bool { return running(site.candidate()) })
	cancel()
	if next := <-done; next != Ending || running(site.candidate()) {
		t.Errorf("next %v", next)
	}
	if s, err := site.State(); err != nil || s.Trial == nil || s.Trial.Attempts != 0 {
		t.Errorf("state %+v, %v", s.Trial, err)
	}
}

// A package puts its program over the old one in the middle of a trial.
func TestPackageInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, proved := range []bool{false, true} {
		site := newComputer(t)
		site.trial(t, "good")
		s, _ := site.State()
		s.Trial.Proven = proved
		if err := errors.Join(site.save(s), os.Remove(site.program)); err != nil {
			t.Fatal(err)
		}
		p := makes(t, site.program, "1.5.0", "good")
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.5.0") || site.runs(t, p) != "1.5.0" {
			t.Errorf("%s", said)
		}
		if s, err := site.State(); err != nil || s.Trial != nil || s.Failed != nil || s.Last.Result != Replaced {
			t.Errorf("state %+v, %v", s, err)
		}
	}
}

// What the state says may be anything: the program in place runs.
func TestBadStates(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	site.trial(t, "good")
	good, err := os.ReadFile(site.stateFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", "null", `{"format": 2}`, `{"format":1,"trial":{"to":{"digest":"x"}}}`, strings.Repeat(" ", maxState) + string(good)} {
		if err := os.WriteFile(site.stateFile(), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if next := site.Start(context.Background()); next != Run || site.runs(t) != "1.0.0" {
			t.Errorf("%.40q: next %v, in place %s", bad, next, site.runs(t))
		}
	}
}

// The candidate may be a second name of the program before, which a take-back has left when its trial could not be noted, and of what a package has
// brought: both stay what they are when another candidate is prepared.
func TestPrepareLeavesOtherNames(t *testing.T) {
	t.Parallel()
	site := newComputer(t)
	before := makes(t, oldOf(site.program), "0.9.0", "good")
	if err := site.bringBack(before); err != nil {
		t.Fatal(err)
	}
	p := makes(t, site.program+".source", "2.0.0", "good")
	data, err := os.ReadFile(site.program + ".source")
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Prepare(context.Background(), p, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if have, _, err := digestOf(oldOf(site.program)); err != nil || have != before.Digest {
		t.Errorf("the program before is overwritten: %v", err)
	}
	if have, _, err := digestOf(site.candidate()); err != nil || have != p.Digest {
		t.Errorf("the candidate is another one: %v", err)
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{
		"good": "",
		"liar": `the new program can't be used: it says that it is "9.9.9", and should be 2.0.0`,
		"cut":  "the new program can't be used: not a program for this platform: ",
		"text": "the new program can't be used: not a program for this platform: ",
	} {
		site := newComputer(t)
		path := site.program + ".source"
		p := makes(t, path, "2.0.0", how)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch how {
		case "cut":
			data = data[:len(data)/2]
		case "text":
			data = []byte("#!/bin/sh\necho '{\"version\": \"2.0.0\"}'\n")
		}
		if how == "cut" || how == "text" {
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
			p.Digest, _, _ = digestOf(path)
		}
		err = site.Prepare(context.Background(), p, bytes.NewReader(data))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, ErrUnfit)) {
			t.Errorf("%s: %v", how, err)
		}
		if _, err := os.Stat(site.candidate()); (err == nil) != (want == "") || site.runs(t) != "1.0.0" {
			t.Errorf("%s: the candidate: %v", how, err)
		}
	}
	site := newComputer(t)
	err := site.Prepare(context.Background(), Program{Version: "2.0.0", Digest: site.old.Digest}, strings.NewReader("something else"))
	if err == nil || !strings.HasPrefix(err.Error(), "cannot write the new program: ") || errors.Is(err, ErrUnfit) {
		t.Errorf("another digest: %v", err)
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"format":1,"trial":{"from":{"version":"1.0.0","digest":"sha256:0"},"to":{},"attempts":-1}}`))
	f.Add([]byte(`{"format":1,"failed":{"version":"1.0.0"},"last":{"result":"done"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseState(data); err == nil && s.Trial != nil && s.Trial.To.Digest.Validate() != nil {
			t.Error("a trial of nothing")
		}
	})
}

func until(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !what(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		<-time.After(5 * time.Millisecond)
	}
}
