package stick

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mounted lists the sticks that are mounted below one of the folders, or at one. Of several file systems at one place the last one is seen.
func mounted(under []string) ([]Place, error) {
	list, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return !isStick(i, under), false })
	if err != nil {
		return nil, fmt.Errorf("cannot read what is mounted: %w", err)
	}
	var places []Place
	at := map[string]int{}
	for _, i := range list {
		p := placeAt(fmt.Sprintf("%d %d:%d %s", i.ID, i.Major, i.Minor, i.Source), i.Mountpoint)
		if n, again := at[p.Path]; again {
			places[n] = p
			continue
		}
		at[p.Path] = len(places)
		places = append(places, p)
	}
	return places, nil
}

// isStick tells sticks, and disks that are like them, from what else is mounted below the watched folders: file systems of the network, of
// memory, and parts of others.
func isStick(i *mountinfo.Info, under []string) bool {
	if !strings.HasPrefix(i.Source, "/dev/") || i.Root != "/" || !attached(i.Major, i.Minor) {
		return false
	}
	for _, u := range under {
		u = filepath.Clean(u)
		if i.Mountpoint == u || strings.HasPrefix(i.Mountpoint, strings.TrimSuffix(u, "/")+"/") {
			return true
		}
	}
	return false
}

// devices lists the block devices of this computer by their numbers.
const devices = "/sys/dev/block"

// attached reports whether a device is still there: a stick that was pulled out stays mounted where nobody unmounts it. File systems with
// numbers of their own (major 0) can't be told.
func attached(major, minor int) bool {
	if _, err := os.Lstat(devices); err != nil || major == 0 {
		return true
	}
	_, err := os.Lstat(fmt.Sprintf("%s/%d:%d", devices, major, minor))
	return err == nil
}

// events gives a word whenever something is mounted or unmounted, until ctx ends: the kernel says so by an exceptional condition on
// the file. Where that can't be had there is no word, and Watch looks now and then.
func events(ctx context.Context, log *slog.Logger) <-chan struct{} {
	told := make(chan struct{}, 1)
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		log.Warn("the kernel does not tell of sticks", "error", err)
		return told
	}
	r, w, err := os.Pipe()
	if err != nil {
		log.Warn("the kernel does not tell of sticks", "error", err)
		_ = f.Close()
		return told
	}
	context.AfterFunc(ctx, func() { _ = w.Close() }) // ends the poll
	go func() {
		defer f.Close()
		defer r.Close()
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
		for ctx.Err() == nil {
			n, err := unix.Poll(fds, -1)
			if n <= 0 || err != nil { // a signal
				continue
			}
			if fds[1].Revents != 0 {
				return
			}
			select {
			case told <- struct{}{}:
			default:
			}
			select { // a computer that mounts all the time must not keep us busy
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return told
}
