package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/bundle/fetch"
)

// ids are the findings of a check that are not good.
func ids(list []finding) (out []string) {
	for _, f := range list {
		if f.fill(); f.Result != isGood {
			out = append(out, f.Result+" "+f.ID)
		}
	}
	return out
}

func examined(t *testing.T, check func(context.Context, *patient) []finding, config *site.Config, want ...string) {
	t.Helper()
	p := &patient{shell: &shell{words: words.For("en"), prefix: t.TempDir()}, config: config, network: fetch.NewNetwork()}
	p.paths.Prefix = p.shell.prefix
	if got := ids(check(t.Context(), p)); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestDoctorOnTheWay makes names, proxies, certificates and logins fail for real.
func TestDoctorOnTheWay(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "DOCKER_AUTH_CONFIG"} {
		t.Setenv(name, "")
	}
	own := &site.Config{Sources: []string{server.URL}}
	examined(t, checkCertificates, own, "bad tls.distrusted") // an authority that nobody knows
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "none"))
	examined(t, checkCertificates, &site.Config{Sources: []string{"https://" + dead}})
	examined(t, checkCertificates, &site.Config{Sources: []string{t.TempDir()}})

	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"credHelpers":{"127.0.0.1:5000":"nobody-has-this"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", config)
	examined(t, checkLogins, &site.Config{Sources: []string{"oci://127.0.0.1:5000/emr"}}, "bad login.broken")
	examined(t, checkLogins, &site.Config{Sources: []string{"oci://127.0.0.1:5001/emr"}})

	far := &site.Config{Sources: []string{"https://registry.invalid/emr"}}
	examined(t, checkProxy, far)
	t.Setenv("HTTPS_PROXY", "http://anna:geheim@"+dead)
	examined(t, checkProxy, far, "bad proxy.away")
	t.Setenv("HTTPS_PROXY", "what is this")
	examined(t, checkProxy, far, "bad proxy.address")
	t.Setenv("HTTPS_PROXY", "")
	p := &patient{shell: &shell{words: words.For("en")}, config: far, network: fetch.NewNetwork()}
	if got := ids(checkNames(t.Context(), p)); len(got) != 1 || !strings.HasPrefix(got[0], "bad dns.") { // unknown, or nobody to ask
		t.Errorf("%q", got)
	}
}

// TestDoctorOnThisComputer has a program on the page's port, a language that nobody speaks, and little memory.
func TestDoctorOnThisComputer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	examined(t, checkPorts, &site.Config{Page: site.Page{Listen: l.Addr().String()}, Engine: "unix:///nowhere"}, "bad ports.page")
	examined(t, checkPorts, &site.Config{Page: site.Page{Off: true}, Engine: "unix:///nowhere"})
	examined(t, checkLanguage, &site.Config{Language: "tlh"}, "warning language.unknown")
	examined(t, checkLanguage, &site.Config{Language: "fr-CD"})
	examined(t, checkEngine, &site.Config{Engine: "unix:///nowhere"}, "bad engine.away")
	examined(t, checkEngine, &site.Config{Engine: "ssh://elsewhere"}, "bad engine.address")
	examined(t, checkEngine, nil)
	for want, m := range map[string]site.Memory{
		"":                      {All: 8 << 30, Available: 4 << 30},
		"warning memory.little": {All: 1 << 30, Available: 40 << 20, Swap: 1 << 30, SwapFree: 1 << 30},
	} {
		if got := strings.Join(ids(judgeMemory(m)), ""); got != want {
			t.Errorf("%+v: %q", m, got)
		}
	}
}

