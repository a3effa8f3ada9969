//go:build e2e

package offsite

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// usb is a stick made of a file: a loop device with a file system on it.
type usb struct {
	kind   string // ext4, or exfat through FUSE, as this test may run on kernels that have none
	image  string
	device string
	folder string
	driver *exec.Cmd // of exfat
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s (this test runs as root, with e2fsprogs, exfatprogs and exfat-fuse)", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func format(t *testing.T, kind string) (image string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "stick")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 12<<20); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs."+kind, image)
	return image
}

// plug mounts a copy of an image.
func plug(t *testing.T, kind, image string) *usb {
	t.Helper()
	u := &usb{kind: kind, image: filepath.Join(t.TempDir(), "image"), folder: t.TempDir()}
	command(t, "cp", "--sparse=always", image, u.image)
	u.device = command(t, "losetup", "-f", "--show", u.image)
	if kind == "ext4" {
		command(t, "mount", u.device, u.folder)
	} else {
		u.driver = exec.Command("mount.exfat-fuse", "-d", u.device, u.folder) // -d: stays, so that it can be killed
		if err := u.driver.Start(); err != nil {
			t.Fatalf("%v (this test needs exfat-fuse)", err)
		}
		for end := time.Now().Add(20 * time.Second); !mounted(t, u.folder); <-time.After(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("exfat-fuse does not mount the stick")
			}
		}
	}
	t.Cleanup(func() { u.unplug(t) })
	return u
}

func mounted(t *testing.T, dir string) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(data), " "+dir+" ")
}

// pull takes the stick away: what the system has not written to it by now is lost. It returns what is left of it.
func (u *usb) pull(t *testing.T) (image string) {
	t.Helper()
	if u.driver != nil {
		_ = u.driver.Process.Kill()
		_ = u.driver.Wait()
	}
	image = filepath.Join(t.TempDir(), "pulled")
	command(t, "cp", "--sparse=always", u.image, image)
	if err := os.Truncate(u.image, 4096); err != nil {
		t.Fatal(err)
	}
	command(t, "losetup", "-c", u.device) // from here on every access behind the first block is an error
	return image
}

// unplug unmounts, also what is gone.
func (u *usb) unplug(t *testing.T) {
	if u.device == "" {
		return
	}
	if mounted(t, u.folder) {
		command(t, "umount", u.folder)
	}
	if u.driver != nil {
		_ = u.driver.Wait()
	}
	command(t, "losetup", "-d", u.device)
	u.device = ""
}

// A stick that is pulled out while a second backup is copied, at ten moments: the copy ends with an error that says so; the stick, plugged in
// again, holds the older copy whole and no half one; the next copy completes.
func TestE2EStickPulledOut(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "exfat"} {
		t.Run(kind, func(t *testing.T) {
			a := newArchive()
			a.add("b1", map[string]int{"p1": 300_000, "p2": 200_000})
			a.add("b2", map[string]int{"p2": 200_000, "p3": 400_000, "p4": 300_000})
			ids, to := keys(t)
			base := format(t, kind)
			first := plug(t, kind, base)
			p := stickAt(t, filepath.Join(first.folder, "dhow"))
			mustSend(t, p, "b1", a, to)
			_ = p.Close()
			first.unplug(t)
			for _, at := range []float64{0, 0.1, 0.5, 0.9, 1} {
				pulledAt(t, kind, first.image, at, a, ids, to)
			}
		})
	}
}

func pulledAt(t *testing.T, kind, image string, at float64, a *archive, ids Identities, to string) {
	t.Helper()
	ctx := context.Background()
	u := plug(t, kind, image)
	p, err := OpenPlace(ctx, filepath.Join(u.folder, "dhow"), noSecret)
	if err != nil {
		t.Fatal(err)
	}
	left := ""
	_, err = Send(ctx, p, site, "b2", a, to, func(done, total int64) {
		if left == "" && float64(done) >= at*float64(total) {
			left = u.pull(t)
		}
	})
	if left == "" || !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrDenied) || Hint(err) == "" {
		t.Errorf("pulled out at %.1f: %v", at, err)
	}
	_ = p.Close()
	u.unplug(t)
	if _, err := OpenPlace(ctx, filepath.Join(u.folder, "dhow"), noSecret); !errors.Is(err, ErrNoPlace) {
		t.Errorf("without the stick: %v", err)
	}
	if got := tree(t, u.folder); len(got) > 0 {
		t.Errorf("the computer's own disk holds %v", got)
	}

	u = plug(t, kind, left)
	p, err = OpenPlace(ctx, filepath.Join(u.folder, "dhow"), noSecret)
	if err != nil {
		t.Fatalf("pulled out at %.1f: %v", at, err)
	}
	whole2(t, p, "b1")
	mustFetch(t, p, "b1", a, ids)
	mustSend(t, p, "b2", a, to)
	whole2(t, p, "b1", "b2")
	mustFetch(t, p, "b2", a, ids)
	if n := mustSend(t, p, "b2", a, to); n != 0 {
		t.Errorf("then %d bytes are sent again", n)
	}
	if slices.ContainsFunc(tree(t, u.folder), func(name string) bool { return strings.Contains(name, ".dhow-tmp-") }) {
		t.Errorf("leftovers: %v", tree(t, u.folder))
	}
	_ = p.Close()
	u.unplug(t)
}

// A stick without room: said before anything is written when the system knows it, and when it comes true in the middle.
func TestE2EStickFull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	u := plug(t, "ext4", format(t, "ext4"))
	p := stickAt(t, filepath.Join(u.folder, "dhow"))
	a := newArchive()
	a.add("b1", map[string]int{"p1": 300_000})
	a.add("b2", map[string]int{"p2": 20_000_000})
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	for name, place := range map[string]Place{"known": p, "in the middle": struct{ Place }{p}} {
		_, err := Send(ctx, place, site, "b2", a, to, nil)
		if !errors.Is(err, ErrFull) || Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		whole2(t, p, "b1")
		mustFetch(t, p, "b1", a, ids)
	}
	command(t, "mount", "-o", "remount,ro", u.folder)
	a.add("b3", map[string]int{"p3": 10})
	if _, err := Send(ctx, p, site, "b3", a, to, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("write-protected: %v", err)
	}
	mustFetch(t, p, "b1", a, ids)
	_ = p.Close()
}
