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
	{"journal", 20, journalWork},
	{"store", 20, storeWork},
	{"trust", 15, trustWork},
	{"site", 15, siteWork},
}

// TestStates tries crash states of everything that the agent keeps on the disk. $DHOW_CRASH_STATES says how many, $DHOW_CRASH_SEED makes them
// the same again, and $DHOW_CRASH_STATE=SUBJECT:NUMBER tries one only.
func TestStates(t *testing.T) {
	total, seed := number(t, "DHOW_CRASH_STATES", 2400), number(t, "DHOW_CRASH_SEED", int(rand.Uint32()))
	var mu sync.Mutex
	sum, bad, each := 0, 0, map[string]int{}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		line := fmt.Sprintf("crash: states=%d bad=%d seed=%d", sum, bad, seed)
		for _, s := range subjects {
			line += fmt.Sprintf(" %s=%d", s.name, each[s.name])
		}
		figure(t, line)
	})
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := max(1, total*s.share/100)
			tried, wrong := try(t, s, uint64(seed), n)
			mu.Lock()
			defer mu.Unlock()
			sum, bad, each[s.name] = sum+tried, bad+wrong, tried
			if tried < n && os.Getenv("DHOW_CRASH_STATE") == "" {
				t.Errorf("only %d different states of the %d wanted", tried, n)
			}
		})
	}
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

// record runs a workload on a new file system and returns what happened.
func record(t *testing.T, w workload) *crash.Log {
	t.Helper()
	dir := t.TempDir()
	fs, err := crash.Mount(dir)
	must(t, err)
	open := true
	defer func() {
		if open { // the test failed
			_, _ = fs.Close()
		}
	}()
	w.work(&site{t, fs, dir})
	log, err := fs.Close()
	open = false
	must(t, err)
	return log
}

// try checks n different crash states of a subject, and says how many were tried and how many were bad.
func try(t *testing.T, s subject, seed uint64, n int) (tried, bad int) {
	t.Helper()
	only := -1
	if name, text, ok := strings.Cut(os.Getenv("DHOW_CRASH_STATE"), ":"); ok {
		var err error
		if only, err = strconv.Atoi(text); err != nil || only < 0 {
			t.Fatalf("$DHOW_CRASH_STATE is not SUBJECT:NUMBER")
		}
		if name != s.name {
			return 0, 0
		}
	}
	told := 0
	return hunt(t, s.begin(t, rand.New(rand.NewPCG(seed, 0))), seed, n, only, func(number int, problem string) bool {
		t.Errorf("%s\nreplay: scripts/bench crash --seed %d --state %s:%d", problem, seed, s.name, number)
		told++
		return told < 5
	})
}

// hunt checks n different crash states of a workload, or the one with the number only. bad hears of each bad one and says whether to go on.
func hunt(t *testing.T, w workload, seed uint64, n, only int, bad func(number int, problem string) bool) (tried, wrong int) {
	t.Helper()
	states := crash.NewStates(record(t, w))
	base := scratch(t)
	seen := map[uint64]bool{}
	first, end := 0, 100*n
	if only >= 0 {
		first, end = only, only+1
	}
	for i := first; tried < n && i < end; i++ {
		c := states.Random(seed, uint64(i))
		state := states.State(c)
		if seen[state.Sum] {
			continue
		}
		seen[state.Sum] = true
		tried++
		dir := filepath.Join(base, strconv.Itoa(i))
		must(t, crash.Write(dir, state.Root))
		err := judge(w, dir, states.Marks(c))
		must(t, os.RemoveAll(dir))
		if err == nil {
			continue
		}
		wrong++
		if !bad(i, fmt.Sprintf("%v\n%s", err, states.Describe(c, state.Lost))) {
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
