//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// Site is one computer of the fleet: a folder, an agent, a compose project.
type Site struct {
	t       testing.TB
	centre  *Centre
	stack   Stack
	name    string
	prefix  string
	project string
	port    int
	log     string   // file that all agents of this site write to
	engine  *Engine  // nil: the one that all tests share
	env     []string // for the agent and all commands
	// programs says what users see of a release, when it is not its own version.
	programs map[string]string

	mu    sync.Mutex
	agent *exec.Cmd
	ended chan struct{}
}

// newSite makes a site that is in the fleet's ring "pilot" and is not installed yet.
func newSite(t testing.TB, c *Centre, name string) *Site {
	t.Helper()
	prefix, err := os.MkdirTemp(world.temp, name+"-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{
		t: t, centre: c, stack: c.stack, name: name, prefix: prefix,
		project: "dhow-e2e-" + name, port: freePort(t), log: filepath.Join(prefix, "agent.log"),
	}
	c.must(t, "site", "add", name, "--ring", "pilot")
	t.Cleanup(s.remove)
	return s
}

// install runs dhow install with the settings of the stack, less those in without, and starts the agent.
func (s *Site) install(source string, more ...string) {
	s.t.Helper()
	args := []string{"install", "--site", s.name, "--source", source, "--root", s.centre.root(), "--project", s.project, "--yes"}
	for name, value := range s.stack.settings {
		args = append(args, "--set", name+"="+value)
	}
	args = append(args, "--set", fmt.Sprintf("%s=%d", s.stack.port, s.port))
	// The hours for updates are others than now: nothing happens that the test does not ask for.
	closed := time.Now().Add(6 * time.Hour)
	args = append(args, "--window", closed.Format("15:04")+"-"+closed.Add(time.Minute).Format("15:04"))
	args = append(args, "--backup", site.Never)
	if s.engine != nil {
		args = append(args, "--engine", s.engine.Host())
	}
	s.must(append(args, more...)...)
	s.start()
}

// configure changes the configuration of the site.
func (s *Site) configure(change func(*site.Config)) {
	s.t.Helper()
	path := site.Paths{Prefix: s.prefix}.Config()
	c, err := site.LoadConfig(path)
	if err != nil {
		s.t.Fatal(err)
	}
	change(c)
	if err := c.Save(path); err != nil {
		s.t.Fatal(err)
	}
}

// run calls dhow as somebody at the site would.
func (s *Site) run(args ...string) Result {
	s.t.Helper()
	return command(s.t, s.prefix, s.env, world.dhow, append([]string{"--prefix", s.prefix}, args...)...)
}

func (s *Site) must(args ...string) Result {
	s.t.Helper()
	r := s.run(args...)
	if r.Code != 0 {
		s.t.Fatalf("%s\n%s", r, s.tail())
	}
	return r
}

// expect runs dhow and fails the test when it ends with another exit code.
func (s *Site) expect(code int, args ...string) Result {
	s.t.Helper()
	r := s.run(args...)
	if r.Code != code {
		s.t.Fatalf("exit code %d, want %d\n%s\n%s", r.Code, code, r, s.tail())
	}
	return r
}

// start starts the agent, with more variables in its environment, and waits until it answers.
func (s *Site) start(env ...string) {
	s.t.Helper()
	s.launch(env...)
	poll(s.t, 20*time.Second, "the agent to answer", func() (bool, string) {
		r := s.run("status", "--json")
		return r.Code == 0, r.String() + s.tail()
	})
}

// launch starts the agent and does not wait.
func (s *Site) launch(env ...string) {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(world.dhow, "--prefix", s.prefix, "agent")
	cmd.Env = slices.Concat(os.Environ(), s.env, env)
	cmd.Stdout, cmd.Stderr = log, log
	start := cmd.Start
	if s.engine != nil {
		start = func() error { return s.engine.inside(cmd.Start) }
	}
	if err := start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agent, s.ended = cmd, ended
}

// signal sends the agent a signal and waits until it has ended.
func (s *Site) signal(sig syscall.Signal, within time.Duration) {
	s.t.Helper()
	s.mu.Lock()
	agent, ended := s.agent, s.ended
	s.mu.Unlock()
	if agent == nil {
		return
	}
	_ = agent.Process.Signal(sig)
	select {
	case <-ended:
	case <-time.After(within):
		_ = agent.Process.Kill()
		<-ended
		s.t.Errorf("the agent did not end within %s of %v\n%s", within, sig, s.tail())
	}
}

