//go:build faults

package offsite

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test program, started again by TestEveryFault, do one thing at a place and be stopped in it.
func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv("DHOW_OFFSITE_CHILD"), "\n")
	if len(args) != 3 {
		os.Exit(m.Run())
	}
	if err := child(args[0], args[1], args[2]); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func child(what, dir, to string) error {
	ctx := context.Background()
	p, err := OpenPlace(ctx, dir, noSecret)
	if err != nil {
		return err
	}
	if what == "drop" {
		_, err = Drop(ctx, p, site, []string{"b1", "b2"}, nil)
	} else {
		_, err = Send(ctx, p, site, "b2", twoBackups(), to, nil)
	}
	return errors.Join(err, p.Close())
}

func twoBackups() *archive {
	a := newArchive()
	a.add("b1", map[string]int{"p1": 2000, "p2": 3000})
	a.add("b2", map[string]int{"p2": 3000, "p3": 100_000})
	return a
}

// Killed, or told that the disk is full or broken, at every fault point that a copy to a folder and the removal of an old one pass: the older
// copy is whole, and doing it again completes.
func TestEveryFault(t *testing.T) {
	ctx := context.Background()
	a := twoBackups()
	ids, to := keys(t)
	run := func(what, dir string, env ...string) (string, error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), append(env, "DHOW_OFFSITE_CHILD="+what+"\n"+dir+"\n"+to)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for what, whole := range map[string][]string{"send": {"b1", "b2"}, "drop": {"b2"}} {
		prepare := func() (Place, string) {
			dir := t.TempDir()
			p := stickAt(t, dir)
			mustSend(t, p, "b1", a, to)
			if what == "drop" {
				mustSend(t, p, "b2", a, to)
			}
			return p, dir
		}
		_, dir := prepare()
		trace := filepath.Join(t.TempDir(), "trace")
		if out, err := run(what, dir, "DHOW_FAULT_TRACE="+trace); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		data, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		points := strings.Fields(string(data))
		if len(points) < 4 {
			t.Fatalf("%s passes %v", what, points)
		}
		for n, point := range points {
			if !strings.HasPrefix(point, "offsite/") {
				t.Errorf("%s passes %s", what, point)
			}
			action := []string{"kill", "enospc", "eio"}[n%3]
			p, dir := prepare()
			if out, err := run(what, dir, "DHOW_FAULT="+point+":"+action); err == nil {
				t.Errorf("%s: %s at %s did nothing: %s", what, action, point, out)
			}
			got, err := List(ctx, p, site)
			if err != nil || !slices.Contains(got, whole[0]) {
				t.Errorf("%s: %s at %s leaves %v, %v", what, action, point, got, err)
			}
			for _, b := range got {
				mustFetch(t, p, b, a, ids)
			}
			if out, err := run(what, dir); err != nil {
				t.Errorf("%s: again after %s at %s: %v: %s", what, action, point, err, out)
			}
			whole2(t, p, whole...)
			mustFetch(t, p, "b2", a, ids)
			if slices.ContainsFunc(tree(t, dir), func(name string) bool { return strings.Contains(name, ".dhow-tmp-") }) {
				t.Errorf("%s: %s at %s leaves %v", what, action, point, tree(t, dir))
			}
		}
		t.Logf("%s: %d faults", what, len(points))
	}
}
