//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/api"
)

// refusesBefore updates a running site and expects exit code 4, the words, and no moment of downtime.
func (s *Site) refusesBefore(release string, words ...string) {
	s.t.Helper()
	before, containers := s.data(), s.containers()
	w := s.watch()
	r := s.expect(api.CodeRefused, "update", "--now")
	if story := w.end(); len(w.sight) != 2 || w.sight[0].What != release {
		s.t.Errorf("users saw: %s", story)
	}
	mentions(s.t, r, words...)
	unchanged(s.t, containers, s.containers())
	before.same(s.t, s.data(), "data after a refused update")
	s.sane(release)
	if u := s.last(); u.Result != "" && u.Result != api.ResultRefused && u.Result != api.ResultDone {
		s.t.Errorf("history: %+v", u)
	}
}

// running is a ledger site on 1.0.0.
func runningLedger(t *testing.T, c *Centre, name string, more ...string) (*Site, string) {
	t.Helper()
	source := folderSource(t)
	s := newSite(t, c, name)
	c.pin(t, name, "1.0.0", source)
	s.install(source, more...)
	s.must("update", "--now")
	return s, source
}

// TestMissingSetting needs a value that the site does not have: at the first release, and for a setting that a later one brings.
func TestMissingSetting(t *testing.T) {
	centre := newCentre(t, ledgerStack)
	centre.release(t, "1.0.0", "1.0.0")
	override := centre.file(t, "audit.yaml",
		"services: {ledger: {environment: {AUDITOR: \"${LEDGER_AUDITOR:?who audits has no value}\"}}}\n")
	centre.release(t, "1.1.0", "1.1.0", "-f", override)
	closed := t.TempDir() // a folder of data that can be read only
	shell(t, `mount -t tmpfs -o ro tmpfs "$1"`, closed)
	t.Cleanup(func() {
		if out, err := exec.Command("umount", closed).CombinedOutput(); err != nil {
			t.Errorf("cannot unmount: %s", out)
		}
	})
	centre.release(t, "1.2.0", "1.1.0", "-f", override, "-f", centre.file(t, "closed.yaml", "services: {ledger: {volumes: ['"+closed+":/more']}}\n"))
	s, source := runningLedger(t, centre, "setting")
	centre.pin(t, s.name, "1.1.0", source)
	s.refusesBefore("1.0.0", "LEDGER_AUDITOR")

	step(t, "with a value it works")
	settings := filepath.Join(s.prefix, "etc", "dhow", "site.env")
	text := string(read(t, settings))
	if !strings.Contains(text, "O'Kemba") {
		t.Errorf("the settings do not hold what was given at install")
	}
	write(t, settings, []byte(text+"\nLEDGER_AUDITOR=Madame Banza\n"))
	s.must("update", "--now")
	s.sane("1.1.0")
	if info, err := os.Stat(settings); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the settings: %v (%v), want 0600", info.Mode(), err)
	}

	step(t, "a folder whose data could not be put back")
	centre.pin(t, s.name, "1.2.0", source)
	s.refusesBefore("1.1.0", "can't write to the data folder "+closed, "read-only file system")
	centre.pin(t, s.name, "1.1.0", source)

	step(t, "a new site without a required value")
	empty := newSite(t, centre, "setting-new")
	centre.pin(t, empty.name, "1.0.0", source)
	r := empty.run("install", "--site", empty.name, "--source", source, "--root", centre.root(), "--project", empty.project, "--yes")
	if r.Code == api.CodeOK {
		empty.start()
		r = empty.expect(api.CodeRefused, "update", "--now")
	}
	mentions(t, r, "LEDGER_OWNER")
	if list := empty.containers(); len(list) != 0 {
		t.Errorf("containers of a refused first release: %+v", list)
	}
}

