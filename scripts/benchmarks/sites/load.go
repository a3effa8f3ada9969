//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	agent "dhow/agent/daemon"
	agentsite "dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// herd is many sites in one process. Each has its own trust state and its own Network; what is equal in their states is one piece of memory,
// and nothing is written to disk.
type herd struct {
	sites []*site
	start time.Time
	first int64 // number of the manifest at the beginning

	mu    sync.Mutex
	polls []time.Duration // since start
	bad   map[string]int  // errors outside of the outage
	lost  int             // polls that nobody answered during the outage
	away  [2]time.Duration
	next  atomic.Int64 // number of the manifest that is published in the middle
	has   []bool       // by site: whether it has that
}

func load(ctx context.Context, args []string) error {
	work, web, folder, registry := args[0], args[3], args[4], args[5]
	count, err := strconv.Atoi(args[1])
	if err != nil || count < 100 || count > 100_000 {
		return fmt.Errorf("%q is no number of sites from 100 to 100000", args[1])
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil || duration < 2*time.Minute {
		return fmt.Errorf("%q is no duration from 2m on", args[2])
	}
	ctx, cancel := context.WithTimeout(ctx, duration+5*time.Minute)
	defer cancel()
	f, err := newFleet(filepath.Join(work, "fleet"), folder, count)
	if err != nil {
		return err
	}
	servers, err := startServers(ctx, work, web, registry)
	if err != nil {
		return err
	}
	defer func() { servers.kill() }()
	ociSpec := "oci://" + registry + "/drc-emr"
	if _, err := f.publish(ctx, ociSpec); err != nil {
		return err
	}
	h := &herd{bad: map[string]int{}, has: make([]bool, count)}
	if err := h.gather(ctx, f, "https://"+web, ociSpec); err != nil {
		return err
	}
	expr := "*/5 * * * *"
	if duration < 10*time.Minute {
		expr = "* * * * *"
	}
	fmt.Printf("%d sites, half of them over the web and half over the registry, with the schedule %q; %v\n", count, expr, duration)
	h.start = time.Now()
	h.away = [2]time.Duration{duration * 3 / 10, duration * 4 / 10}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var wait sync.WaitGroup
	for i := range h.sites {
		wait.Go(func() { h.live(running, i, expr) })
	}
	at := func(d time.Duration) { // waits until then
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(h.start.Add(d))):
		}
	}
	at(h.away[0])
	servers.kill()
	at(h.away[1])
	if servers, err = startServers(ctx, work, web, registry); err != nil {
		return err
	}
	at(duration * 45 / 100)
	f.rings["wave2"] = "1.2.0"
	if _, err := f.publish(ctx, ociSpec); err != nil {
		return err
	}
	h.next.Store(f.signed.Number)
	at(duration)
	stop()
	wait.Wait()
	return h.report(duration)
}

// gather gives every site the state that it has after its first poll.
func (h *herd) gather(ctx context.Context, f *fleet, web, oci string) error {
	root, err := f.repo.Root()
	if err != nil {
		return err
	}
	known := map[string]*trust.Client{} // by site: one that was told of the same part of the fleet
	for i, name := range f.sites {
		if known[name] == nil {
			c, err := trust.Scratch(root, trust.Options{Site: name})
			if err != nil {
				return err
			}
			m, err := c.Refresh(ctx, folderSource(f.web), false)
			if err != nil {
				return err
			}
			h.first = m.Number
			for other := range m.Fleet.Sites {
				known[other] = c
			}
		}
		spec := web
		if i%2 == 1 {
			spec = oci
		}
		h.sites = append(h.sites, &site{name: name, spec: spec, client: known[name].Scratch(), net: fetch.NewNetwork()})
	}
	return nil
}

// live is the life of one site.
func (h *herd) live(ctx context.Context, i int, expr string) {
	s := h.sites[i]
	schedule, err := agentsite.ParseSchedule(expr, "UTC", "drc-emr/"+s.name)
	if err != nil {
		panic(err)
	}
	var line agent.Line
	agent.Poll(ctx, agent.Options{
		Next: schedule.Next, Soon: time.Until(schedule.Next(time.Now())),
		Line: func() agent.Line { line.Pause = s.net.Pause([]string{s.spec}); return line },
	}, func(ctx context.Context) error {
		began := time.Since(h.start)
		number, err := s.look(ctx)
		line.Asked++
		line.Down = err != nil
		h.note(i, began, number, err, ctx.Err() != nil)
		return nil
	})
}

