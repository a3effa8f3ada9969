//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/manifest/report"
)

// plug mounts the disk again, as a stick that is plugged in.
func (d *Disk) plug(options ...string) {
	d.t.Helper()
	d.must("mount", "-o", strings.Join(append([]string{"loop"}, options...), ","), d.image, d.path)
}

// pull takes it away, used or not.
func (d *Disk) pull() {
	d.t.Helper()
	if err := syscall.Unmount(d.path, syscall.MNT_DETACH); err != nil {
		d.t.Fatal(err)
	}
}

// kinds says what was found on which stick, in the order in which it is told.
func kinds(st api.Status, dir string) string {
	var list []string
	for _, o := range st.Offers {
		if rel, err := filepath.Rel(dir, o.Path); err == nil && !strings.HasPrefix(rel, "..") {
			list = append(list, rel+" "+o.Kind)
		}
	}
	return strings.Join(list, ", ")
}

// found waits until that was found on a stick.
func (s *Site) found(dir, want string) api.Status {
	s.t.Helper()
	var st api.Status
	poll(s.t, 20*time.Second, want+" on "+dir, func() (bool, string) {
		st = s.status()
		return kinds(st, dir) == want, kinds(st, dir) + s.tail()
	})
	return st
}

// brought waits until writing a report onto a stick has ended so.
func (s *Site) brought(dir, how string) {
	s.t.Helper()
	poll(s.t, 20*time.Second, "the report: "+how, func() (bool, string) {
		for _, o := range s.status().Offers {
			if strings.HasPrefix(o.Path, dir+"/") && o.Report != "" {
				return o.Report == how, o.Report + s.tail()
			}
		}
		return false, "nothing" + s.tail()
	})
}

