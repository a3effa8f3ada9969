package sign

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Proposal is a ceremony that was judged: what it would change, and who has signed it. Callers must not change its fields.
type Proposal struct {
	Fleet       string
	Fingerprint string   // of the first root in it
	Compared    bool     // it was held against a repository of the same fleet
	Behind      bool     // that repository is older than the ceremony
	Unproven    bool     // what was signed last is not signed by the present keys: everything counts as new
	By          string   // who prepared it, as she says
	Added       []string // releases, from old to new
	Removed     []string
	Ways        []*manifest.Ways  // new or changed, by release from old to new
	NoWays      []string          // releases whose ways are listed no more
	Agents      []*manifest.Agent // new or changed, from old to new

	ceremony  *Ceremony
	root      *rootDocument // the newest that is in force
	newRoot   *rootDocument // nil: the keys stay
	effective *rootDocument // of the two, the one that targets are signed under
	targets   *metadata.Metadata[metadata.TargetsType]
	number    int64           // of the manifest that was signed last
	before    *manifest.Fleet // nil: nothing was signed yet
	after     *manifest.Fleet
}

// Wanting says who must sign a document, and who has.
type Wanting struct {
	Document string // "root 2", "manifest 7"
	Need     int    // of the keys
	Signed   []string
	Missing  []string // the names of all others that may sign
}

// Done reports whether enough keys have signed.
func (w Wanting) Done() bool { return len(w.Signed) >= w.Need }

// Fleets returns what was signed last, nil at the first signing, and what is to be signed.
func (p *Proposal) Fleets() (before, after *manifest.Fleet) { return p.before, p.after }

// Manifest returns the number and the end of the new manifest; 0 when only the keys change.
func (p *Proposal) Manifest() (number int64, expires time.Time) {
	if p.targets == nil {
		return 0, time.Time{}
	}
	return p.targets.Signed.Version, p.targets.Signed.Expires
}

// Root returns the number and the end of the new root; 0 when the keys stay.
func (p *Proposal) Root() (number int64, expires time.Time) {
	if p.newRoot == nil {
		return 0, time.Time{}
	}
	return p.newRoot.Signed.Version, p.newRoot.Signed.Expires
}

// Keys lists the keys that a new root adds and removes, and for each role whose threshold changes a sentence.
func (p *Proposal) Keys() (added, removed []Key, thresholds []string) {
	if p.newRoot == nil {
		return nil, nil, nil
	}
	before, after := rootKeys(p.root), rootKeys(p.newRoot)
	missing := func(from, in []Key) (out []Key) {
		for _, k := range from {
			if !slices.ContainsFunc(in, func(o Key) bool { return o.ID == k.ID && o.Role == k.Role }) {
				out = append(out, k)
			}
		}
		return out
	}
	for _, role := range roleOrder {
		for _, tuf := range roles[role] {
			if x, y := p.root.Signed.Roles[tuf].Threshold, p.newRoot.Signed.Roles[tuf].Threshold; x != y {
				thresholds = append(thresholds, fmt.Sprintf("%s is signed by %d keys in place of %d", tuf, y, x))
			}
		}
	}
	return missing(after, before), missing(before, after), thresholds
}

// Wanting lists what must be signed. A new root is signed twice: by the keys of the one before and by its own.
func (p *Proposal) Wanting() []Wanting {
	var all []Wanting
	if p.newRoot != nil {
		what := fmt.Sprintf("root %d", p.newRoot.Signed.Version)
		old := wanting(what+" by the present keys", p.root, metadata.ROOT, p.newRoot)
		own := wanting(what+" by its own keys", p.newRoot, metadata.ROOT, p.newRoot)
		if sameRole(p.root.Signed.Roles[metadata.ROOT], p.newRoot.Signed.Roles[metadata.ROOT]) {
			old.Document = what
			all = append(all, old)
		} else {
			all = append(all, old, own)
		}
	}
	if p.targets != nil {
		all = append(all, wanting(fmt.Sprintf("manifest %d", p.targets.Signed.Version), p.effective, metadata.TARGETS, p.targets))
	}
	return all
}

func wanting[T metadata.Roles](what string, root *rootDocument, role string, m *metadata.Metadata[T]) Wanting {
	w := Wanting{Document: what, Need: root.Signed.Roles[role].Threshold}
	for _, k := range rootKeys(root) {
		if roles[k.Role][0] != role {
			continue
		}
		if signedBy(m, k.ID, k.public) {
			w.Signed = append(w.Signed, k.Name)
		} else {
			w.Missing = append(w.Missing, k.Name)
		}
	}
	return w
}

// signedBy reports whether m has a good signature of a key.
func signedBy[T metadata.Roles](m *metadata.Metadata[T], id string, key *metadata.Key) bool {
	judge := metadata.Metadata[metadata.RootType]{Signed: metadata.RootType{
		Keys:  map[string]*metadata.Key{id: key},
		Roles: map[string]*metadata.Role{metadata.TARGETS: {KeyIDs: []string{id}, Threshold: 1}},
	}}
	return judge.VerifyDelegate(metadata.TARGETS, m) == nil
}

