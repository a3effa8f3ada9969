package stick

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

func TestWhichMountsAreSticks(t *testing.T) {
	const table = `36 25 0:31 / /media rw - tmpfs tmpfs rw
37 25 0:32 / /media/net rw - nfs server:/x rw
38 25 0:33 / /media/nurse/EMR\040STICK rw,nosuid - fuseblk /dev/sdb1 rw
39 25 0:34 / /mnt rw - btrfs /dev/sdc1 rw
40 25 0:35 /sub /mnt/part rw - ext4 /dev/sda1 rw
41 25 0:36 / /media2/usb rw - vfat /dev/sdd1 rw
42 25 0:37 / /run/media/nurse/A rw - vfat /dev/sde1 rw
43 25 999999:1 / /media/gone rw - vfat /dev/sdf1 rw
44 25 0:38 / / rw - ext4 /dev/sda1 rw
`
	list, err := mountinfo.GetMountsFromReader(strings.NewReader(table), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range list {
		if isStick(i, []string{"/media", "/mnt/", "/run/media"}) {
			got = append(got, i.Mountpoint)
		}
	}
	if want := []string{"/media/nurse/EMR STICK", "/mnt", "/run/media/nurse/A"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// visitor notes which places are visited.
type visitor struct {
	mu      sync.Mutex
	visited map[string]int
	hang    chan struct{} // visits end with it only
}

func (v *visitor) visit(ctx context.Context, p Place) {
	v.mu.Lock()
	v.visited[p.Path]++
	v.mu.Unlock()
	<-ctx.Done()
	if v.hang != nil {
		<-v.hang
	}
	v.mu.Lock()
	v.visited[p.Path]--
	v.mu.Unlock()
}

func (v *visitor) at(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.visited[path]
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A folder that is configured anew counts, and one that is no longer configured is left; the end of Watch ends all.
func TestWatchFollowsTheConfiguration(t *testing.T) {
	v := &visitor{visited: map[string]int{}}
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	var mu sync.Mutex
	folder := a
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, Options{
			Places: func() Places { mu.Lock(); defer mu.Unlock(); return Places{Folder: folder} },
			Visit:  v.visit, Log: slog.New(slog.DiscardHandler), Every: time.Millisecond,
		})
	}()
	until(t, "the first folder", func() bool { return v.at(a) == 1 })
	mu.Lock()
	folder = b
	mu.Unlock()
	until(t, "the second folder", func() bool { return v.at(a) == 0 && v.at(b) == 1 })
	cancel()
	<-ended
	until(t, "the end", func() bool { return v.at(b) == 0 })
}

// Visits that hang are left behind, and bounded.
func TestVisitsThatHangAreBounded(t *testing.T) {
	v := &visitor{visited: map[string]int{}, hang: make(chan struct{})}
	o := Options{Visit: v.visit, Log: slog.New(slog.DiscardHandler)}
	visits, hanging := map[string]*visit{}, map[*visit]bool{}
	begun := func() (n int) {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, c := range v.visited {
			n += c
		}
		return n
	}
	for i := range 3 * mostHanging {
		before := len(visits) + len(hanging)
		turn(t.Context(), o, []Place{{ID: fmt.Sprint(i), Path: fmt.Sprint(i)}}, visits, hanging)
		if len(visits)+len(hanging) > before {
			until(t, "the visit", func() bool { return begun() == before+1 })
		}
	}
	if n := begun(); n > mostHanging+1 {
		t.Errorf("%d visits hang", n)
	}
	close(v.hang)
	until(t, "the end of those that hung", func() bool { return begun() <= 1 })
	turn(t.Context(), o, []Place{{ID: "new", Path: "new"}}, visits, hanging)
	until(t, "a new visit", func() bool {
		turn(t.Context(), o, []Place{{ID: "new", Path: "new"}}, visits, hanging)
		return v.at("new") == 1
	})
}

// The kernel tells of a mount at once. Mounting needs root and a name space of its own, which the tests on the engine have; here the word is
// looked for only.
func TestEventsEndWithTheirContext(t *testing.T) {
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	events(ctx, slog.New(slog.DiscardHandler))
	cancel()
	until(t, "the files to be closed", func() bool {
		after, err := os.ReadDir("/proc/self/fd")
		return err == nil && len(after) <= len(before)
	})
}
