package trust

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// maxDelegated bounds how many delegated roles one search asks.
const maxDelegated = 32

// targets accepts the signed list of documents that the snapshot names.
func (w *Workflow) targets(ctx context.Context) error {
	_, err := w.list(ctx, metadata.TARGETS, metadata.ROOT)
	return err
}

// list accepts the list of the role that delegator names. It is verified against this delegator even when it was verified against
// another one before: two delegators may mean different keys by the same name.
func (w *Workflow) list(ctx context.Context, role, delegator string) (*metadata.Metadata[metadata.TargetsType], error) {
	meta := w.set.Snapshot.Signed.Meta[role+".json"]
	if meta == nil || meta.Version < 1 || meta.Version > maxVersion || meta.Length < 0 || meta.Length > maxTargets {
		return nil, fmt.Errorf("the snapshot is %w: it does not name %.80q", ErrDamaged, role)
	}
	for _, old := range [][]byte{w.passed.list(role), w.Trusted.list(role)} {
		if old == nil || meta.VerifyLengthHashes(old) != nil {
			continue
		}
		if m, err := w.set.UpdateDelegatedTargets(old, role, delegator); err == nil && checkDelegations(role, m) == nil {
			w.passed.setList(role, old)
			return m, nil
		}
	}
	path := w.path(role, meta.Version)
	data, err := fetch(ctx, w.Source, path, length(meta, maxTargets), true)
	if err != nil {
		return nil, err
	}
	m, err := w.readList(path, role, delegator, data, meta)
	if err != nil {
		return nil, err
	}
	_, err = w.set.UpdateDelegatedTargets(data, role, delegator)
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}) && role == metadata.TARGETS:
		return nil, expired("the manifest", m.Signed.Expires)
	case err != nil:
		return nil, classify(path, err)
	}
	w.passed.setList(role, data)
	return m, w.keep(role, data)
}

func (w *Workflow) readList(path, role, delegator string, data []byte, meta *metadata.MetaFiles,
) (*metadata.Metadata[metadata.TargetsType], error) {
	// The hash comes before the parser: bytes that nobody signed are not looked into.
	if err := meta.VerifyLengthHashes(data); err != nil {
		return nil, classify(path, err)
	}
	if err := checkJSON(path, data, maxTargets); err != nil {
		return nil, err
	}
	m, err := metadata.Targets().FromBytes(data)
	if err != nil {
		return nil, classify(path, err)
	}
	if err := w.signed(path, role, delegator, m); err != nil {
		return nil, err
	}
	if err := checkHead(path, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return nil, err
	}
	if err := checkDelegations(path, m); err != nil {
		return nil, err
	}
	if m.Signed.Version != meta.Version {
		return nil, fmt.Errorf("%s is %w: the snapshot names version %d, this is %d", path, ErrDamaged, meta.Version, m.Signed.Version)
	}
	return m, nil
}

// Find returns what the signed lists say about the file with this name, after Refresh. It asks the top list and then, depth first and
// in their order, the roles that lists delegate the name to. A role that can't be verified ends the search: what it would
// have said is not known. Fails with ErrNoTarget when no list names the file.
func (w *Workflow) Find(ctx context.Context, name string) (*metadata.TargetFiles, error) {
	type step struct{ role, delegator string }
	next, seen := []step{{metadata.TARGETS, metadata.ROOT}}, map[string]bool{}
	for len(next) > 0 && len(seen) <= maxDelegated {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[at.role] {
			continue // a circle, or a role that two others name
		}
		seen[at.role] = true
		m, err := w.list(ctx, at.role, at.delegator)
		if err != nil {
			return nil, err
		}
		if info := m.Signed.Targets[name]; info != nil {
			return info, nil
		}
		var found []step
		for _, d := range delegatedTo(m.Signed.Delegations, name) {
			found = append(found, step{d.role, at.role})
			if d.terminating {
				next = nil
				break
			}
		}
		for i := range found {
			next = append(next, found[len(found)-1-i])
		}
	}
	return nil, fmt.Errorf("%.200q: %w", name, ErrNoTarget)
}

// Fetch returns the content of a file that Find found, of at most limit bytes.
func (w *Workflow) Fetch(ctx context.Context, info *metadata.TargetFiles, limit int64) ([]byte, error) {
	return target(ctx, w.Source, w.set.Root.Signed.ConsistentSnapshot, info, limit)
}

// path is where a source has a version of a role.
func (w *Workflow) path(role string, version int64) string {
	if w.set.Root.Signed.ConsistentSnapshot {
		return versioned(version, role)
	}
	return "metadata/" + Quote(role) + ".json"
}

// Quote returns the name of a role as one part of a path, also where it holds slashes or dots: all but the unreserved characters of
// a URL are written as %XX.
func Quote(role string) string {
	var b strings.Builder
	for _, c := range []byte(role) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (t *Trusted) list(role string) []byte {
	if role == metadata.TARGETS {
		return t.Targets
	}
	return t.Delegated[role]
}

func (t *Trusted) setList(role string, data []byte) {
	if role == metadata.TARGETS {
		t.Targets = data
		return
	}
	if t.Delegated == nil {
		t.Delegated = map[string][]byte{}
	}
	t.Delegated[role] = data
}
