package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"dhow/agent/api"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// command is one run of the program dhowctl; TestMain has put it into the path.
type command struct {
	cmd  *exec.Cmd
	errs bytes.Buffer
}

func start(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{cmd: exec.CommandContext(t.Context(), "dhowctl", args...)}
	c.cmd.Env = append(os.Environ(), passphraseVariable+"=correct horse", byVariable+"="+filepath.Base(args[1]))
	c.cmd.Stderr = &c.errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// ends waits for the program and returns its exit code.
func (c *command) ends(t *testing.T) int {
	t.Helper()
	err := c.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

func dhowctl(t *testing.T, args ...string) {
	t.Helper()
	if c := start(t, args...); c.ends(t) != 0 {
		t.Fatalf("dhowctl %s: %s", strings.Join(args, " "), c.errs.String())
	}
}

// race lets two clones of one repository publish different things at the same moment, round after round. One wins, the other is told and
// changes nothing that sites see; then she pulls.
func race(t *testing.T, place string, rounds int) {
	t.Helper()
	dir := t.TempDir()
	clones := []string{filepath.Join(dir, "marie"), filepath.Join(dir, "anna")}
	dhowctl(t, "init", clones[0], "--name", "f")
	dhowctl(t, "-C", clones[0], "publish", "--to", place)
	pull := func(from, to string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
			t.Fatal(err)
		}
	}
	pull(clones[0], clones[1])
	root, err := os.ReadFile(filepath.Join(clones[0], "metadata", "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	site, err := trust.Scratch(root, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		var both []*command
		for n, clone := range clones {
			dhowctl(t, "-C", clone, "ring", "add", fmt.Sprintf("ring-%d-%d", round, n))
		}
		for _, clone := range clones {
			both = append(both, start(t, "-C", clone, "publish", "--to", place))
		}
		codes := []int{both[0].ends(t), both[1].ends(t)}
		winner := 0
		if codes[1] == 0 {
			winner = 1
		}
		loser := 1 - winner
		said := both[loser].errs.String()
		other := filepath.Base(clones[winner])
		busy := "dhowctl: cannot publish to " + place + ": somebody else is publishing there" // and who, unless she has just begun
		told := " holds manifest " + fmt.Sprint(round+2) + ", and the newest here is " + fmt.Sprint(round+1) + ": " + other + " has published\nhint: git pull, then publish again\n"
		switch {
		case codes[winner] != 0:
			t.Fatalf("round %d: nobody won: %v\n%s\n%s", round, codes, both[0].errs.String(), both[1].errs.String())
		case codes[loser] == api.CodeBusy && strings.HasPrefix(said, busy) && strings.Contains(said, "\nhint: wait for it to end, then git pull, then publish again"):
		case codes[loser] == api.CodeRefused && strings.HasSuffix(said, told):
		default:
			t.Fatalf("round %d: the loser ends with %d: %s", round, codes[loser], said)
		}
		src, err := fetch.Open(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		m, err := site.Refresh(t.Context(), src, false)
		if err = errors.Join(err, src.Close()); err != nil {
			t.Fatalf("round %d: a site: %v", round, err)
		}
		_, won := m.Fleet.Rings[fmt.Sprintf("ring-%d-%d", round, winner)]
		_, lost := m.Fleet.Rings[fmt.Sprintf("ring-%d-%d", round, loser)]
		if m.Number != int64(round+2) || !won || lost || len(m.Fleet.Rings) != round+1 {
			t.Fatalf("round %d: manifest %d, rings %v; the winner is %d", round, m.Number, m.Fleet.Rings, winner)
		}
		pull(clones[winner], clones[loser])
	}
}

func TestTwoPublishAtOnce(t *testing.T) {
	t.Run("folder", func(t *testing.T) { race(t, filepath.Join(t.TempDir(), "web"), 6) })
	t.Run("registry", func(t *testing.T) {
		s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		t.Cleanup(s.Close)
		race(t, "oci://"+strings.TrimPrefix(s.URL, "http://")+"/f", 6)
	})
}
