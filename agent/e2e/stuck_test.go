//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dhow/agent/api"
	"dhow/agent/site"
)

// TestStuck takes away what going back needs, while the agent is dead in the middle of it. The maintenance page stays and says the code for
// whoever helps, so does status, and whoever ordered the update is told; put right, the site goes back by itself.
func TestStuck(t *testing.T) {
	t.Parallel()
	k := newFaultSite(t, killFleet(t, "stuck"))
	o := orders[1]
	if !o.fails || o.from != "1.0.0" {
		t.Fatalf("another order was expected: %+v", o)
	}
	for _, c := range []struct {
		what, point string
		take        func(t testing.TB, s *Site) (putRight func() error)
	}{
		{"a file that can't be changed", "undo-arm-restore/before", freezeEntry},
		{"a copy that is not there", "undo-arm-restore/before", hideBackup},
		{"an image that is gone", "undo-close-doors/before", dropImage},
	} {
		either := k.prepare(o)
		s := k.site
		dir := t.TempDir()
		s.start("DHOW_FAULT="+c.point+":kill", "DHOW_FAULT_DIR="+dir)
		asked := k.ask(o)
		poll(t, time.Minute, "the agent to be killed at "+c.point, func() (bool, string) { return !s.running(), s.tail() })
		putRight := c.take(t, s)
		s.start()
		r := <-asked
		if r.Code != api.CodeStuck {
			t.Errorf("%s: who ordered the update was told: %s", c.what, r)
		}
		st := s.status()
		code := api.Receipt(s.name, s.last().ID, false)
		if st.State != api.StateStuck || st.Code != code || len(st.Warnings) == 0 {
			t.Errorf("%s: status %+v", c.what, st)
		}
		mentions(t, s.run("status"), "STUCK", code)
		mentions(t, r, code, "can't finish")
		if page := s.page(); !strings.Contains(page, code) {
			t.Errorf("%s: the maintenance page lacks the code %s: %s", c.what, code, page)
		}
		if err := putRight(); err != nil {
			t.Fatal(err)
		}
		s.settled(time.Minute)
		if lost := k.judge(o, either); lost != "" {
			t.Errorf("%s: %s", c.what, lost)
		}
		if u := s.last(); u.Result != api.ResultRolledBack || u.Receipt != code {
			t.Errorf("%s: the history says %+v", c.what, u)
		}
		k.tidy()
	}
}

// page is what a user sees while the system is away.
func (s *Site) page() string {
	s.t.Helper()
	resp, err := s.browser().Get(s.url("/"))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return fmt.Sprintf("%s\n%s%v", resp.Status, text, err)
}

// freezeEntry makes a file of the volume immutable.
func freezeEntry(t testing.TB, s *Site) func() error {
	t.Helper()
	f, err := os.Open(filepath.Join(s.volume("ledger-data"), "005.entry"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	const immutable = 0x10 // FS_IMMUTABLE_FL
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|immutable)
	}
	if err != nil {
		t.Fatalf("cannot make a file immutable: %v", err)
	}
	thaw := func() error { return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags) }
	t.Cleanup(func() { _ = thaw() }) // the volume could not be removed
	return thaw
}

// hideBackup moves the newest copy of the data away.
func hideBackup(t testing.TB, s *Site) func() error {
	t.Helper()
	dir := site.Paths{Prefix: s.prefix}.Backups()
	all := names(t, dir)
	if len(all) == 0 {
		t.Fatal("there is no copy")
	}
	path := filepath.Join(dir, all[len(all)-1])
	aside := filepath.Join(s.prefix, "aside")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	return func() error { return os.Rename(aside, path) }
}

// dropImage removes the image of the old release from the engine and from the store.
func dropImage(t testing.TB, s *Site) func() error {
	t.Helper()
	dropImages(t, s.centre)
	var moved []string
	for _, image := range s.centre.document(t, "1.0.0").Images {
		path := filepath.Join(site.Paths{Prefix: s.prefix}.Store(), "blobs", "sha256", image.Platforms[0].Config.Digest.Encoded())
		if err := os.Rename(path, path+".aside"); err != nil {
			t.Fatal(err)
		}
		moved = append(moved, path)
	}
	return func() error {
		for _, path := range moved {
			if err := os.Rename(path+".aside", path); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestJournalFails lets the journal refuse many times in a row, as a full disk does: the agent says so, and goes on when there is space.
func TestJournalFails(t *testing.T) {
	t.Parallel()
	k := newFaultSite(t, killFleet(t, "journal"))
	o := orders[0]
	either := k.prepare(o)
	var faults []string
	for n := 1; n <= 4; n++ {
		faults = append(faults, fmt.Sprintf("journal/save/before@start-release#%d:enospc", n))
	}
	s := k.site
	s.start("DHOW_FAULT="+strings.Join(faults, ","), "DHOW_FAULT_DIR="+t.TempDir())
	asked := k.ask(o)
	poll(t, time.Minute, "status to tell of the trouble", func() (bool, string) {
		r := s.run("status")
		return strings.Contains(r.Out, "cannot write the journal") && strings.Contains(r.Out, "no space left"), r.String() + s.tail()
	})
	if r := <-asked; r.Code != 0 {
		t.Errorf("the update did not go on: %s\n%s", r, s.tail())
	}
	s.settled(time.Minute)
	if lost := k.judge(o, either); lost != "" || k.running != o.to {
		t.Errorf("release %s, %s", k.running, lost)
	}
	if st := s.status(); len(st.Warnings) != 0 {
		t.Errorf("status still warns: %q", st.Warnings)
	}
	k.tidy()
}
