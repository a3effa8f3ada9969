package site

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"dhow/bundle/durable"
)

// Paths says where everything of a site is. Prefix is "" for the real system, or the folder that takes its place (for tests and
// demonstrations).
type Paths struct{ Prefix string }

// Config is the configuration file.
func (p Paths) Config() string { return p.join("etc", "dhow", "dhow.yaml") }

// GoodConfig is a copy of the configuration with which the agent last started.
func (p Paths) GoodConfig() string { return filepath.Join(p.State(), "dhow.yaml") }

// Settings is the file with the settings and secrets of this site.
func (p Paths) Settings() string { return p.join("etc", "dhow", "site.env") }

// State is the folder of everything that must survive a restart.
func (p Paths) State() string { return p.join("var", "lib", "dhow") }

// Journal is the agent's database.
func (p Paths) Journal() string { return filepath.Join(p.State(), "journal.db") }

// Store is the folder of blobs.
func (p Paths) Store() string { return filepath.Join(p.State(), "store") }

// Trust is the folder of the verified metadata.
func (p Paths) Trust() string { return filepath.Join(p.State(), "trust") }

// Stacks is the folder that holds a folder for each release.
func (p Paths) Stacks() string { return filepath.Join(p.State(), "stacks") }

// Backups is the folder that holds a folder for each snapshot.
func (p Paths) Backups() string { return filepath.Join(p.State(), "backups") }

// Archive is the repository of the portable backups.
func (p Paths) Archive() string { return filepath.Join(p.State(), "archive") }

// Page is the folder of the local page: its PIN, its certificate, and who has tried how often.
func (p Paths) Page() string { return filepath.Join(p.State(), "page") }

// SiteKey is the key with which this site signs its reports.
func (p Paths) SiteKey() string { return filepath.Join(p.State(), "site.key") }

// Agent is the folder of the state of the agent's own program, see package self.
func (p Paths) Agent() string { return filepath.Join(p.State(), "agent") }

// LockFile is what Lock locks for the agent. It is never removed.
func (p Paths) LockFile() string { return filepath.Join(p.State(), "lock") }

// Run is the folder of the socket.
func (p Paths) Run() string { return p.join("run", "dhow") }

// Socket is where the agent listens.
func (p Paths) Socket() string { return filepath.Join(p.Run(), "dhow.sock") }

// Make creates the folders that are missing and repairs the modes of those that only the agent may read.
func (p Paths) Make() error {
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{
		{filepath.Dir(p.Config()), 0o755},
		{p.State(), 0o700},
		{p.Store(), 0o700},
		{p.Trust(), 0o700},
		{p.Stacks(), 0o700},
		{p.Backups(), 0o700},
		{p.Archive(), 0o700},
		{p.Page(), 0o700},
		{p.Run(), 0o750},
	} {
		if err := durable.MkdirAll(d.path, 0o755); err != nil {
			return fmt.Errorf("cannot create folder: %w", err)
		}
		if err := os.Chmod(d.path, d.mode); err != nil {
			return fmt.Errorf("cannot set the mode of a folder: %w", err)
		}
	}
	return nil
}

func (p Paths) join(parts ...string) string {
	root := p.Prefix
	if root == "" {
		root = string(filepath.Separator)
		if runtime.GOOS == "windows" {
			root = filepath.Join(os.Getenv("ProgramData"), "dhow")
		}
	}
	return filepath.Join(append([]string{root}, parts...)...)
}
