//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is what all tests share.
var world struct {
	registry string // HOST:PORT
	compose  string // path of another docker compose
	dhow     string // path of the program, built with fault points
	dhowctl  string
	temp     string
	source   string // this folder
}

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	world.registry, world.compose = os.Getenv("DHOW_E2E_REGISTRY"), os.Getenv("DHOW_E2E_COMPOSE")
	if world.registry == "" {
		return complain("DHOW_E2E_REGISTRY is not set: run these tests with scripts/test")
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + world.registry + "/v2/dhow-ledger/ledger/manifests/1.0.0")
	if err != nil {
		return complain("no registry answers: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return complain("the registry at %s does not hold the test images (%s): run these tests with scripts/test", world.registry, resp.Status)
	}
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		return complain("no Docker Engine answers: %s", out)
	}
	if world.source, err = os.Getwd(); err != nil {
		return complain("%v", err)
	}
	if world.temp, err = os.MkdirTemp("", "dhow-e2e-"); err != nil {
		return complain("%v", err)
	}
	defer os.RemoveAll(world.temp)
	tried := os.Getenv("DHOW_E2E_TRIED")
	if tried == "" {
		return complain("DHOW_E2E_TRIED is not set: run these tests with scripts/test")
	}
	if err := os.CopyFS(world.temp, os.DirFS(tried)); err != nil { // into the folder that machines see, too
		return complain("%v", err)
	}
	world.dhow, world.dhowctl = filepath.Join(world.temp, "dhow"), filepath.Join(world.temp, "dhowctl")
	return m.Run()
}

func complain(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return 1
}

// Result is how a command ended.
type Result struct {
	Command string
	Out     string // standard output
	Err     string // standard error
	Code    int
	Work    time.Duration // of a processor
}

func (r Result) String() string {
	return fmt.Sprintf("$ %s   [exit %d]\n%s%s", r.Command, r.Code, r.Out, r.Err)
}

// Text is standard output and error together.
func (r Result) Text() string { return r.Out + r.Err }

// command runs a program for at most four minutes.
func command(t testing.TB, dir string, env []string, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 2 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s did not end within four minutes\n%s%s", filepath.Base(name), strings.Join(args, " "), out.String(), errs.String())
	}
	r := Result{Command: filepath.Base(name) + " " + strings.Join(args, " "), Out: out.String(), Err: errs.String()}
	if err != nil {
		if cmd.ProcessState == nil {
			t.Fatalf("cannot run %s: %v", name, err)
		}
		r.Code = cmd.ProcessState.ExitCode()
	}
	r.Work = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r
}

// docker runs the docker client and fails the test when it fails.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	r := command(t, "", nil, "docker", args...)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return strings.TrimSpace(r.Out)
}

// lines splits the output of a command.
func lines(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// poll waits until cond holds, and fails the test after the deadline with what cond said last.
func poll(t testing.TB, within time.Duration, what string, cond func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, last := cond()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s; last seen: %s", within, what, last)
		}
		<-tick.C
	}
}

var figuresLock sync.Mutex

// figure records a measured number for the end of scripts/test.
func figure(t testing.TB, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	path := os.Getenv("DHOW_E2E_FIGURES")
	if path == "" {
		return
	}
	figuresLock.Lock()
	defer figuresLock.Unlock()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// step says in the log where a story has come to.
func step(t testing.TB, what string) {
	t.Helper()
	t.Logf("%s  %s", time.Now().Format(time.TimeOnly), what)
}
