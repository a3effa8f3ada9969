package sign

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
)

// PlanRoot says what a change would do. Nothing is written.
func (r *Repository) PlanRoot(change RootChange, now time.Time) (*NextRoot, error) {
	s, next, err := r.nextRoot(change, now)
	if err != nil {
		return nil, err
	}
	return describe(s.root, next), nil
}

// nextRoot makes the next root: the newest, or the one that is staged, with the change.
func (r *Repository) nextRoot(change RootChange, now time.Time) (*signed, *rootDocument, error) {
	last, err := r.signed()
	if err != nil {
		return nil, nil, err
	}
	if err := checkTime(last, now); err != nil {
		return nil, nil, err
	}
	base, err := r.stagedOn(last.root)
	if err != nil {
		return nil, nil, err
	}
	if base == nil {
		base = last.root
	}
	next, err := change.apply(last.root, base, now)
	if err != nil {
		return nil, nil, err
	}
	if next.Signed.UnrecognizedFields == nil {
		next.Signed.UnrecognizedFields = map[string]any{}
	}
	delete(next.Signed.UnrecognizedFields, "by")
	maps.Copy(next.Signed.UnrecognizedFields, r.note(now.UTC().Truncate(time.Second)))
	return last, next, nil
}

// stagedOn returns the staged root that follows last, or nil. One that last has overtaken does not count: last was made of it, and power
// was lost before it was removed.
func (r *Repository) stagedOn(last *rootDocument) (*rootDocument, error) {
	staged, err := r.staged()
	if err != nil || staged == nil || staged.Signed.Version <= last.Signed.Version {
		return nil, err
	}
	if staged.Signed.Version != last.Signed.Version+1 {
		return nil, fmt.Errorf("%w: root %d is prepared in %s, but the newest is root %d by now",
			ErrRoot, staged.Signed.Version, r.path(stagedRoot), last.Signed.Version)
	}
	return staged, nil
}

// PrepareRoot makes the next root and signs it with the root keys of this computer. When these are enough it is the newest root from
// now on; otherwise it is staged, and Prepare takes it along into a ceremony. A change of a root that is staged goes into that one, and
// the signatures that it had are void.
func (r *Repository) PrepareRoot(change RootChange, pass []byte, now time.Time) (*NextRoot, error) {
	unlock, err := lock(r.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	last, next, err := r.nextRoot(change, now)
	if err != nil {
		return nil, err
	}
	return r.signRoot(last.root, next, pass)
}

// SignRoot signs the staged root with the root keys of this computer.
func (r *Repository) SignRoot(pass []byte) (*NextRoot, error) {
	unlock, err := lock(r.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return nil, err
	}
	next, err := r.stagedOn(s.root)
	if err != nil {
		return nil, err
	}
	if next == nil {
		return nil, ErrNoRoot
	}
	return r.signRoot(s.root, next, pass)
}

// signRoot adds what the keys here can sign, and saves. The lock is held.
func (r *Repository) signRoot(last, next *rootDocument, pass []byte) (*NextRoot, error) {
	var keys []Opened
	for _, root := range []*rootDocument{last, next} {
		need, ids := threshold(root, RoleRoot), []string(nil)
		for _, id := range root.Signed.Roles[metadata.ROOT].KeyIDs {
			if signedBy(next, id, root.Signed.Keys[id]) || slices.ContainsFunc(keys, func(o Opened) bool { return o.ID == id }) {
				need--
			} else {
				ids = append(ids, id)
			}
		}
		more, err := r.Keyring(pass).open(ids, need)
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	for _, k := range keys {
		if _, err := next.Sign(k.Signer); err != nil {
			return nil, fmt.Errorf("cannot sign root %d with the key %s: %w", next.Signed.Version, k.Name, err)
		}
	}
	return r.saveRoot(last, next)
}

// saveRoot makes next the newest root when it is signed by enough keys, and stages it otherwise. The lock is held.
func (r *Repository) saveRoot(last, next *rootDocument) (*NextRoot, error) {
	if err := durable.Clean(r.path("metadata")); err != nil {
		return nil, fmt.Errorf("cannot save the new root: %w", err)
	}
	next.Signatures = good(last, next)
	data, err := encode(next)
	if err != nil {
		return nil, err
	}
	path := r.path(stagedRoot)
	if whole(last, next) {
		path = r.path(fmt.Sprintf("metadata/%d.root.json", next.Signed.Version))
	}
	if err := durable.WriteFile(path, data, 0o644); err != nil {
		return nil, fmt.Errorf("cannot save the new root: %w", err)
	}
	n := describe(last, next)
	if n.Missing == nil {
		return n, r.unstage(next) // the staged root was what next was made of
	}
	return n, nil
}

// good returns those signatures of next that count: sites need not carry the others.
func good(last, next *rootDocument) []metadata.Signature {
	list := []metadata.Signature{} // never null
	keys := append(rootKeys(last), rootKeys(next)...)
	for _, sig := range next.Signatures {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Role == RoleRoot && k.ID == sig.KeyID })
		twice := slices.ContainsFunc(list, func(o metadata.Signature) bool { return o.KeyID == sig.KeyID })
		alone := *next
		alone.Signatures = []metadata.Signature{sig}
		if i >= 0 && !twice && signedBy(&alone, sig.KeyID, keys[i].public) {
			list = append(list, sig)
		}
	}
	return list
}

// StagedRoot describes the root that waits for signatures; nil when there is none.
func (r *Repository) StagedRoot() (*NextRoot, error) {
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return nil, err
	}
	next, err := r.stagedOn(s.root)
	if err != nil || next == nil {
		return nil, err
	}
	return describe(s.root, next), nil
}

// AbandonRoot throws away the root that waits for signatures, and returns its version: 0 when it was damaged. left says that it was only
// what remained of a root that is in force. Keys that were made for it stay where they are.
func (r *Repository) AbandonRoot() (version int64, left bool, err error) {
	unlock, err := lock(r.dir)
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return 0, false, err
	}
	staged, err := r.staged()
	if err == nil && staged == nil {
		return 0, false, ErrNoRoot
	}
	if err == nil {
		version, left = staged.Signed.Version, staged.Signed.Version <= s.root.Signed.Version
	}
	if err := os.Remove(r.path(stagedRoot)); err != nil {
		return 0, false, fmt.Errorf("cannot remove the prepared root: %w", err)
	}
	return version, left, nil
}
