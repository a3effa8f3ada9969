package notice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dhow/agent/api"
)

// clinic is a site that a test moves on.
type clinic struct {
	mu      sync.Mutex
	status  api.Status
	history []api.Update
	told    *Told
	full    bool // the disk
	changed chan struct{}
	config  Config
	log     bytes.Buffer
}

func newClinic(language string, hook ...string) *clinic {
	return &clinic{
		status: api.Status{Site: "kin-001", State: api.StateIdle, Release: "1.0.0", Pinned: "1.0.0"}, changed: make(chan struct{}),
		config: Config{Hook: hook, Language: language},
	}
}

func (c *clinic) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *clinic) logged() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

func (c *clinic) teller() *Teller {
	locked := func(do func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		do()
	}
	return New(Options{
		Status: func(context.Context) (s api.Status, _ error) { locked(func() { s = c.status }); return s, nil },
		History: func(context.Context) (u []api.Update, _ error) {
			locked(func() { u = slices.Clone(c.history) })
			return u, nil
		},
		Changed: func() (ch <-chan struct{}) { locked(func() { ch = c.changed }); return ch },
		Recall: func() (t *Told, _ error) {
			locked(func() {
				if c.told != nil {
					now := *c.told
					t = &now
				}
			})
			return t, nil
		},
		Keep: func(t Told) (err error) {
			locked(func() {
				if c.full {
					err = errors.New("no space left on device")
					return
				}
				c.told = &t
			})
			return err
		},
		Config: func() (now Config) { locked(func() { now = c.config }); return now },
		Log:    slog.New(slog.NewTextHandler(c, nil)), Now: func() time.Time { return noon },
	})
}

// set moves the site on.
func (c *clinic) set(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
	close(c.changed)
	c.changed = make(chan struct{})
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// script is a hook.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTold: an update is told to a hook, each event once, also when the agent starts again in between.
func TestTold(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "told")
	c := newClinic("fr", script(t, `echo "$DHOW_EVENT $DHOW_SITE $DHOW_FROM $DHOW_TO $DHOW_RECEIPT $DHOW_REASON_KIND: $DHOW_TEXT" >>"$1"`), out)
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); c.teller().Run(ctx) }()
		return func() { cancel(); <-ended }
	}
	lines := func() []string {
		data, err := os.ReadFile(out)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	stop := start()
	await(t, "a first look", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.told != nil })
	c.set(func() { c.status.State, c.status.Pinned = api.StateReady, "1.1.0" })
	await(t, "ready", func() bool { return len(lines()) == 1 && lines()[0] != "" })
	stop()
	stop = start()
	c.set(func() {
		c.status.State = api.StateUpdating
		c.history = []api.Update{{ID: 17, Kind: "apply", From: "1.0.0", To: "1.1.0", Started: noon}}
	})
	await(t, "started", func() bool { return len(lines()) == 2 })
	stop()
	c.set(func() {
		c.status.State, c.status.Release = api.StateIdle, "1.1.0"
		c.history[0].Finished, c.history[0].Result, c.history[0].Receipt = noon, api.ResultDone, "KIN-001-0017"
	})
	stop = start()
	await(t, "done", func() bool { return len(lines()) == 3 })
	stop()
	want := []string{
		"ready kin-001 1.0.0 1.1.0  : Une mise à jour est prête : 1.1.0. Ouvrez la page de Dhow pour voir quand elle vient, ou pour la lancer maintenant.",
		"started kin-001 1.0.0 1.1.0  : Le système est en cours de mise à jour vers 1.1.0. Il est absent quelques minutes. N’éteignez pas l’ordinateur.",
		"done kin-001 1.0.0 1.1.0 KIN-001-0017 : C’est fait. 1.1.0 fonctionne. Reçu KIN-001-0017.",
	}
	if got := lines(); !slices.Equal(got, want) {
		t.Errorf("told\n%s", strings.Join(got, "\n"))
	}
}

// TestNotKeptIsNotTold: what can't be kept is told later, once, and not every few seconds.
func TestNotKeptIsNotTold(t *testing.T) {
	t.Parallel()
	c := newClinic("en")
	teller := c.teller()
	if list := teller.look(t.Context()); len(list) != 0 {
		t.Fatalf("a first look tells %+v", list)
	}
	c.set(func() { c.status.State, c.status.Pinned, c.full = api.StateReady, "1.1.0", true })
	for range 3 {
		if list := teller.look(t.Context()); len(list) != 0 {
			t.Errorf("it is told although it can't be kept: %+v", list)
		}
	}
	c.set(func() { c.full = false })
	if list := teller.look(t.Context()); len(list) != 1 {
		t.Errorf("with room it tells %+v", list)
	}
	if list := c.teller().look(t.Context()); len(list) != 0 {
		t.Errorf("after a restart it tells %+v", list)
	}
}

