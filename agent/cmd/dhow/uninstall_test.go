package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/words"
)

// TestUninstallWithoutEngine: an engine that takes connections and says nothing is found before anything is removed.
func TestUninstallWithoutEngine(t *testing.T) {
	within := engineWithin
	engineWithin = 100 * time.Millisecond
	t.Cleanup(func() { engineWithin = within })
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	s := &shell{words: words.For("en"), prefix: t.TempDir(), out: &out}
	if err := s.paths().Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.paths().Config(), []byte("site: kin-001\nproject: emr\nengine: unix://"+socket+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.uninstall(t.Context(), removal{data: true, confirm: "kin-001"})
	if api.Code(err) != api.CodeRefused || err.Error() != "the Docker Engine does not answer: the stack and its data can't be removed" || out.Len() > 0 {
		t.Errorf("it ended with %v\n%s", err, out.String())
	}
	for _, path := range []string{s.paths().State(), s.paths().Config()} {
		if !exists(path) {
			t.Errorf("%s has gone", path)
		}
	}
}
