package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// Options of a client. Its zero value is good.
type Options struct {
	Now func() time.Time // the computer's clock; nil means time.Now
	// Floor is a moment that has certainly passed, such as the build time of the program.
	Floor time.Time
	// Seen is the Number of the manifest that was accepted last, as another place (the journal) remembers it. It stops an old
	// stick when the state of the folder was lost. 0 means not known.
	Seen int64
	// Site is the site for which this is: of a large fleet only what concerns it is fetched and kept. Empty means the one for which the
	// folder was used before, or everything.
	Site string
}

// Client verifies manifests and remembers them in its folder. It may be used by several goroutines.
type Client struct {
	opts  Options
	first []byte // the root of trust given at install
	dir   string // empty: nothing is written

	floor atomic.Pointer[time.Time] // see Clock; changed with state

	// work is held by the one that asks a source and writes: that may take as long as the line likes.
	work    sync.Mutex
	cleaned bool   // leftovers of an interrupted write are gone
	slots   *slots // nil: nothing is written

	// mu is held for moments only: status is told while a source is silent.
	mu     sync.Mutex
	state  state
	parsed *parsed           // of state.Done; nil until asked for
	papers map[string][]byte // see published
	kept   map[string][]byte // where nothing is written: documents by folder and file name
}

// Manifest is a verified manifest. Callers must not change it.
type Manifest struct {
	Number   int64     // version of the signed list of targets; it only grows
	Expires  time.Time // the earliest expiry of timestamp, snapshot and targets
	Root     time.Time // when the fleet's root expires
	Fleet    *manifest.Fleet
	Releases []string // versions that the manifest lists, from old to new
	Warnings []string // sentences for people: expiry on a stick, a wrong clock
	Notices  []Notice // the same, and what they are made of
}

// Init makes root the root of trust of the folder dir. It may be repeated; another root than the one that is
// there is ErrOtherFleet.
func Init(dir string, root []byte) error {
	id, err := identity(root)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Join(dir, releasesDir), 0o700); err != nil {
		return fmt.Errorf("cannot make the trust folder: %w", err)
	}
	path := filepath.Join(dir, "root.json")
	old, err := readFile(path, maxRoot)
	switch {
	case err == nil:
		oldID, err := identity(old)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		if !bytes.Equal(oldID, id) {
			return fmt.Errorf("this computer already trusts another root: the one given is %w", ErrOtherFleet)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	// The slot comes first: with root.json in place there are always two generations once the first refresh is saved.
	s := slots{dir: dir}
	if data, err := s.load(); err == nil && data != nil {
		// An Init that was interrupted leaves a state without a manifest. One with a manifest has lost its root.json.
		if old, err := decodeState(data); err == nil && old.Done.Fleet != nil {
			return fmt.Errorf("cannot begin to trust: %s has a state but no root.json", dir)
		}
	}
	if err := s.begin(root); err != nil {
		return err
	}
	if err := durable.WriteFile(path, root, 0o600); err != nil {
		return fmt.Errorf("cannot save the root of trust: %w", err)
	}
	return nil
}

// Open reads the state of dir. It fails with ErrNoRoot before Init, and with ErrDamaged when both slots are damaged: then Restore
// and a refresh with Options.Seen set bring the site back.
func Open(dir string, opts Options) (*Client, error) {
	first, err := readFile(filepath.Join(dir, "root.json"), maxRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoRoot)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the root of trust: %w", err)
	}
	c, err := Scratch(first, opts)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", filepath.Join(dir, "root.json"), err)
	}
	c.dir, c.slots, c.kept = dir, &slots{dir: dir}, nil
	value, err := c.slots.load()
	if err != nil {
		return nil, err
	}
	if value != nil {
		if c.state, err = decodeState(value); err != nil {
			return nil, err
		}
		if c.opts.Site == "" {
			c.opts.Site = c.state.Site
		}
	}
	c.raise(c.state)
	return c, nil
}

