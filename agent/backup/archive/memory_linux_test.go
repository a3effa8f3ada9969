package archive

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test program, started again by TestMemory, do one operation and say how much memory it took.
func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv("DHOW_ARCHIVE_CHILD"), "\n")
	if len(args) != 3 {
		os.Exit(m.Run())
	}
	if err := child(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(operation, archive, tree string) error {
	before := taken()
	a, err := Open(archive)
	if err != nil {
		return err
	}
	ctx := context.Background()
	name := operation[strings.IndexByte(operation, ' ')+1:]
	switch {
	case strings.HasPrefix(operation, "create"):
		_, err = a.Create(ctx, contents(name, tree), nil)
	case strings.HasPrefix(operation, "verify"):
		err = a.Verify(ctx, name, nil)
	case strings.HasPrefix(operation, "objects"):
		_, err = a.Objects(name)
	case strings.HasPrefix(operation, "delete"):
		err = a.Delete(ctx, name)
	case strings.HasPrefix(operation, "restore"):
		err = a.Restore(ctx, name, []Tree{{"data", tree + "-restored"}}, nil)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d\n", taken()-before)
	return nil
}

// taken is the most memory that the program has had from the system, in bytes. What the race detector takes is not in it.
func taken() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// pages writes a file of pages, half of each compressible and all different, one in a hundred different in each round.
func pages(t *testing.T, path string, n, round int) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	w := bufio.NewWriterSize(f, 1<<20)
	page := make([]byte, blockSize)
	for i := range n {
		seed := i
		if i%100 == 0 {
			seed += round * n
		}
		copy(page, noise(uint64(seed), blockSize/2))
		_, err := w.Write(page)
		must(t, err)
	}
	must(t, w.Flush())
	must(t, f.Close())
}

// TestMemory runs each operation on some hundred MB in a process of its own: it takes less than 64 MB more than at its start.
func TestMemory(t *testing.T) {
	const limit = 64 << 20
	dir, archive := t.TempDir(), filepath.Join(t.TempDir(), "archive")
	const n = 13_000 // 213 MB
	pages(t, filepath.Join(dir, "table"), n, 0)
	begin := time.Now()
	for _, operation := range []string{"create b0", "change", "create b1", "verify b1", "objects b1", "delete b0", "restore b1"} {
		if operation == "change" {
			pages(t, filepath.Join(dir, "table"), n, 1)
			continue
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DHOW_ARCHIVE_CHILD="+operation+"\n"+archive+"\n"+dir)
		var problem strings.Builder
		cmd.Stderr = &problem
		out, err := cmd.Output()
		var peak int64
		if _, serr := fmt.Sscan(string(out), &peak); err != nil || serr != nil {
			t.Fatalf("%s: %v %v: %s", operation, err, serr, problem.String())
		}
		t.Logf("%s: %.1f MB", operation, float64(peak)/1e6)
		if peak > limit {
			t.Errorf("%s took %.1f MB of memory", operation, float64(peak)/1e6)
		}
	}
	t.Logf("in %v", time.Since(begin))
}