// TestFullDisk has no room for the safe copy.
func TestFullDisk(t *testing.T) {
	centre := ledgerCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "fulldisk")
	state := filepath.Join(s.prefix, "var", "lib", "dhow")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", state).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount a small disk: %s", out)
	}
	t.Cleanup(func() {
		s.kill()
		if out, err := exec.Command("umount", state).CombinedOutput(); err != nil {
			t.Errorf("cannot unmount: %s", out)
		}
	})
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	centre.pin(t, s.name, "1.1.0", source)
	ballast := write(t, filepath.Join(state, "ballast"), make([]byte, 300<<20))
	s.refusesBefore("1.0.0", "more is needed")

	step(t, "with room it works")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.must("update", "--now")
	s.sane("1.1.0")
}

// TestPortTaken finds the port of the new settings in other hands.
func TestPortTaken(t *testing.T) {
	centre := ledgerCentre(t)
	s, source := runningLedger(t, centre, "port")
	other, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.Addr().(*net.TCPAddr).Port
	settings := filepath.Join(s.prefix, "etc", "dhow", "site.env")
	good := read(t, settings)
	changed := bytes.ReplaceAll(good, fmt.Append(nil, s.port), fmt.Append(nil, taken))
	if bytes.Equal(good, changed) {
		t.Fatalf("the port is not in the settings")
	}
	write(t, settings, changed)
	centre.pin(t, s.name, "1.1.0", source)
	s.refusesBefore("1.0.0", fmt.Sprint(taken), "front")
	write(t, settings, good)
	s.must("update", "--now")
	s.sane("1.1.0")
}

// TestMissingArchitecture pins a release that was made for other machines.
func TestMissingArchitecture(t *testing.T) {
	centre := newCentre(t, ledgerStack)
	centre.release(t, "1.0.0", "1.0.0")
	for repository, tag := range map[string]string{"dhow-ledger/ledger": "1.1.0", "dhow-ledger/front": "1.0"} {
		variant(t, repository, tag, "foreign", func(c *imageChange) { c.arch = "s390x" })
	}
	override := centre.file(t, "foreign.yaml", "services:\n  ledger: {image: \"${REGISTRY}/dhow-ledger/ledger:foreign\"}\n"+
		"  front: {image: \"${REGISTRY}/dhow-ledger/front:foreign\"}\n")
	centre.release(t, "1.1.0", "1.1.0", "-f", override, "--platform", "linux/s390x")
	s, source := runningLedger(t, centre, "arch")
	centre.pin(t, s.name, "1.1.0", source)
	s.refusesBefore("1.0.0", "linux/")
}

// TestOldEngine puts a proxy before the engine that says it is an old one.
func TestOldEngine(t *testing.T) {
	centre := ledgerCentre(t)
	s, source := runningLedger(t, centre, "oldengine")
	socket := filepath.Join(t.TempDir(), "old.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: oldEngine("18.09.1", "1.39")}
	go func() { _ = old.Serve(listener) }()
	t.Cleanup(func() { _ = old.Close() })

	config := filepath.Join(s.prefix, "etc", "dhow", "dhow.yaml")
	good := read(t, config)
	s.stop()
	write(t, config, append(bytes.Clone(good), []byte("engine: unix://"+socket+"\n")...))
	s.start()
	centre.pin(t, s.name, "1.1.0", source)
	s.refusesBefore("1.0.0", "18.09.1", "engine")
	s.stop()
	write(t, config, good)
	s.start()
	s.must("update", "--now")
	s.sane("1.1.0")
}

// oldEngine passes everything on to the real engine and answers an older version in its name.
func oldEngine(version, apiVersion string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", "/var/run/docker.sock")
	}}
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Api-Version", apiVersion)
		if !strings.HasSuffix(r.Request.URL.Path, "/version") {
			return nil
		}
		var answer map[string]any
		if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
			return err
		}
		answer["Version"], answer["ApiVersion"] = version, apiVersion
		delete(answer, "Components")
		data, err := json.Marshal(answer)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		r.Header.Set("Content-Length", fmt.Sprint(len(data)))
		return err
	}
	return proxy
}
