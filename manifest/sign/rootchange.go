package sign

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RootChange says how the next root differs from the newest. The zero value changes nothing but the lifetime, which every new root
// begins anew.
type RootChange struct {
	Add       []Key          // public halves
	Remove    []string       // names
	Threshold map[string]int // by role: how many of its keys must sign
}

// NextRoot is a root that was prepared: what it changes, and who has to sign it.
type NextRoot struct {
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
	Effect  []string  `json:"effect"` // such as "adds release-2", "removes release"
	Signed  []string  `json:"signed"` // keys whose signatures it has
	// Missing says what it still needs; with nothing missing it is metadata/N.root.json and counts from the next publish on.
	Missing []string `json:"missing,omitempty"`
	// RootKeys is how many root keys it names, of which Need must sign its successor.
	RootKeys int `json:"root_keys"`
	Need     int `json:"root_keys_needed"`
}

// apply makes the root after last: base (the newest root, or one that is staged) with the change. Nobody has signed it.
func (c RootChange) apply(last, base *rootDocument, now time.Time) (*rootDocument, error) {
	data, err := encode(base)
	if err != nil {
		return nil, err
	}
	next, err := parseRoot(data)
	if err != nil {
		return nil, err
	}
	next.ClearSignatures()
	next.Signed.Version = last.Signed.Version + 1
	next.Signed.Expires = now.UTC().Add(rootLife).Truncate(time.Second)
	for _, name := range c.Remove {
		keys := rootKeys(next)
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
		if i < 0 {
			var known []string
			for _, k := range keys {
				known = append(known, k.Name)
			}
			return nil, keyError("cannot remove key %s: the root names none of that name%s", name, meant(name, known))
		}
		if err := revokeKey(next, keys[i]); err != nil {
			return nil, fmt.Errorf("cannot remove key %s: %w", name, err)
		}
	}
	for _, add := range c.Add {
		for _, k := range rootKeys(next) {
			switch {
			case k.ID == add.ID:
				return nil, keyError("cannot add key %s: the root has it already, as %s for the role %s", add.Name, k.Name, k.Role)
			case k.Name == add.Name:
				return nil, keyError("cannot add key %s: the root has another key of that name", add.Name)
			}
		}
		if err := addKey(next, add); err != nil {
			return nil, fmt.Errorf("cannot add key %s: %w", add.Name, err)
		}
	}
	for role, n := range c.Threshold {
		if roles[role] == nil {
			return nil, keyError("role %q: it is root, release or freshness", role)
		}
		for _, tuf := range roles[role] {
			next.Signed.Roles[tuf].Threshold = n
		}
	}
	return next, lockOut(next)
}

// lockOut refuses roots that nobody could ever follow up, or sign for.
func lockOut(root *rootDocument) error {
	for _, role := range roleOrder {
		have, need := len(root.Signed.Roles[roles[role][0]].KeyIDs), threshold(root, role)
		switch {
		case have == 0:
			return fmt.Errorf("%w: no %s key would be left", ErrLockOut, role)
		case need < 1:
			return fmt.Errorf("%w: %d %s keys can't sign", ErrLockOut, need, role)
		case have < need:
			return fmt.Errorf("%w: %d of the %s keys must sign, and %d would be left", ErrLockOut, need, role, have)
		case have > maxRootKeys:
			return fmt.Errorf("%w: %d %s keys, at most %d", ErrLockOut, have, role, maxRootKeys)
		}
	}
	return nil
}

// effect says what sites will see of next.
func effect(last, next *rootDocument) (lines []string) {
	before, after := rootKeys(last), rootKeys(next)
	without := func(keys, others []Key) (names []string) {
		for _, k := range keys {
			if !slices.ContainsFunc(others, func(o Key) bool { return o.ID == k.ID && o.Role == k.Role }) {
				names = append(names, k.Name)
			}
		}
		return names
	}
	if added := without(after, before); added != nil {
		lines = append(lines, "adds "+strings.Join(added, ", "))
	}
	if gone := without(before, after); gone != nil {
		lines = append(lines, "removes "+strings.Join(gone, ", "))
	}
	for _, role := range roleOrder {
		have, need := len(next.Signed.Roles[roles[role][0]].KeyIDs), threshold(next, role)
		if need != threshold(last, role) {
			lines = append(lines, fmt.Sprintf("asks for %d of %d %s keys", need, have, role))
		}
	}
	if lines == nil {
		lines = []string{"keeps all keys"}
	}
	return append(lines, "expires "+next.Signed.Expires.Format(time.DateOnly))
}

// describe says what next changes and lacks.
func describe(last, next *rootDocument) *NextRoot {
	n := &NextRoot{
		Version: next.Signed.Version, Expires: next.Signed.Expires, Effect: effect(last, next), Signed: []string{},
		RootKeys: len(next.Signed.Roles[metadata.ROOT].KeyIDs), Need: threshold(next, RoleRoot),
	}
	valid := func(root *rootDocument) (yes, no []string) {
		for _, k := range rootKeys(root) {
			if k.Role != RoleRoot {
				continue
			}
			if signedBy(next, k.ID, k.public) {
				yes = append(yes, k.Name)
			} else {
				no = append(no, k.Name)
			}
		}
		return yes, no
	}
	lacking, order := map[string]int{}, []string(nil)
	for _, root := range []*rootDocument{last, next} {
		yes, no := valid(root)
		for _, name := range yes {
			if !slices.Contains(n.Signed, name) {
				n.Signed = append(n.Signed, name)
			}
		}
		if lacks := threshold(root, RoleRoot) - len(yes); lacks > 0 {
			if lacking[list(no)] == 0 {
				order = append(order, list(no))
			}
			lacking[list(no)] = max(lacking[list(no)], lacks)
		}
	}
	for _, of := range order {
		n.Missing = append(n.Missing, fmt.Sprintf("%d of %s", lacking[of], of))
	}
	return n
}

// whole reports whether next is signed by enough keys of the root before it and of its own: then every site follows it.
func whole(last, next *rootDocument) bool {
	return last.VerifyDelegate(metadata.ROOT, next) == nil && next.VerifyDelegate(metadata.ROOT, next) == nil
}
