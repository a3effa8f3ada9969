package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/bundle/split"
	"dhow/manifest/trust"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"dhow": main}) }

// TestScripts runs testdata/*.txtar. Each script has a fleet "emr" in $WORK/fleet, published as a folder, with its root in root.json, and
// $FINGERPRINT (and as somebody may write it down, $SPOKEN; $SECOND is that of the
// second root, which $WORK/rotated has); $DHOW_PREFIX is a short folder; $ENGINE is the address of an engine that is not running. Commands more:
//
//	fakeengine [PROJECT DIR FILE…]   starts an engine at $ENGINE, on which the containers of a stack run
//	fakeagent NAME                   starts an agent that behaves as NAME says, see agent_test.go
//	accept DIR VERSION               lets the site accept the manifest in DIR and keep that release document; $RELEASE is its digest
//	flip FILE                        flips a bit in the middle of FILE
//	exits CODE PROGRAM ARG…          runs a program and compares its exit code
//	mode FILE MODE                   compares the permission bits of FILE
//	parts FILE TO                    writes FILE as parts of 1 MB at TO, with one of parity
func TestScripts(t *testing.T) {
	f := newFleet(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// The path of a unix socket is limited, and that of $WORK is long.
			short, err := os.MkdirTemp("", "dhow")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(short) })
			e.Setenv("DHOW_PREFIX", short+"/p")
			e.Setenv("ENGINE", "unix://"+short+"/engine")
			e.Setenv("FINGERPRINT", f.fingerprint)
			e.Setenv("SECOND", f.second)
			e.Setenv("SPOKEN", strings.ReplaceAll(f.fingerprint, "-", ". "))
			e.Setenv("TZ", "UTC")
			return f.write(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fakeengine": fakeEngine, "fakeagent": fakeAgent, "exits": exits, "flip": flip, "mode": mode, "parts": inParts,
			"accept": accept,
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(path, data, 0o644))
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); got != args[1] {
		ts.Fatalf("%s has the mode %s, want %s", args[0], got, args[1])
	}
}

func inParts(ts *testscript.TestScript, _ bool, args []string) {
	_, err := split.Write(context.Background(), ts.MkAbs(args[1]), split.Options{Size: split.MinPart, Parity: 1}, func(w io.Writer) error {
		_, err := io.WriteString(w, ts.ReadFile(args[0]))
		return err
	})
	ts.Check(err)
}

func accept(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	client, err := trust.Open(site.Paths{Prefix: ts.Getenv("DHOW_PREFIX")}.Trust(), trust.Options{})
	ts.Check(err)
	src, err := fetch.Open(ctx, ts.MkAbs(args[0]))
	ts.Check(err)
	defer src.Close()
	_, err = client.Refresh(ctx, src, true)
	ts.Check(err)
	_, d, err := client.Release(ctx, src, args[1])
	ts.Check(err)
	ts.Setenv("RELEASE", d.String())
}
