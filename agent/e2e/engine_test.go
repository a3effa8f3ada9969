//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Engine is a Docker Engine of a test's own, beside the one that all tests share: it may be killed. It has its own data root, exec
// root, containerd, socket, control group, and a network namespace with nothing but loopback: two engines in one would tear down each
// other's chains of the packet filter and docker0. The agent of a site with such an engine runs in the same namespace, and users look into it.
type Engine struct {
	t    testing.TB
	dir  string // everything of the engine but its data
	root string // its data
	gone bool   // the test has ended

	mu    sync.Mutex
	net   *os.File // its network namespace
	cmd   *exec.Cmd
	ended chan struct{}
}

// newEngine starts an engine whose data are in the folder root, which is the engine's alone, or in a folder of the test when root is
// empty. All of it is gone when the test ends.
func newEngine(t testing.TB, root string) *Engine {
	t.Helper()
	e := makeEngine(t, root)
	e.start()
	return e
}

// makeEngine makes an engine that does not run yet.
func makeEngine(t testing.TB, root string) *Engine {
	t.Helper()
	// Paths of sockets are short.
	dir, err := os.MkdirTemp("", "dhow-eng-")
	if err != nil {
		t.Fatal(err)
	}
	if root == "" {
		root = filepath.Join(dir, "root")
	}
	e := &Engine{t: t, dir: dir, root: root}
	t.Cleanup(e.remove)
	e.plug()
	return e
}

// plug makes the network namespace.
func (e *Engine) plug() {
	e.t.Helper()
	var fresh *os.File
	err := elsewhere(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		fresh, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, loopback())
	})
	if err != nil {
		e.t.Fatalf("cannot make a network namespace: %v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.net != nil {
		_ = e.net.Close()
	}
	e.net = fresh
}

