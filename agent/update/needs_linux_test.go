package update

import (
	"testing"

	"golang.org/x/sys/unix"

	"dhow/agent/site"
)

// TestRoomThatIsMissing is told for the agent itself on a disk that is almost full, and for what has failed for want of space elsewhere.
func TestRoomThatIsMissing(t *testing.T) {
	m := settled(t, nil)
	if missing := m.missingRoom(); missing > 0 {
		t.Fatalf("%d are missing on the disk of this computer", missing)
	}
	free, err := site.Free(m.Paths.State())
	if err != nil {
		t.Fatal(err)
	}
	m.short = &shortage{where: m.Paths.State(), bytes: free + 1<<40}
	if missing := m.missingRoom(); missing < 1<<39 {
		t.Errorf("%d are missing", missing)
	}
	m.short = nil
	if err := unix.Mount("tmpfs", m.Paths.State(), "tmpfs", 0, "size=64m"); err != nil {
		t.Fatalf("%v (this test runs as root)", err)
	}
	defer func() {
		if err := unix.Unmount(m.Paths.State(), 0); err != nil {
			t.Error(err)
		}
	}()
	if missing := m.missingRoom(); missing != NoSpace-64<<20 {
		t.Errorf("%d are missing", missing)
	}
	m.short = &shortage{where: m.Paths.State(), bytes: 1 << 20} // for which there is room
	if missing := m.missingRoom(); missing != NoSpace-64<<20 {
		t.Errorf("%d are missing", missing)
	}
}