// look polls once. What was parsed for it goes, so that so many sites have room.
func (s *site) look(ctx context.Context) (int64, error) {
	src, err := s.net.Open(ctx, s.spec)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	m, err := s.client.Refresh(ctx, src, false)
	if err != nil {
		return 0, err
	}
	if _, err := m.Fleet.Assignment(s.name); err != nil {
		return 0, err
	}
	s.client = s.client.Scratch()
	return m.Number, nil
}

func (h *herd) note(i int, began time.Duration, number int64, err error, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ended {
		return
	}
	h.polls = append(h.polls, began)
	h.has[i] = h.has[i] || number > h.first
	switch {
	case err == nil:
	case began >= h.away[0]-5*time.Second && began <= h.away[1]+2*time.Second:
		h.lost++
	default:
		h.bad[err.Error()]++
	}
}

// rate is the largest and the mean number of polls in a second between two moments.
func (h *herd) rate(from, to time.Duration) (peak int, mean float64) {
	seconds := map[int]int{}
	total := 0
	for _, at := range h.polls {
		if at >= from && at < to {
			seconds[int(at/time.Second)]++
			total++
		}
	}
	for _, n := range seconds {
		peak = max(peak, n)
	}
	return peak, float64(total) / (to - from).Seconds()
}

func (h *herd) report(duration time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	reached := 0
	for _, has := range h.has {
		if has {
			reached++
		}
	}
	for _, span := range []struct {
		what     string
		from, to time.Duration
	}{
		{"before the outage", 0, h.away[0]},
		{"in the outage", h.away[0], h.away[1]},
		{"in the minute after it", h.away[1], h.away[1] + time.Minute},
		{"after it", h.away[1], duration},
	} {
		peak, mean := h.rate(span.from, span.to)
		fmt.Printf("polls per second %-24s peak %4d  mean %5.1f  ratio %.1f\n", span.what, peak, mean, float64(peak)/mean)
	}
	fmt.Printf("without jitter all %d would come in one second of every schedule, and the %d that nobody answered again together\n", len(h.sites), h.lost)
	fmt.Printf("resident memory of all sites: %.0f MB\n", float64(peak())/1e6)
	errors := 0
	var texts []string
	for text, n := range h.bad {
		errors += n
		texts = append(texts, fmt.Sprintf("%d× %s", n, text))
	}
	slices.Sort(texts)
	for _, text := range texts[:min(len(texts), 10)] {
		fmt.Println("error:", text)
	}
	top, mean := h.rate(0, duration)
	fmt.Printf("fleet: sites=%d polls=%d errors=%d peak_rps=%d mean_rps=%.1f publish_reached=%d\n", len(h.sites), len(h.polls), errors, top, mean, reached)
	if errors > 0 || reached < len(h.sites) && duration >= 10*time.Minute {
		return fmt.Errorf("%d errors outside of the outage, and the new manifest reached %d of %d sites", errors, reached, len(h.sites))
	}
	return nil
}

// servers are the web server and the registry.
type servers []*exec.Cmd

func startServers(ctx context.Context, work, web, registry string) (servers, error) {
	var s servers
	for _, args := range [][]string{
		{"nginx", "-p", work, "-c", filepath.Join(work, "nginx.conf"), "-e", filepath.Join(work, "nginx.log")},
		{"docker-registry", "serve", filepath.Join(work, "registry.yml")},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
		log, err := os.OpenFile(filepath.Join(work, "servers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
		_ = log.Close()
		if err != nil {
			s.kill()
			return nil, err
		}
		s = append(s, cmd)
	}
	for _, address := range []string{web, registry} {
		if err := await(ctx, address); err != nil {
			s.kill()
			return nil, err
		}
	}
	return s, nil
}

// kill ends them at once, as a power cut does, with the workers that nginx has started.
func (s servers) kill() {
	for _, cmd := range s {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
}
