package sign

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// Lifetimes. Sites may be off line for a season, so even the freshness of a manifest lasts a quarter of a year.
const (
	rootLife      = 5 * 365 * 24 * time.Hour
	targetsLife   = 365 * 24 * time.Hour
	snapshotLife  = 365 * 24 * time.Hour
	timestampLife = 90 * 24 * time.Hour
)

// maxRootKeys bounds the keys of each role.
const maxRootKeys = 16

// Created says what Init made.
type Created struct {
	Fingerprint string // of the root, see trust.Fingerprint
	Keys        []Key
	Root        []byte // the root document
}

type options struct {
	work                int
	now                 time.Time
	rootKeys, threshold int
}

// Option changes how keys and roots are made.
type Option func(*options)

// WithWork sets the base-2 logarithm of scrypt's N in place of DefaultWork. Tests lower it.
func WithWork(work int) Option { return func(o *options) { o.work = work } }

// WithNow sets the moment from which the root's lifetime counts.
func WithNow(now time.Time) Option { return func(o *options) { o.now = now } }

// WithRootKeys makes Init give the fleet so many root keys, of which threshold must sign, in place of three and two.
func WithRootKeys(keys, threshold int) Option {
	return func(o *options) { o.rootKeys, o.threshold = keys, threshold }
}

// Init makes a fleet repository in dir, which must not exist or be empty (but for names with a dot): keys encrypted with pass, the
// first root, and a fleet.yaml to begin with.
func Init(dir, name string, pass []byte, opts ...Option) (*Created, error) {
	o := options{work: DefaultWork, now: time.Now(), rootKeys: 3, threshold: 2}
	for _, opt := range opts {
		opt(&o)
	}
	if err := manifest.CheckName(name); err != nil {
		return nil, fmt.Errorf("cannot make fleet: %w", err)
	}
	if len(pass) == 0 {
		return nil, errors.New("cannot make fleet: the passphrase is empty")
	}
	if o.work < 1 || o.work > maxWork {
		return nil, fmt.Errorf("cannot make fleet: scrypt work %d is out of bounds", o.work)
	}
	if o.rootKeys < 1 || o.rootKeys > maxRootKeys || o.threshold < 1 || o.threshold > o.rootKeys {
		return nil, fmt.Errorf("cannot make fleet: %d of %d root keys can't sign: take 1 to %d keys and no higher threshold than that",
			o.threshold, o.rootKeys, maxRootKeys)
	}
	var created *Created
	fill := func(dir string) (err error) {
		created, err = fillRepository(dir, name, pass, o)
		return err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return nil, fmt.Errorf("cannot make fleet: %w", err)
		}
		err = durable.Dir(dir, 0o755, fill)
	case err == nil:
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") {
				return nil, fmt.Errorf("cannot make fleet: %s is not empty (%s): %w", dir, e.Name(), ErrExists)
			}
		}
		// An empty folder may be somebody's working directory or a new git checkout: it is filled in place.
		if err = fill(dir); err == nil {
			err = durable.SyncTree(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make fleet in %s: %w", dir, err)
	}
	return created, nil
}

func fillRepository(dir, name string, pass []byte, o options) (*Created, error) {
	for sub, mode := range map[string]os.FileMode{"keys": 0o700, "metadata": 0o755, "targets/releases": 0o755, "releases": 0o755} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), mode); err != nil {
			return nil, err
		}
	}
	root := metadata.Root(o.now.UTC().Add(rootLife).Truncate(time.Second))
	root.Signed.Roles[metadata.ROOT].Threshold = o.threshold
	created := &Created{}
	var signers []signature.Signer
	add := func(name, role string) error {
		key, err := MakeKey(name, role)
		if err != nil {
			return err
		}
		if err := addKey(root, key.Key); err != nil {
			return fmt.Errorf("cannot make root: %w", err)
		}
		if err := key.Save(keyPath(dir, name), pass, WithWork(o.work)); err != nil {
			return err
		}
		if role == RoleRoot {
			signer, err := signature.LoadSigner(key.private, crypto.Hash(0))
			if err != nil {
				return fmt.Errorf("cannot make root: %w", err)
			}
			signers = append(signers, signer)
		}
		created.Keys = append(created.Keys, key.Key)
		return nil
	}
	for n := range o.rootKeys {
		if err := add(fmt.Sprintf("root-%d", n+1), RoleRoot); err != nil {
			return nil, err
		}
	}
	for _, role := range []string{RoleRelease, RoleFreshness} {
		if err := add(role, role); err != nil {
			return nil, err
		}
	}
	for _, signer := range signers {
		if _, err := root.Sign(signer); err != nil {
			return nil, fmt.Errorf("cannot sign root: %w", err)
		}
	}
	data, err := encode(root)
	if err != nil {
		return nil, err
	}
	if created.Fingerprint, err = trust.Fingerprint(data); err != nil {
		return nil, err
	}
	created.Root = data
	if err := durable.WriteFile(filepath.Join(dir, "metadata", "1.root.json"), data, 0o644); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(filepath.Join(dir, ".gitignore"), []byte("/store/\n/keys/\n/.lock\n.dhow-tmp-*\n"), 0o644); err != nil {
		return nil, err
	}
	// fleet.yaml comes last: a folder that has one is a whole repository.
	return created, durable.WriteFile(filepath.Join(dir, fleetFile), newFleetFile(name), 0o644)
}

func newFleetFile(name string) []byte {
	return []byte(`# Who runs what in the fleet ` + name + `. Keep this file in git; "dhowctl publish" signs what it says; "dhowctl help fleet.yaml" explains every key.
format: 1
name: ` + name + `

# Defaults for all sites; a site's own configuration wins.
policy:
  # When sites look for something new and fetch it: minute, hour, day, month, weekday. Here: every hour, each up to 15 minutes later.
  fetch: "0 * * * *"
  # Hours in which a site may be down for an update, by its own clock. Outside of them an update that is fetched waits.
  # "dhow update --now" at the site puts it in place at once. Without a window sites update whenever something new is there.
  window: "21:00-05:00"
  # timeZone: Africa/Kinshasa # of fetch and window; without it that of each site's computer
  # contact: +000 000 000     # whom a site calls
  # rate: 64 kB/s             # the most that a site fetches over its line
  # languages: [fr, en]       # of what releases say of themselves
  # backup: {at: "0 2 * * *", keep: 14, days: 60, space: 20 GB, drill: "0 3 1 * *"}
  keep: 3 # snapshots that a site keeps
  # backupKey: age1… # what copies of backups are encrypted to: dhowctl key backup makes it and writes it here

# Groups of sites that are served together. Pin: the release that they run.
rings: {}

# One entry for each computer: its ring, and a pin of its own where it must differ.
sites: {}
`)
}

func encode[T metadata.Roles](m *metadata.Metadata[T]) ([]byte, error) {
	data, err := m.ToBytes(false)
	if err != nil {
		return nil, fmt.Errorf("cannot encode metadata: %w", err)
	}
	return append(data, '\n'), nil
}