// signers returns the keys that may sign the new root and the new targets.
func (p *Proposal) signers() (ofRoot, ofTargets map[string]*metadata.Key) {
	collect := func(role string, from ...*rootDocument) map[string]*metadata.Key {
		all := map[string]*metadata.Key{}
		for _, root := range from {
			for _, id := range root.Signed.Roles[role].KeyIDs {
				all[id] = root.Signed.Keys[id]
			}
		}
		return all
	}
	if p.newRoot != nil {
		ofRoot = collect(metadata.ROOT, p.root, p.newRoot)
	}
	if p.targets != nil {
		ofTargets = collect(metadata.TARGETS, p.effective)
	}
	return ofRoot, ofTargets
}

// prune drops signatures that are not good, or of keys that do not count: what is handed on holds none that a site could trip over.
func (p *Proposal) prune() {
	ofRoot, ofTargets := p.signers()
	if p.newRoot != nil {
		p.newRoot.Signatures = slices.DeleteFunc(p.newRoot.Signatures, func(s metadata.Signature) bool {
			return ofRoot[s.KeyID] == nil || !signedBy(p.newRoot, s.KeyID, ofRoot[s.KeyID])
		})
	}
	if p.targets != nil {
		p.targets.Signatures = slices.DeleteFunc(p.targets.Signatures, func(s metadata.Signature) bool {
			return ofTargets[s.KeyID] == nil || !signedBy(p.targets, s.KeyID, ofTargets[s.KeyID])
		})
	}
}

// Merge takes over the signatures of another copy of the same ceremony.
func (p *Proposal) Merge(o *Proposal) error {
	different := func(what string) error {
		return fmt.Errorf("%w: the files are of two ceremonies: their new %s is not the same", ErrCeremony, what)
	}
	switch {
	case (p.newRoot == nil) != (o.newRoot == nil), p.newRoot != nil && !sameSigned[metadata.RootType](p.ceremony.Root, o.ceremony.Root):
		return different("root")
	case (p.targets == nil) != (o.targets == nil),
		p.targets != nil && !sameSigned[metadata.TargetsType](p.ceremony.Targets, o.ceremony.Targets):
		return different("manifest")
	}
	if p.newRoot != nil {
		p.newRoot.Signatures = merged(p.newRoot.Signatures, o.newRoot.Signatures)
	}
	if p.targets != nil {
		p.targets.Signatures = merged(p.targets.Signatures, o.targets.Signatures)
	}
	return nil
}

func merged(a, b []metadata.Signature) []metadata.Signature {
	for _, s := range b {
		if !slices.ContainsFunc(a, func(have metadata.Signature) bool { return have.KeyID == s.KeyID }) {
			a = append(a, s)
		}
	}
	return a
}

// Sign adds the signatures of those keys that are found and that count, and returns the names of the keys whose signature is new. A key
// that does not open is an error only when no other signs.
func (p *Proposal) Sign(keys Keyring) ([]string, error) {
	ofRoot, ofTargets := p.signers()
	var ids []string
	for _, of := range []map[string]*metadata.Key{ofRoot, ofTargets} {
		ids = append(ids, names(of)...)
	}
	opened, failed := keys.open(ids, len(ids))
	var by []string
	for _, k := range opened {
		var fresh bool
		var err error
		if ofRoot[k.ID] != nil {
			fresh, err = endorse(p.newRoot, k)
		}
		if ofTargets[k.ID] != nil && err == nil {
			var too bool
			too, err = endorse(p.targets, k)
			fresh = fresh || too
		}
		if err != nil {
			return nil, err
		}
		if fresh {
			by = append(by, k.Name)
		}
	}
	if len(opened) == 0 {
		return nil, errors.Join(failed)
	}
	return by, nil
}

// endorse signs m with one key, unless it has.
func endorse[T metadata.Roles](m *metadata.Metadata[T], k Opened) (bool, error) {
	if slices.ContainsFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == k.ID }) {
		return false, nil
	}
	if _, err := m.Sign(k.Signer); err != nil {
		return false, fmt.Errorf("cannot sign with the key %s: %w", k.Name, err)
	}
	return true, nil
}

// Ceremony returns the file with all signatures that count.
func (p *Proposal) Ceremony() (*Ceremony, error) {
	c := *p.ceremony
	var err error
	if p.newRoot != nil {
		if c.Root, err = encode(p.newRoot); err != nil {
			return nil, err
		}
	}
	if p.targets != nil {
		c.Targets, err = encode(p.targets)
	}
	return &c, err
}

// Found lists the names of those keys on this computer that may sign. Nothing is opened.
func (p *Proposal) Found(keys Keyring) ([]string, error) {
	ofRoot, ofTargets := p.signers()
	list, err := keys.find()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range list {
		if f.file != nil && (ofRoot[f.file.key.ID] != nil || ofTargets[f.file.key.ID] != nil) {
			out = append(out, f.file.Name)
		}
	}
	return out, nil
}