func TestHook(t *testing.T) {
	t.Setenv("DHOW_TEST_SECRET", "xyzzy")
	dir := t.TempDir()
	c := newClinic("en", script(t, "env >"+dir+"/env\ncat >"+dir+"/stdin\necho \"$@\" >"+dir+"/args\n"), "--to", "a b; rm *")
	e := Event{
		Kind: NeedsYou, Site: "kin-001", From: "1.0.0", Reason: "disk", Args: map[string]string{"missing": "2 GB"}, When: noon, Text: "Somebody must see to it.",
	}
	c.teller().hook(t.Context(), e)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := read("args"); got != "--to a b; rm *\n" {
		t.Errorf("arguments: %s", got)
	}
	for _, want := range []string{
		"DHOW_EVENT=needs-you\n", "DHOW_SITE=kin-001\n", "DHOW_FROM=1.0.0\n", "DHOW_TO=\n", "DHOW_RECEIPT=\n", "DHOW_REASON_KIND=disk\n",
		"DHOW_TEXT=Somebody must see to it.\n",
	} {
		if !strings.Contains(read("env"), want) {
			t.Errorf("the environment lacks %s:\n%s", want, read("env"))
		}
	}
	if strings.Contains(read("env"), "xyzzy") {
		t.Error("the hook gets the environment of the agent")
	}
	var got Event
	if err := json.Unmarshal([]byte(read("stdin")), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(e) {
		t.Errorf("on its input: %+v", got)
	}
	const want = `{"event":"needs-you","site":"kin-001","from":"1.0.0","reason_kind":"disk","args":{"missing":"2 GB"},"when":"2026-11-21T12:00:00Z","text":"Somebody must see to it."}` + "\n"
	if read("stdin") != want {
		t.Errorf("on its input: %s", read("stdin"))
	}
}

// TestBadHooks: whatever a hook does, it ends, and the log says what it was.
func TestBadHooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ script, want string }{
		"fails":               {"echo no modem; exit 7", `msg="the hook failed" event=done hook=HOOK output="no modem\n" error="exit status 7"`},
		"is quiet":            {"", `msg="the hook was run" event=done hook=HOOK`},
		"says too much":       {"yes | head -c 10000000", `yy` + "\n"},
		"hangs":               {"echo $$ >" + dir + "/pid; sleep 1000", `msg="the hook took too long and was ended" event=done hook=HOOK after=2s`},
		"hangs and resists":   {"trap '' TERM INT HUP; sleep 1000; sleep 1000", `msg="the hook took too long and was ended" event=done hook=HOOK after=2s`},
		"leaves something":    {"sleep 1000 & echo $! >" + dir + "/left", `msg="what the hook left running was ended" event=done hook=HOOK`},
		"reads nothing":       {"exit 0", `msg="the hook was run" event=done hook=HOOK`},
		"is not there":        {"-", `msg="the hook failed" event=done hook=HOOK error="fork/exec HOOK: no such file or directory"`},
		"may not be executed": {"!", `msg="the hook failed" event=done hook=HOOK error="fork/exec HOOK: permission denied"`},
	} {
		path := script(t, c.script+"\n")
		switch c.script {
		case "-":
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		case "!":
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		site := newClinic("en", path)
		teller := site.teller()
		teller.hookTime = 2 * time.Second
		began := time.Now()
		teller.hook(t.Context(), Event{Kind: Done, Text: strings.Repeat("x", 100_000)})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("a hook that %s took %v", name, took)
		}
		got := strings.ReplaceAll(site.logged(), path, "HOOK")
		if len(got) > 3*hookOutput {
			t.Errorf("a hook that %s fills the log with %d bytes", name, len(got))
		}
		if !strings.Contains(strings.ReplaceAll(got, `y\ny`, "yy"), strings.TrimSuffix(c.want, "\n")) {
			t.Errorf("a hook that %s: the log says\n%s", name, got)
		}
	}
	for _, name := range []string{"pid", "left"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		await(t, "the end of "+name, func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil
		})
	}
}

// TestHookDelaysNothing: looking and telling go on while a hook hangs, and what is told to nobody in time is left out.
func TestHookDelaysNothing(t *testing.T) {
	t.Parallel()
	c := newClinic("en", script(t, "sleep 1000\n"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.teller().Run(ctx) }()
	await(t, "a first look", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.told != nil })
	c.set(func() { c.status.State, c.status.Pinned = api.StateReady, "1.1.0" })
	await(t, "ready", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.told.Ready == "1.1.0" })
	c.set(func() { c.history = []api.Update{{ID: 17, Kind: "apply", From: "1.0.0", To: "1.1.0", Started: noon}} })
	await(t, "started", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.told.Started == 17 })
	began := time.Now()
	cancel()
	<-ended
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
