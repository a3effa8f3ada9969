//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestEngineKilled(t *testing.T) {
	t.Parallel()
	f := killFleet(t, "engine")
	s := newSite(t, f.centre, "engine")
	s.engine = newEngine(t, "")
	step(t, "up")
	source := folderSource(t)
	f.centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	step(t, "updated")
	s.sane("1.0.0")
	s.engine.kill()
	s.engine.start()
	step(t, "again")
	f.centre.pin(t, s.name, "1.1.0", source)
	s.must("update", "--now")
	step(t, "updated")
	s.sane("1.1.0")
	s.kill()
	s.engine.cut()
	step(t, "cut")
	s.engine.start()
	step(t, "up")
	s.start()
	s.healthy("1.1.0")
}

// healthy waits until the site says that the release is well, and that it is.
func (s *Site) healthy(release string) {
	s.t.Helper()
	poll(s.t, time.Minute, "release "+release+" to be healthy", func() (bool, string) {
		st := s.status()
		return st.Health == "healthy" && s.fetch("/release") == release, fmt.Sprintf("%+v\n%s", st, s.tail())
	})
	s.sane(release)
}
