//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"dhow/agent/api"
	"dhow/agent/site"
)

// TestStolenKeys: the laptop with the release key, the freshness key and one root key is stolen while a site is off. The keys are replaced, the
// root keys twice; the site follows all the roots, and takes nothing more that the thief signs.
func TestStolenKeys(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, ledgerStack)
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		centre.release(t, v, v)
	}
	safe := t.TempDir()
	for _, key := range []string{"root-2", "root-3"} {
		centre.must(t, "key", "export", key, safe)
	}
	source := "oci://" + world.registry + "/dhow-e2e-keys/ours"
	s := newSite(t, centre, "stolen")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	s.sane("1.0.0")
	s.stop()

	step(t, "the laptop is stolen")
	thief := &Centre{dir: filepath.Join(t.TempDir(), "fleet"), emr: centre.emr, stack: centre.stack}
	if err := os.CopyFS(thief.dir, os.DirFS(centre.dir)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"release", "freshness", "root-1"} {
		mentions(t, centre.run(t, "key", "rotate", key, "--keys", safe), "Sites follow at their next poll")
	}
	centre.must(t, "publish", "--to", source)
	for _, key := range []string{"root-2", "root-3", "root-4"} {
		centre.must(t, "key", "rotate", key, "--keys", safe)
	}
	centre.pin(t, s.name, "1.1.0", source)

	step(t, "the site is on again")
	s.start()
	s.must("update", "--now")
	s.sane("1.1.0")

	step(t, "the thief publishes, and hands out a stick")
	foreign, stick := "oci://"+world.registry+"/dhow-e2e-keys/theirs", filepath.Join(t.TempDir(), "stick.tgz")
	for _, ring := range []string{"a", "b", "c"} { // a higher number than ours
		thief.must(t, "ring", "add", ring)
		thief.pin(t, s.name, "1.2.0", foreign)
	}
	if r := thief.run(t, "key", "renew"); r.Code != 0 {
		t.Fatal(r)
	} else {
		mentions(t, r, "waits for 1 of root-2, root-3")
	}
	thief.must(t, "bundle", "create", "--release", "1.2.0", "-o", stick)
	containers, data, before := s.containers(), s.data(), s.last()
	mentions(t, s.expect(api.CodeNotTrusted, "update", "--now", "--from", stick), "not signed by the fleet's keys")
	s.configure(func(c *site.Config) { c.Sources = []string{foreign} })
	s.stop()
	s.start()
	mentions(t, s.expect(api.CodeNotTrusted, "update", "--now"), "not signed by the fleet's keys")
	unchanged(t, containers, s.containers())
	data.same(t, s.data(), "data after what the thief has signed")
	s.sane("1.1.0")
	if now := s.last(); now.ID != before.ID {
		t.Errorf("the history has a new line: %+v", now)
	}
}
