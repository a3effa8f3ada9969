package self

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// The tests run real processes. A program is this test's own binary with a line at its end that says what it does: an ELF file does not mind
// what stands behind it.
const mark = "\nthis program is "

// TestMain is the test, or one of the programs.
func TestMain(m *testing.M) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	at := bytes.LastIndex(data, []byte(mark))
	if at < 0 || len(data)-at > 100 {
		os.Exit(m.Run())
	}
	words := strings.Fields(string(data[at+len(mark):]))
	os.Exit(act(path, words[0], words[1], os.Args[1:]))
}

// quick are the times of a trial in these tests.
func quick(program, folder, version string) Options {
	return Options{
		Program: program, Folder: folder, Version: version, Args: []string{"agent", folder},
		Settle: 300 * time.Millisecond, Limit: 3 * time.Second, Silence: 700 * time.Millisecond, Stop: 2 * time.Second,
		Pause: 10 * time.Millisecond,
		Away:  func(context.Context) bool { return engineDown(folder) },
	}
}

func noEngineIn(folder string) string { return filepath.Join(filepath.Dir(folder), "no engine") }

// engineDown reports whether what runs here says that there is no engine.
func engineDown(folder string) bool {
	_, err := os.Stat(noEngineIn(folder))
	return err == nil
}

// hang does nothing until the process is killed.
func hang() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, os.Interrupt) // nobody sends it; a channel that nothing can wake would end the program
	<-never
}

// act is what a program does.
func act(path, version, how string, args []string) int {
	if len(args) > 0 && args[0] == "version" {
		switch how {
		case "mute":
			hang()
		case "liar":
			version = "9.9.9"
		}
		fmt.Printf(`{"version": %q}`, version)
		return 0
	}
	expect, trial := OnTrial()
	if !trial { // the starter, and then the agent
		a := New(quick(path, args[1], version))
		if a.Start(context.Background()) == Again {
			fmt.Fprintln(os.Stderr, a.Exec())
			return 1
		}
		switch how {
		case "later": // the trial never comes to this
			panic("no such table: sticks")
		case "failing":
			a.Ended(fmt.Errorf("cannot open the journal: no such bucket"))
			return 1
		case "working":
			fmt.Println("the agent is", version, "pid", os.Getpid())
			hang()
		}
		a.Ended(nil)
		fmt.Println("the agent is", version, "pid", os.Getpid())
		return 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	check := func(context.Context) error { return nil }
	switch how {
	case "crash":
		panic("no such table")
	case "leave":
		return 0
	case "hang":
		hang()
	case "unwell":
		check = func(context.Context) error { return fmt.Errorf("cannot open the journal") }
	case "offline":
		check = func(context.Context) error {
			if expect.Poll {
				return fmt.Errorf("%w: no route", ErrNoSource)
			}
			return nil
		}
	case "engineless", "deaf":
		check = func(context.Context) error { return fmt.Errorf("%w: connection refused", ErrNoEngine) }
	case "flapping": // the engine comes back, and is not there for long enough
		again := false
		check = func(context.Context) error {
			if again = !again; again {
				return fmt.Errorf("%w: connection refused", ErrNoEngine)
			}
			return os.RemoveAll(noEngineIn(args[1]))
		}
	case "excused": // the engine was away, and that was not all
		again := false
		check = func(context.Context) error {
			if again = !again; again {
				return fmt.Errorf("%w: connection refused", ErrNoEngine)
			}
			return errors.Join(fmt.Errorf("cannot open the journal"), os.RemoveAll(noEngineIn(args[1])))
		}
	case "late": // it is ready, and crashes before the time is over
		check = func(context.Context) error {
			if time.Since(began) > 150*time.Millisecond {
				fmt.Fprintln(os.Stderr, "fatal error: all goroutines are asleep")
				os.Exit(2)
			}
			return nil
		}
	case "lock": // it is ready, and hangs then
		check = func(context.Context) error {
			if time.Since(began) > 150*time.Millisecond {
				hang()
			}
			return nil
		}
	case "babble":
		fmt.Print(strings.Repeat("x", 100_000))
		hang()
	case "brazen": // it says well at once and as often as it can, and goes
		for range 1000 {
			fmt.Println(saysWell)
		}
		return 0
	}
	Prove(ctx, os.Stdin, os.Stdout, 50*time.Millisecond, cancel, check)
	return 0
}

// makes writes a program.
func makes(t *testing.T, path, version, how string) Program {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	data = fmt.Appendf(data, "%s%s %s\n", mark, version, how)
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return Program{Version: version, Digest: digest.FromBytes(data)}
}

// computer is a site's program and its state.
type computer struct {
	*Agent
	program, folder string
	old             Program
}

func newComputer(t *testing.T) *computer {
	t.Helper()
	dir := t.TempDir()
	c := &computer{program: filepath.Join(dir, "dhow"), folder: filepath.Join(dir, "state")}
	c.old = makes(t, c.program, "1.0.0", "good")
	c.Agent = New(quick(c.program, c.folder, "1.0.0"))
	return c
}

// trial has a candidate wait for its trial.
func (c *computer) trial(t *testing.T, how string) Program {
	t.Helper()
	p := makes(t, c.candidate(), "2.0.0", how)
	if err := c.Begin(p, 7, Expect{Poll: true}); err != nil {
		t.Fatal(err)
	}
	return p
}

// runs is the version of the program in place, by its file.
func (c *computer) runs(t *testing.T, p ...Program) string {
	t.Helper()
	d, _, err := digestOf(c.program)
	if err != nil {
		t.Fatalf("no program is in place: %v", err)
	}
	for _, p := range append(p, c.old) {
		if p.Digest == d {
			return p.Version
		}
	}
	return "something else"
}

// boot starts the service as an init system does, and returns what the agent says in the end.
func (c *computer) boot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(c.program, "agent", c.folder).Output()
	if err != nil {
		t.Fatalf("the service ended: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}