// TestWhoHoldsALock decides when a lock may be released.
func TestWhoHoldsALock(t *testing.T) {
	running := []engine.Container{
		{ID: "0123456789ab" + strings.Repeat("c", 52), Name: "emr-backend-1", Host: "0123456789ab", State: "running", IPs: []string{"172.18.0.3"}},
		{ID: strings.Repeat("d", 64), Name: "emr-old-1", Host: "dddddddddddd", State: "exited"},
	}
	writing, idle := database.Session{Address: "172.18.0.3", Writes: true}, database.Session{Address: "172.18.0.3"}
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lock database.Lock
		free bool
		id   string
	}{
		"its container runs":       {database.Lock{Tool: database.Liquibase, Holder: "0123456789ab (172.18.0.3)"}, false, "database.working"},
		"by its name":              {database.Lock{Tool: database.Liquibase, Holder: "emr-backend-1 (172.18.0.3)"}, false, "database.working"},
		"its container has ended":  {database.Lock{Tool: database.Liquibase, Holder: "dddddddddddd (172.18.0.3)"}, true, "database.dead"},
		"its container is gone":    {database.Lock{Tool: database.Liquibase, Holder: "eeeeeeeeeeee (172.18.0.3)", Sessions: []database.Session{idle}}, true, "database.dead"},
		"somebody writes":          {database.Lock{Tool: database.Liquibase, Holder: "eeeeeeeeeeee (172.18.0.3)", Sessions: []database.Session{idle, writing}}, false, "database.busy"},
		"this computer, connected": {database.Lock{Tool: database.Liquibase, Holder: own + " (10.0.0.1)", Sessions: []database.Session{idle}}, false, "database.used"},
		"this computer, gone":      {database.Lock{Tool: database.Liquibase, Holder: own + " (10.0.0.1)"}, true, "database.left"},
		"HAPI, somebody connected": {database.Lock{Tool: database.HAPI, Sessions: []database.Session{idle}}, false, "database.used"},
		"HAPI, nobody connected":   {database.Lock{Tool: database.HAPI}, true, "database.left"},
		"Flyway works":             {database.Lock{Tool: database.Flyway, Held: true, Sessions: []database.Session{idle}}, false, "database.held"},
		"Flyway has failed":        {database.Lock{Tool: database.Flyway, Failed: "1.1"}, false, "database.failed"},
		"Liquibase without a name": {database.Lock{Tool: database.Liquibase, Sessions: []database.Session{idle}}, false, "database.used"},
	} {
		f := identify(c.lock, database.Server{Service: "db"}, running)
		list := f.finding()
		if list[0].fill(); f.free() != c.free || list[0].ID != c.id {
			t.Errorf("%s: free %v, %s", name, f.free(), list[0].ID)
		}
	}
}

// TestDoctorLeavesBehindWhatHangs: a check that does not listen holds up nobody.
func TestDoctorLeavesBehindWhatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	got := ids((&patient{}).bounded(ctx, func(context.Context, *patient) []finding { <-hang; return nil }))
	if !slices.Equal(got, []string{"warning slow"}) || time.Since(began) > 20*time.Second {
		t.Errorf("%q after %v", got, time.Since(began))
	}
}

// TestDoctorOnDhowItself: which version runs, and why not the one that is asked for; what the agent warns of is said once.
func TestDoctorOnDhowItself(t *testing.T) {
	const trouble = "agent 1.4.0 did not work here on 2 Jan 15:04 and is not tried again: it ended by itself"
	for name, c := range map[string]struct {
		agent *api.Agent
		want  string
		text  string
	}{
		"no agent":  {nil, "", ""},
		"the same":  {&api.Agent{Version: "1.3.0"}, "", "version 1.3.0"},
		"a new one": {&api.Agent{Version: "1.3.0", Asked: "1.4.0", Wanted: "1.4.0"}, "", "version 1.3.0; 1.4.0 is asked for and comes by itself"},
		"failed":    {&api.Agent{Version: "1.3.0", Asked: "1.4.0", Trouble: trouble, Kind: "failed"}, "warning dhow.failed", trouble},
		"waits":     {&api.Agent{Version: "1.3.0", Asked: "1.4.0", Trouble: trouble, Kind: "waits"}, "warning dhow.waits", trouble},
		"older":     {&api.Agent{Version: "1.3.0", Asked: "1.2.0", Trouble: "an older one", Kind: "older"}, "warning dhow.older", "an older one"},
	} {
		p := &patient{shell: &shell{words: words.For("en")}, status: &api.Status{State: api.StateIdle, Agent: c.agent}}
		list := checkDhow(t.Context(), p)
		if got := strings.Join(ids(list), ", "); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		for _, f := range list {
			if f.fill(); f.Text != c.text {
				t.Errorf("%s: %s", name, f.Text)
			}
		}
		if c.agent == nil {
			continue
		}
		p.status.Warnings = []string{c.agent.Trouble}
		if c.agent.Trouble == "" {
			p.status.Warnings = nil
		}
		if list := ids(checkAgent(t.Context(), p)); len(list) != 0 {
			t.Errorf("%s: said twice: %q", name, list)
		}
	}
}

// TestSupportWithoutRights does not take what this user may not read for what is not there.
func TestSupportWithoutRights(t *testing.T) {
	p := &patient{trustErr: fmt.Errorf("cannot read root.json: %w", fs.ErrPermission)}
	if _, err := p.recipient(); api.Code(explain(err)) != api.CodeInternal || explain(err).Hint != "try it with sudo" {
		t.Errorf("%+v", explain(err))
	}
	if _, err := (&patient{}).recipient(); api.Code(err) != api.CodeRefused {
		t.Errorf("without a manifest: %v", err)
	}
}
