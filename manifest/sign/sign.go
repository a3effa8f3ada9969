package sign

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// refreshAfter is the age at which Sign makes a new timestamp even when nothing else changed.
const refreshAfter = 24 * time.Hour

// Sign signs what the repository says. A new manifest number is given only when something changed or half of the lifetime of the
// last one is over; the freshness is renewed when it is older than a day. Repeating it after an interruption is safe.
func (r *Repository) Sign(pass []byte, now time.Time) (*Documents, error) {
	now = now.UTC().Truncate(time.Second)
	last, unlock, err := r.begin(now)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkExpiry(last.root, now); err != nil {
		return nil, err
	}
	next, err := r.targets(last, last.root, now)
	if err != nil {
		return nil, err
	}
	keys := &authority{r: r, root: last.root, pass: pass}
	if next.targets != last.targets {
		if err := signAs(keys, metadata.TARGETS, next.targets); err != nil {
			return nil, err
		}
	}
	return r.complete(last, next, keys, now)
}

// begin locks the repository, sees to it that it can be signed, and returns what was signed last.
func (r *Repository) begin(now time.Time) (last *signed, unlock func(), err error) {
	free, err := lock(r.dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			free()
		}
	}()
	if r.fleet.edited {
		return nil, nil, fmt.Errorf("cannot sign: the changes to %s are not saved", r.fleet.path)
	}
	if err := r.fleet.unchanged(); err != nil {
		return nil, nil, fmt.Errorf("cannot sign: %w", err)
	}
	if last, err = r.signed(); err != nil {
		return nil, nil, err
	}
	return last, free, checkTime(last, now)
}

// complete signs snapshot and timestamp of next, whose root and targets are signed, and writes all of it.
func (r *Repository) complete(last, next *signed, keys *authority, now time.Time) (*Documents, error) {
	effect, err := r.effect(last, next.fleet)
	if err != nil {
		return nil, err
	}
	if err := freshen(last, next, keys, now); err != nil {
		return nil, err
	}
	if err := r.verify(next, now); err != nil {
		return nil, err
	}
	if err := r.write(last, next); err != nil {
		return nil, err
	}
	d := next.documents()
	d.New = !bytes.Equal(next.files[timestampPath], last.files[timestampPath])
	d.Effect = effect
	return d, nil
}

// checkExpiry refuses to sign under a root that is over: sites would take nothing of it.
func checkExpiry(root *rootDocument, now time.Time) error {
	if at := root.Signed.Expires; now.After(at) {
		return fmt.Errorf("cannot sign: %w: it was good until %s, and this computer's clock says %s", ErrRootExpired,
			at.Format(time.DateOnly), now.Format(time.DateOnly))
	}
	return nil
}

// checkTime refuses to sign with a clock that can't be right: what it signs would be expired when it is made.
func checkTime(last *signed, now time.Time) error {
	begin := last.root.Signed.Expires.Add(-rootLife)
	if last.timestamp != nil {
		if text, ok := last.timestamp.Signed.UnrecognizedFields["made"].(string); ok {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				begin = at
			}
		}
	}
	// Computers of one team may differ by some minutes.
	if now.Add(time.Hour).Before(begin) {
		return fmt.Errorf("cannot sign: this computer's clock says %s, but the fleet was signed on %s already",
			now.Format(time.DateTime), begin.Format(time.DateTime))
	}
	return nil
}

// verify reads the documents as a site would: what sites would refuse is never published.
func (r *Repository) verify(s *signed, now time.Time) error {
	first := s.files["metadata/1.root.json"]
	site, err := trust.Scratch(first, trust.Options{Now: func() time.Time { return now }})
	if err != nil {
		return fmt.Errorf("internal error: the root does not verify: %w", err)
	}
	ctx := context.Background()
	if _, err := site.Refresh(ctx, documentMap(s.files), false); err != nil {
		return fmt.Errorf("cannot sign: sites would refuse this manifest: %w", err)
	}
	for name := range s.targets.Signed.Targets {
		if version, ok := manifest.WaysOfPath(name); ok {
			if _, err := site.Ways(ctx, documentMap(s.files), version); err != nil {
				return fmt.Errorf("cannot sign: sites would refuse these ways: %w", err)
			}
		}
		if version, ok := manifest.AgentOfPath(name); ok {
			if _, err := site.Agent(ctx, documentMap(s.files), version); err != nil {
				return fmt.Errorf("cannot sign: sites would refuse this agent: %w", err)
			}
		}
	}
	return nil
}

type documentMap map[string][]byte

func (m documentMap) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	data, ok := m[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return data, nil
}

// write puts new documents into the repository: contents first, timestamp.json last, each safely on disk before the next.
func (r *Repository) write(last, next *signed) error {
	// The lock is held: what lies half-written here is left of a signing that was killed.
	for _, dir := range []string{"metadata", "targets", "targets/releases", "targets/sites", "targets/ways"} {
		if err := durable.Clean(r.path(dir)); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
	}
	paths := names(next.files)
	rank := func(path string) int {
		switch {
		case path == timestampPath:
			return 3
		case strings.HasSuffix(path, ".snapshot.json"):
			return 2
		case strings.HasSuffix(path, ".targets.json"):
			return 1
		}
		return 0
	}
	slices.SortStableFunc(paths, func(a, b string) int { return rank(a) - rank(b) })
	for _, path := range paths {
		if old, ok := last.files[path]; ok && bytes.Equal(old, next.files[path]) {
			continue
		}
		file := r.path(path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
		if err := durable.WriteFile(file, next.files[path], 0o644); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
	}
	return nil
}
