//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dhow/agent/site"
)

// What else befalls an engine: it is there and does not answer.
const (
	frozen       = "frozen"                     // it stands still for a while
	frozenEnded  = "frozen, and killed"         // as by the watchdog of its service
	frozenAcross = "frozen, the agent restarts" // and it goes on after that
	stalled      = "containerd frozen"          // the engine answers what it knows by itself
)

// frozenMoments are those of an update. Before them the engine is frozen while nothing is under way.
var frozenMoments = [][]moment{
	{
		{what: frozenAcross, point: "load-images/before", after: 30 * time.Millisecond},
		{what: frozenEnded, point: "start-release/down", after: 200 * time.Millisecond},
	},
	{
		{what: frozen, point: "back-up/copy"},
		{what: stalled, point: "start-release/down", after: 100 * time.Millisecond},
	},
}

// TestEngineFrozen stops the engine, or its containerd, with SIGSTOP: nothing ends, nothing fails, nothing answers. Status, page and commands say so; the agent
// can be stopped; and when the engine goes on, or is killed and started anew, the site runs the whole old or the whole new release with its data.
func TestEngineFrozen(t *testing.T) {
	t.Parallel()
	for i, moments := range frozenMoments {
		t.Run(fmt.Sprintf("worker %d", i), func(t *testing.T) {
			t.Parallel()
			e := newEngineSite(t, fmt.Sprintf("frozen%d", i))
			e.site.configure(func(c *site.Config) { c.Page.Listen = site.DefaultPage })
			began := time.Now()
			e.strike([]string{frozen, stalled}[i])
			e.site.healthy(e.site.status().Release)
			t.Logf("%4.1fs idle", time.Since(began).Seconds())
			for _, m := range moments {
				began := time.Now()
				e.befall(m)
				t.Logf("%4.1fs %+v: %s", time.Since(began).Seconds(), m, e.site.status().Release)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// freeze stops dockerd, and go lets it go on.
func (e *Engine) freeze(sig syscall.Signal) {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.cmd.Process.Signal(sig); err != nil {
		e.t.Fatal(err)
	}
}

// stall does the same to its containerd.
func (e *Engine) stall(sig syscall.Signal) {
	e.t.Helper()
	data, err := os.ReadFile(filepath.Join(e.exec(), "containerd", "containerd.pid"))
	if err != nil {
		e.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		e.t.Fatalf("containerd %q: %v", data, err)
	}
}

// A containerd that is silent counts as a slow one for a minute.
const silentWithin, stalledWithin = time.Minute, 2 * time.Minute

// silent expects that everybody is told, within so long, that the engine does not answer, and by nobody then that all is well.
func (s *Site) silent(within time.Duration) {
	s.t.Helper()
	const sentence = "The Docker Engine of this computer does not answer."
	var page string
	poll(s.t, within, "status and page to say that the engine does not answer", func() (bool, string) {
		looked := make(chan string, 1)
		go func() { looked <- s.lookAtPage() }()
		r := s.run("status")
		page = <-looked
		return r.Code == 0 && strings.Contains(r.Out, sentence) && strings.Contains(page, sentence), r.String() + page + s.tail()
	})
	// An update that is held may be helped by a new start of the computer, later.
	const early = "Do not switch off the computer in the first ten minutes."
	held := strings.Contains(page, "Updating, step ") || strings.Contains(page, ", backwards: ")
	always := strings.Contains(strings.ReplaceAll(page, early, ""), "Do not switch off")
	if strings.Contains(page, "All is well") || always || held && !(strings.Contains(page, early) && strings.Contains(page, " → ")) {
		s.t.Errorf("the page says: %s", page)
	}
	s.must("backup", "list")
}

// lookAtPage is what the page of the agent says, less its details.
func (s *Site) lookAtPage() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site.DefaultPage, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: s.engine.dial}}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	_, said, _ := strings.Cut(string(text), "<main>")
	said, _, _ = strings.Cut(said, `<section id="lost"`) // which is shown when the agent is gone
	return resp.Status + "\n" + said
}