// Restore makes a folder anew whose state was lost, from the chain of roots that this site has followed (see Roots), or from the root of
// the installation when that is all there is. Release documents stay. A client that is opened then wants Options.Seen.
func Restore(dir string, roots [][]byte) error {
	fail := func(err error) error { return fmt.Errorf("cannot restore the trust state: %w", err) }
	path := filepath.Join(dir, "root.json")
	first, err := readFile(path, maxRoot)
	if err == nil {
		_, err = selfSigned(first)
	}
	if err != nil {
		if len(roots) == 0 {
			return fail(err)
		}
		if err := durable.MkdirAll(filepath.Join(dir, releasesDir), 0o700); err != nil {
			return fail(err)
		}
		if err := durable.WriteFile(path, roots[0], 0o600); err != nil {
			return fail(err)
		}
	}
	if len(roots) == 0 {
		roots = [][]byte{first}
	}
	for _, root := range roots {
		if _, err := selfSigned(root); err != nil {
			return fail(err)
		}
	}
	s := slots{dir: dir}
	for n := range 2 {
		if err := os.Remove(s.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
	}
	return s.begin(roots...)
}

// Scratch returns a client that begins with root and writes nothing: it checks a bundle or a published folder by itself.
func Scratch(root []byte, opts Options) (*Client, error) {
	if _, err := selfSigned(root); err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Client{opts: opts, first: root, state: state{Root: root}, kept: map[string][]byte{}}
	c.raise(c.state)
	return c, nil
}

// Scratch returns a client with the same state that writes nothing: it shows what a source would bring, without accepting it.
func (c *Client) Scratch() *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := &Client{opts: c.opts, first: c.first, state: c.state, kept: map[string][]byte{}}
	other.raise(c.state)
	return other
}

// Current returns the newest complete manifest of this site, from disk. It fails with ErrNothing before the first refresh.
func (c *Client) Current() (*Manifest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current()
}

func (c *Client) current() (*Manifest, error) {
	p, err := c.done()
	if err != nil {
		return nil, err
	}
	m := &Manifest{Number: p.targets.Signed.Version, Expires: p.expires(), Root: p.root.Signed.Expires, Fleet: p.fleet, Notices: c.notices(p)}
	for _, n := range m.Notices {
		m.Warnings = append(m.Warnings, n.Text)
	}
	for path := range p.targets.Signed.Targets {
		if name, ok := strings.CutPrefix(path, "releases/"); ok {
			version := strings.TrimSuffix(name, ".json")
			if v, err := manifest.ParseVersion(version); err == nil && manifest.ReleasePath(v) == path {
				m.Releases = append(m.Releases, v)
			}
		}
	}
	manifest.SortVersions(m.Releases)
	return m, nil
}

func (c *Client) done() (*parsed, error) {
	if c.parsed == nil {
		p, err := c.state.parseDone(c.opts.Site)
		if err != nil {
			return nil, err
		}
		c.parsed = p
	}
	return c.parsed, nil
}

// keep makes s the state, on disk first. The caller holds work, and not mu.
func (c *Client) keep(s state) error {
	if c.slots != nil {
		if err := c.clean(); err != nil {
			return err
		}
		value, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		if err := c.slots.save(value); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.parsed, c.papers = s, nil, nil
	c.raise(s)
	return nil
}

// clean removes what interrupted writes left behind. Only a client that writes does so: another process may just be reading.
func (c *Client) clean() error {
	if c.cleaned {
		return nil
	}
	for _, dir := range []string{c.dir, filepath.Join(c.dir, releasesDir), filepath.Join(c.dir, waysDir), filepath.Join(c.dir, agentDir)} {
		if err := durable.Clean(dir); err != nil {
			return fmt.Errorf("cannot clean the trust folder: %w", err)
		}
	}
	c.cleaned = true
	return nil
}