func (s *Site) stop() { s.t.Helper(); s.signal(syscall.SIGTERM, 30*time.Second) }
func (s *Site) kill() { s.t.Helper(); s.signal(syscall.SIGKILL, 10*time.Second) }

// running reports whether the agent lives.
func (s *Site) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// tail is the end of the agent's log.
func (s *Site) tail() string {
	data, _ := os.ReadFile(s.log)
	list := lines(string(data))
	return "agent's log:\n" + strings.Join(list[max(0, len(list)-25):], "\n")
}

func (s *Site) status() api.Status {
	s.t.Helper()
	var st api.Status
	s.decode(&st, "status", "--json")
	return st
}

func (s *Site) history() []api.Update {
	s.t.Helper()
	var list []api.Update
	s.decode(&list, "history", "--json")
	return list
}

func (s *Site) backups() []api.Backup {
	s.t.Helper()
	var list []api.Backup
	s.decode(&list, "backup", "list", "--json")
	return list
}

func (s *Site) decode(v any, args ...string) {
	s.t.Helper()
	r := s.must(args...)
	if err := json.Unmarshal([]byte(r.Out), v); err != nil {
		s.t.Fatalf("%v in %s", err, r)
	}
}

// last is the newest line of the history.
func (s *Site) last() api.Update {
	s.t.Helper()
	list := s.history()
	if len(list) == 0 {
		s.t.Fatal("the history is empty")
	}
	newest := list[0]
	for _, u := range list {
		if u.ID > newest.ID {
			newest = u
		}
	}
	return newest
}

// look is status for those who do not mind when there is no answer.
func (s *Site) look() (st api.Status, ok bool) {
	s.t.Helper()
	r := s.run("status", "--json")
	ok = r.Code == 0 && json.Unmarshal([]byte(r.Out), &st) == nil
	return st, ok
}

// settled waits until nothing is under way.
func (s *Site) settled(within time.Duration) api.Status {
	s.t.Helper()
	var st api.Status
	poll(s.t, within, "the site to settle", func() (bool, string) {
		r := s.run("status", "--json")
		if r.Code != 0 {
			return false, r.String() + s.tail()
		}
		if err := json.Unmarshal([]byte(r.Out), &st); err != nil {
			s.t.Fatalf("%v in %s", err, r)
		}
		quiet := st.State == api.StateIdle || st.State == api.StateReady || st.State == api.StateNew
		return quiet, r.Out + s.tail()
	})
	return st
}

// remove takes away the agent and everything of the project.
func (s *Site) remove() {
	if s.t.Failed() {
		s.t.Logf("%s", s.tail())
	}
	s.kill()
	if s.engine == nil || !s.engine.gone {
		s.removeProject()
	}
	if err := os.RemoveAll(s.prefix); err != nil {
		s.t.Error(err)
	}
}

func (s *Site) removeProject() {
	project := "label=com.docker.compose.project=" + s.project
	if ids := lines(s.docker("ps", "-aq", "--filter", project)); len(ids) > 0 {
		s.docker(append([]string{"rm", "-f", "-v"}, ids...)...)
	}
	for _, n := range lines(s.docker("network", "ls", "-q", "--filter", project)) {
		s.docker("network", "rm", n)
	}
	for _, v := range lines(s.docker("volume", "ls", "-q", "--filter", "name="+s.project+"_")) {
		s.docker("volume", "rm", v)
	}
}

// docker runs the docker client on the engine of the site, and fails the test when it fails.
func (s *Site) docker(args ...string) string {
	s.t.Helper()
	if s.engine == nil {
		return docker(s.t, args...)
	}
	return s.engine.docker(args...)
}

func (s *Site) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path) }

// volume is the folder of a named volume, by its key in the compose file.
func (s *Site) volume(key string) string {
	s.t.Helper()
	return s.docker("volume", "inspect", "-f", "{{.Mountpoint}}", s.project+"_"+key)
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// freePort finds a port that nobody listens on and that no other test has been given. It is below the range from which the
// system takes ports for outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for port := 18000 + os.Getpid()%1000; port < 30000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil || ports.given[port] {
			if err == nil {
				_ = l.Close()
			}
			continue
		}
		_ = l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port")
	return 0
}