// loopback brings lo up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// elsewhere calls do on a thread of its own, which is put back into its network namespace afterwards.
func elsewhere(do func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	err = do()
	if berr := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); berr != nil {
		return errors.Join(err, berr) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// inside calls do in the network namespace of the engine: processes that it starts and sockets that it opens belong there.
func (e *Engine) inside(do func() error) error {
	e.mu.Lock()
	where := e.net
	e.mu.Unlock()
	return elsewhere(func() error {
		if err := unix.Setns(int(where.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// dial connects to an address in the network namespace of the engine.
func (e *Engine) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = e.inside(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Host is what clients and dhow.yaml call the engine.
func (e *Engine) Host() string { return "unix://" + filepath.Join(e.dir, "docker.sock") }

func (e *Engine) exec() string   { return filepath.Join(e.dir, "exec") }
func (e *Engine) log() string    { return filepath.Join(e.dir, "log") }
func (e *Engine) cgroup() string { return filepath.Base(e.dir) }

// launch starts the engine and does not wait until it answers.
func (e *Engine) launch() {
	e.t.Helper()
	log, err := os.OpenFile(e.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	// A killed engine leaves its numbers behind; meanwhile they may have been given to other processes, or stay taken until somebody buries
	// its containerd, which ends with it.
	for _, path := range []string{filepath.Join(e.dir, "pid"), filepath.Join(e.exec(), "containerd", "containerd.pid")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.t.Fatal(err)
		}
	}
	cmd := exec.Command("dockerd", "--data-root", e.root, "--exec-root", e.exec(), "--pidfile", filepath.Join(e.dir, "pid"),
		"--host", e.Host(), "--cgroup-parent", "/"+e.cgroup())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := e.inside(cmd.Start); err != nil {
		e.t.Fatalf("cannot start dockerd: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cmd, e.ended = cmd, ended
}

// start starts the engine and waits until it answers. One that ends meanwhile is started again, as a service manager does: this version
// sometimes panics over containers that ended while it was away.
func (e *Engine) start() {
	e.t.Helper()
	e.launch()
	poll(e.t, time.Minute, "the engine to answer", func() (bool, string) {
		select {
		case <-e.ended:
			e.launch()
		default:
		}
		r := command(e.t, "", e.env(), "docker", "version", "--format", "{{.Server.Version}}")
		return r.Code == 0, r.Text() + e.tail()
	})
}

func (e *Engine) env() []string { return []string{"DOCKER_HOST=" + e.Host()} }

// docker runs the docker client on this engine and fails the test when it fails.
func (e *Engine) docker(args ...string) string {
	e.t.Helper()
	r := command(e.t, "", e.env(), "docker", args...)
	if r.Code != 0 {
		e.t.Fatalf("%s\n%s", r, e.tail())
	}
	return strings.TrimSpace(r.Out)
}

// tail is the end of the engine's log.
func (e *Engine) tail() string {
	data, _ := os.ReadFile(e.log())
	list := lines(string(data))
	return "engine's log:\n" + strings.Join(list[max(0, len(list)-15):], "\n")
}

// kill ends the engine with SIGKILL. As on a real computer its containers live on.
func (e *Engine) kill() { e.t.Helper(); e.signal(syscall.SIGKILL, 10*time.Second) }

// stop ends the engine as a service manager does; it stops its containers.
func (e *Engine) stop() { e.t.Helper(); e.signal(syscall.SIGTERM, time.Minute) }

func (e *Engine) signal(sig syscall.Signal, within time.Duration) {
	e.t.Helper()
	e.mu.Lock()
	cmd, ended := e.cmd, e.ended
	e.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	select {
	case <-ended:
	case <-time.After(within):
		_ = cmd.Process.Kill()
		<-ended
		e.t.Errorf("the engine did not end within %s of %v\n%s", within, sig, e.tail())
	}
}

// cut is what a power cut does to the engine: it and all containers end at once, mounts and networks are gone. The agent is the caller's
// to kill before.
func (e *Engine) cut() {
	e.t.Helper()
	poll(e.t, 20*time.Second, "the processes of the engine to end", func() (bool, string) {
		list := e.processes()
		for _, pid := range list {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(list) == 0, fmt.Sprint(list)
	})
	e.kill() // it has ended: its number is freed
	for _, path := range slices.Backward(e.mounts()) {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			e.t.Errorf("cannot unmount %s: %v", path, err)
		}
	}
	if err := os.RemoveAll(e.exec()); err != nil {
		e.t.Error(err)
	}
	e.plug()
}

// processes lists those that name a folder of the engine in their arguments (dockerd, containerd, shims), and their descendants.
func (e *Engine) processes() (list []int) {
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if n, _ := fmt.Sscan(rest, &state, &parent); n != 2 || state == "Z" || state == "X" {
			continue
		}
		parents[pid] = parent
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), e.dir+"/") {
			list = append(list, pid)
		}
	}
	for i := 0; i < len(list); i++ {
		for pid, parent := range parents {
			if parent == list[i] && !slices.Contains(list, pid) {
				list = append(list, pid)
			}
		}
	}
	return list
}

// mounts lists what is mounted below the engine's folders, outermost first.
func (e *Engine) mounts() (list []string) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, line := range lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 1 && (strings.HasPrefix(f[1], e.dir+"/") || strings.HasPrefix(f[1], e.root+"/") || f[1] == e.root) {
			list = append(list, f[1])
		}
	}
	return list
}

// remove takes away every trace of the engine.
func (e *Engine) remove() {
	if e.t.Failed() {
		e.t.Logf("%s", e.tail())
	}
	e.cut()
	e.gone = true
	_ = e.net.Close()
	e.removeGroups()
	for _, dir := range []string{e.root, e.dir} {
		if err := os.RemoveAll(dir); err != nil {
			e.t.Error(err)
		}
	}
	if left := e.mounts(); len(left) > 0 {
		e.t.Errorf("the engine has left behind: %s", left)
	}
}

// removeGroups removes the control groups of killed containers.
func (e *Engine) removeGroups() {
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + e.cgroup())
	for _, top := range append(groups, "/sys/fs/cgroup/"+e.cgroup()) {
		var dirs []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			e.t.Error(err)
		}
		for _, dir := range slices.Backward(dirs) {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				e.t.Errorf("cannot remove control group %s: %v", dir, err)
			}
		}
	}
}