// TestSticks is what happens at a site where people plug in sticks: good ones and bad ones, and some that are pulled out too early.
func TestSticks(t *testing.T) {
	t.Parallel()
	c := newCentre(t, ledgerStack)
	s, source := newSite(t, c, "plugged"), folderSource(t)
	c.release(t, "1.0.0", "1.0.0")
	c.release(t, "1.1.0", "1.1.0")
	c.pin(t, s.name, "1.0.0", source)
	ext4, dying, broken := newDisk(t, 96), newDisk(t, 96), newDisk(t, 16)
	exfat, fat32 := newStick(t, 96), makeStick(t, "fat32", 96)
	fat := fat32.folder

	first := filepath.Join(fat, "updates", "emr-1.0.0.tgz")
	if err := os.Mkdir(filepath.Dir(first), 0o755); err != nil {
		t.Fatal(err)
	}
	c.must(t, "bundle", "create", "--release", "1.0.0", "-o", first)
	c.must(t, "bundle", "create", "--release", "1.0.0", "-o", filepath.Join(exfat, "emr.tgz"))
	written, copied, bad := read(t, first), filepath.Join(t.TempDir(), "copied"), filepath.Join(t.TempDir(), "bad")
	fat32.unplug()
	fat32.must("mcopy", "-i", fat32.image, "::UPDATES/EMR-1.0.0.TGZ", copied) // as another system reads it, by whatever letters
	if !bytes.Equal(read(t, copied), written) {
		t.Error("another system reads another bundle from FAT32")
	}
	written[len(written)*3/4] ^= 4
	write(t, bad, written)
	fat32.must("mcopy", "-i", fat32.image, bad, "::EMR-COPY.TGZ") // as it writes one
	fat32.plug()
	c.must(t, "pin", "1.1.0", "--site", s.name)
	c.must(t, "publish", "--to", folderSource(t))
	bundle := filepath.Join(ext4.path, "emr-1.1.0.tgz")
	c.must(t, "bundle", "create", "--release", "1.1.0", "-o", bundle)
	c.must(t, "bundle", "create", "--release", "1.1.0", "-o", filepath.Join(dying.path, "emr.tgz"))
	c.must(t, "bundle", "create", "--release", "1.0.0", "-o", filepath.Join(ext4.path, "only-1.0.0.tar")) // the same manifest without what is pinned
	write(t, filepath.Join(ext4.path, "cut.tgz"), read(t, bundle)[:1000])
	write(t, filepath.Join(ext4.path, "photos.tgz"), []byte("no archive at all"))
	if err := syscall.Mkfifo(filepath.Join(ext4.path, "emr.tgz"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"round", "round.tgz"} {
		if err := os.Symlink(".", filepath.Join(ext4.path, link)); err != nil {
			t.Fatal(err)
		}
	}
	scattered(t, filepath.Join(broken.path, "emr.tgz"))
	for _, d := range []*Disk{ext4, dying, broken} {
		d.unmount()
	}
	spoil(t, broken.image, "/emr.tgz")
	t.Cleanup(func() { // newDisk unmounts them
		for _, d := range []*Disk{ext4, dying, broken} {
			if !mountedAt(d.path) {
				d.must("mount", "-t", "tmpfs", "none", d.path)
			}
		}
	})

	step(t, "a first release from a FAT stick")
	s.install(source)
	s.configure(func(c *site.Config) {
		c.Sticks = site.Sticks{Watch: []string{fat, filepath.Dir(ext4.path), filepath.Dir(dying.path), filepath.Dir(broken.path)}}
	})
	aside := &Disk{t: t, path: t.TempDir(), image: ext4.image} // where the site does not look; the kernel tells it of a mount all the same
	aside.must("mount", "-t", "tmpfs", "none", aside.path)
	aside.must("umount", aside.path)
	st := s.found(fat, "EMR-COPY.TGZ install")
	if o := st.Offers[0]; o.Release != "1.0.0" || len(o.Copies) != 1 || o.Copies[0].Path != first || o.Label != filepath.Base(fat) || st.State != api.StateNew {
		t.Fatalf("offered: %+v, %s", o, st.State)
	}
	s.must("update", "--now", "--from", st.Offers[0].Path) // it is damaged, and its copy is not
	s.found(fat, "EMR-COPY.TGZ current, updates/emr-1.0.0.tgz current")
	s.brought(fat, api.ReportWritten)
	s.configure(func(c *site.Config) { c.Sticks.Watch = append(c.Sticks.Watch, exfat) })
	s.found(exfat, "emr.tgz current")
	s.brought(exfat, api.ReportWritten)

	step(t, "one that can't be read, and one that dies while it is")
	broken.plug()
	s.found(broken.path, "emr.tgz unreadable")
	dying.plug()
	s.found(dying.path, "emr.tgz install")
	if err := os.Truncate(dying.image, 1<<20); err != nil {
		t.Fatal(err)
	}
	if r := s.run("update", "--now", "--from", filepath.Join(dying.path, "emr.tgz")); r.Code != api.CodeNotTrusted && r.Code != api.CodeUnreachable {
		t.Errorf("an update from a stick that dies: %s", r)
	}
	s.sane("1.0.0")
	dying.pull()
	broken.pull()
	s.found(dying.path, "")
	s.found(broken.path, "")

	step(t, "a stick with much on it")
	ext4.plug()
	st = s.found(ext4.path, "emr-1.1.0.tgz install, only-1.0.0.tar nothing, cut.tgz damaged, photos.tgz damaged")
	if o := st.Offers[0]; o.Path != bundle || o.Release != "1.1.0" {
		t.Errorf("offered first: %+v", o)
	}
	mentions(t, s.must("status"), "brings version 1.1.0, signed by the central team", "dhow update --now --from "+bundle)
	mentions(t, s.must("--lang", "fr", "status"), "apporte la version 1.1.0, signée par l’équipe centrale")

	step(t, "pulled out while the release is put in place")
	before := s.ledger()
	client := api.NewClient(site.Paths{Prefix: s.prefix}.Socket())
	started, err := client.Update(t.Context(), api.UpdateRequest{From: s.status().Offers[0].Path, Now: true})
	if err != nil || started.Change == 0 {
		t.Fatalf("%+v, %v", started, err)
	}
	poll(t, 30*time.Second, "the update to begin", func() (bool, string) {
		st := s.status()
		return st.State == api.StateUpdating || st.Release == "1.1.0", st.State + s.tail()
	})
	ext4.pull()
	if st := s.settled(60 * time.Second); st.Release != "1.1.0" || st.LastUpdate.Result != api.ResultDone {
		t.Fatalf("ended as %+v", st)
	}
	s.sane("1.1.0")
	before.after("1.1.0").same(t, s.ledger(), "the ledger")
	s.found(ext4.path, "")

	step(t, "the report for the centre")
	ext4.plug()
	s.brought(ext4.path, api.ReportWritten)
	told := filepath.Join(ext4.path, report.FileName(s.name))
	data := read(t, told)
	for _, secret := range []string{ledgerStack.settings["LEDGER_OWNER"], "LEDGER_", s.prefix} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the report holds %q: %s", secret, data)
		}
	}
	if r := c.run(t, "fleet", "status", "--from", ext4.path); r.Code != api.CodeNotConfirmed {
		t.Error(r)
	}
	mentions(t, Result{Out: c.must(t, "fleet", "status", "--from", ext4.path, "--from", fat, "--accept", "--json")}, s.status().KeyPrint, `"release": "1.1.0"`)
	var line []struct{ Report report.Report }
	if err := json.Unmarshal([]byte(c.must(t, "fleet", "status", "--json")), &line); err != nil || len(line) != 1 {
		t.Fatalf("%+v, %v", line, err)
	}
	if u := line[0].Report.Updates[0]; u.From != "1.0.0" || u.To != "1.1.0" || u.Result != api.ResultDone || line[0].Report.Agent == "" {
		t.Errorf("reported: %+v", line[0].Report)
	}

	step(t, "sticks that can't be written to")
	again := func(change func(), options ...string) {
		t.Helper()
		ext4.pull()
		s.found(ext4.path, "")
		aside.plug()
		change()
		aside.must("umount", aside.path)
		ext4.plug(options...)
	}
	again(func() {
		if err := os.Remove(filepath.Join(aside.path, report.FileName(s.name))); err != nil {
			t.Fatal(err)
		}
	}, "ro")
	s.brought(ext4.path, api.ReportReadOnly)
	mentions(t, s.must("--lang", "pt", "status"), "Não se pode escrever na pen USB")
	again(func() { aside.fill(0) })
	s.brought(ext4.path, api.ReportFull)
	fat32.unplug()
	fat32.must("mdel", "-i", fat32.image, "::"+report.FileName(s.name))
	s.found(fat, "")
	fat32.plug("ro")
	s.brought(fat, api.ReportReadOnly)
}

func mountedAt(path string) bool {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	return strings.Contains(string(data), " "+path+" ")
}
