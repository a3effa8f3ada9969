package sign

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Finish makes the manifest of a ceremony that was signed, from one file or several copies of it: it verifies everything as a site would,
// signs snapshot and timestamp with the freshness key, and writes all of it into the repository. Repeating it is safe. Fails with
// ErrMissing while signatures are missing, and with ErrOutdated when something else was signed since Prepare.
func (r *Repository) Finish(files []*Ceremony, pass []byte, now time.Time) (*Documents, error) {
	now = now.UTC().Truncate(time.Second)
	last, unlock, err := r.begin(now)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if len(files) == 0 {
		return nil, errors.New("internal error: no ceremony file")
	}
	next := &signed{root: last.root, targets: last.targets, files: map[string][]byte{}, fleet: last.fleet}
	for path, data := range last.files {
		if strings.HasSuffix(path, ".root.json") || strings.HasPrefix(path, "targets/") {
			next.files[path] = data
		}
	}
	if !applied(files[0], last) {
		p, err := files[0].Judge(r, now)
		if err != nil {
			return nil, err
		}
		for _, more := range files[1:] {
			other, err := more.Judge(r, now)
			if err != nil {
				return nil, err
			}
			if err := p.Merge(other); err != nil {
				return nil, err
			}
		}
		if err := r.adopt(p, next); err != nil {
			return nil, err
		}
	}
	if err := checkExpiry(next.root, now); err != nil {
		return nil, err
	}
	d, err := r.complete(last, next, &authority{r: r, root: next.root, pass: pass}, now)
	if err != nil {
		return nil, err
	}
	return d, r.unstage(next.root)
}

// applied reports whether a ceremony is what was signed last: Finish was called before.
func applied(c *Ceremony, last *signed) bool {
	newest := last.files[fmt.Sprintf("metadata/%d.root.json", last.root.Signed.Version)]
	switch {
	case c.Root != nil && !sameSigned[metadata.RootType](c.Root, newest):
		return false
	case c.Targets == nil:
		return c.Root != nil
	}
	return last.targets != nil &&
		sameSigned[metadata.TargetsType](c.Targets, last.files[fmt.Sprintf("metadata/%d.targets.json", last.targets.Signed.Version)])
}

// adopt puts what was signed in a ceremony into next.
func (r *Repository) adopt(p *Proposal, next *signed) error {
	if p.Behind || p.Unproven && p.targets == nil {
		return fmt.Errorf("cannot finish: the ceremony was prepared from a newer state of the fleet than the one here")
	}
	for _, w := range p.Wanting() {
		if !w.Done() {
			return fmt.Errorf("cannot finish: %w: %s has %d of %d; still to sign: %s",
				ErrMissing, w.Document, len(w.Signed), w.Need, list(w.Missing))
		}
	}
	if err := r.unchanged(p); err != nil {
		return err
	}
	if p.newRoot != nil {
		data, err := encode(p.newRoot)
		if err != nil {
			return err
		}
		next.root, next.files[fmt.Sprintf("metadata/%d.root.json", p.newRoot.Signed.Version)] = p.newRoot, data
	}
	if p.targets == nil {
		// The present list stays, as long as the new root names those who signed it.
		if next.targets == nil || next.root.VerifyDelegate(metadata.TARGETS, next.targets) != nil {
			return fmt.Errorf("cannot finish: the new root replaces the keys of the list of releases, and there is no new list: prepare it anew")
		}
		return nil
	}
	old := next.files
	next.targets, next.fleet, next.files = p.targets, p.after, map[string][]byte{}
	for path, data := range old {
		if strings.HasSuffix(path, ".root.json") {
			next.files[path] = data
		}
	}
	for name, info := range p.targets.Signed.Targets {
		path := targetPath(name, info)
		data := p.ceremony.Files[path]
		switch {
		case isFleet(name):
		case isWays(name), isAgent(name):
			if data == nil { // they are what was signed last
				data = old[path]
			}
		default:
			version := strings.TrimSuffix(strings.TrimPrefix(name, "releases/"), ".json")
			ours, _, err := r.release(version)
			if errors.Is(err, ErrUnknownRelease) {
				return fmt.Errorf("cannot finish: release %s of the ceremony is not here: %w", version, err)
			}
			if err != nil {
				return err
			}
			if info.VerifyLengthHashes(ours) != nil {
				return fmt.Errorf("cannot finish: release %s of the ceremony is another than the one here: %w", version, ErrExists)
			}
			data = ours
		}
		next.files[path] = data
	}
	pieces, err := parts(p.targets.Signed.Targets, p.ceremony.Files)
	if err != nil {
		return err
	}
	for _, b := range pieces {
		path := manifest.PartPath(b.Digest)
		next.files[path] = p.ceremony.Files[path]
	}
	return nil
}

// unchanged refuses a ceremony whose new root lacks what was prepared here after it: that would be dropped unseen.
func (r *Repository) unchanged(p *Proposal) error {
	if p.newRoot == nil {
		return nil
	}
	staged, err := r.staged()
	if err != nil || staged == nil || staged.Signed.Version != p.newRoot.Signed.Version {
		return err
	}
	ours, err := encode(staged)
	if err != nil || sameSigned[metadata.RootType](p.ceremony.Root, ours) {
		return err
	}
	return fmt.Errorf("cannot finish: %w: root %d that waits here (%s) is another than the one in it (%s)", ErrOutdated, staged.Signed.Version,
		strings.Join(effect(p.root, staged), ", "), strings.Join(effect(p.root, p.newRoot), ", "))
}

// unstage removes the staged root once it, or one that was made of it, is in force.
func (r *Repository) unstage(root *rootDocument) error {
	staged, err := r.staged()
	if errors.Is(err, ErrRoot) {
		return nil // it is nobody's work: what reads it next says so
	}
	if err != nil || staged == nil || staged.Signed.Version > root.Signed.Version {
		return err
	}
	if err := os.Remove(r.path(stagedRoot)); err != nil {
		return fmt.Errorf("cannot remove the staged root: %w", err)
	}
	return nil
}
