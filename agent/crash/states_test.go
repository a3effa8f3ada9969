//go:build e2e

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"dhow/agent/crash"
)

// subject is a part of the agent that keeps something on the disk.
type subject struct {
	name  string
	share int // of 100 states
	// begin prepares a workload and what checks its remains. Both must do the same whenever rand does.
	begin func(t *testing.T, r *rand.Rand) workload
	// live subjects see their state on the file system that they worked on: files have the numbers and change times that they had.
	live bool
}

// workload does its work in a folder and marks what is done. check judges what a crash left of that folder, and goes on working with it;
// it may be called by several goroutines.
type workload struct {
	work  func(s *site)
	check func(dir string, marks []string) error
}

// site is where a workload works.
type site struct {
	t   *testing.T
	fs  *crash.FS
	dir string
}

// mark notes a promise: what was done before is on the disk.
func (s *site) mark(format string, args ...any) {
	s.t.Helper()
	must(s.t, s.fs.Mark(fmt.Sprintf(format, args...)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var subjects = []subject{
	{name: "journal", share: 21, begin: journalWork},
	{name: "store", share: 17, begin: storeWork},
	{name: "trust", share: 15, begin: trustWork},
	{name: "site", share: 15, begin: siteWork},
	{name: "snapshot", share: 10, begin: snapshotWork},
	{name: "again", share: 4, begin: againWork, live: true},
	{name: "archive", share: 10, begin: archiveWork},
	{name: "copies", share: 8, begin: copiesWork},
}

// TestStates tries crash states of everything that the agent keeps on the disk. $DHOW_CRASH_STATES says how many, $DHOW_CRASH_SEED makes them
// the same again, and $DHOW_CRASH_STATE=SUBJECT:NUMBER tries one only.
func TestStates(t *testing.T) {
	total, seed := number(t, "DHOW_CRASH_STATES", 2400), uint64(number(t, "DHOW_CRASH_SEED", int(rand.Uint32())))
	subjects, only := chosen(t)
	var mu sync.Mutex
	sum, bad, each := 0, 0, map[string]int{}
	t.Cleanup(func() {
		line := fmt.Sprintf("crash: states=%d bad=%d seed=%d", sum, bad, seed)
		for _, s := range subjects {
			line += fmt.Sprintf(" %s=%d", s.name, each[s.name])
		}
		figure(t, line)
	})
	start(t, 0)
	recordings := map[string]*recording{}
	for _, s := range subjects {
		recordings[s.name] = record(t, s.begin(t, rand.New(rand.NewPCG(seed, 0))), s.live)
	}
	start(t, 1) // the power is back
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n, told := max(1, total*s.share/100), 0
			tried, wrong := recordings[s.name].hunt(t, seed, n, only, func(number int, problem string) bool {
				t.Errorf("%s\nreplay: scripts/bench crash --seed %d --state %s:%d", problem, seed, s.name, number)
				told++
				return told < 5
			})
			mu.Lock()
			defer mu.Unlock()
			sum, bad, each[s.name] = sum+tried, bad+wrong, tried
			if tried < min(n, 300) && wrong == 0 && only < 0 { // of more a small workload may not have enough
				t.Errorf("only %d different states of the %d wanted", tried, n)
			}
		})
	}
}

// chosen are the subjects to try, and the number of the only state to try or -1.
func chosen(t *testing.T) ([]subject, int) {
	t.Helper()
	want := os.Getenv("DHOW_CRASH_STATE")
	if want == "" {
		return subjects, -1
	}
	name, text, _ := strings.Cut(want, ":")
	n, err := strconv.Atoi(text)
	for _, s := range subjects {
		if s.name == name && err == nil && n >= 0 {
			return []subject{s}, n
		}
	}
	t.Fatalf("$DHOW_CRASH_STATE is %q, not SUBJECT:NUMBER", want)
	return nil, 0
}

// start starts the system anew, as far as the agent can see.
func start(t *testing.T, n int) {
	t.Helper()
	must(t, os.WriteFile(os.Getenv(bootFile), []byte(boot(n)), 0o444))
}

func number(t *testing.T, name string, other int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return other
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		t.Fatalf("$%s is %q, not a number", name, v)
	}
	return n
}

func figure(t *testing.T, line string) {
	t.Helper()
	t.Log(line)
	path := os.Getenv("DHOW_E2E_FIGURES")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = fmt.Fprintln(f, line)
	must(t, err)
	must(t, f.Close())
}

// recording is what a workload has done. fs is set when states are to be seen there.
type recording struct {
	workload
	states *crash.States
	fs     *crash.FS
}

// record runs a workload on a new file system.
func record(t *testing.T, w workload, live bool) *recording {
	t.Helper()
	fs := mount(t)
	w.work(&site{t, fs, fs.Dir})
	log, err := fs.Log()
	must(t, err)
	r := &recording{workload: w, states: crash.NewStates(log)}
	if live {
		r.fs = fs
	}
	return r
}

// mount makes a file system that is there as long as the test.
func mount(t *testing.T) *crash.FS {
	t.Helper()
	fs, err := crash.Mount(t.TempDir())
	must(t, err)
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Errorf("cannot unmount: %v", err)
		}
	})
	return fs
}

// hunt checks n different crash states, or the one with the number only. bad hears of each bad one and says whether to go on.
func (r *recording) hunt(t *testing.T, seed uint64, n, only int, bad func(number int, problem string) bool) (tried, wrong int) {
	t.Helper()
	base := scratch(t)
	if r.fs != nil {
		base = r.fs.Dir
	}
	seen := map[uint64]bool{}
	first, end := 0, 100*n
	if only >= 0 {
		first, end = only, only+1
	}
	for i := first; tried < n && i < end; i++ {
		c := r.states.Random(seed, uint64(i))
		state := r.states.State(c)
		if seen[state.Sum] {
			continue
		}
		seen[state.Sum] = true
		tried++
		dir := filepath.Join(base, fmt.Sprintf("state-%d", i))
		if r.fs == nil {
			must(t, crash.Write(dir, state.Root))
		} else {
			must(t, r.fs.Show(filepath.Base(dir), state.Root))
		}
		err := judge(r.workload, dir, r.states.Marks(c))
		must(t, os.RemoveAll(dir))
		if err == nil {
			continue
		}
		wrong++
		if !bad(i, fmt.Sprintf("%v\n%s", err, r.states.Describe(c, state.Lost))) {
			break
		}
	}
	return tried, wrong
}

func judge(w workload, dir string, marks []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.check(dir, marks)
}

// scratch is a folder for states, in memory where there is room.
func scratch(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC || st.Bavail*uint64(st.Bsize) < 256<<20 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "dhow-e2e-crash-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
