package sign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest/trust"
)

type rootDocument = metadata.Metadata[metadata.RootType]

// namesField is the custom field of a root in which the keys have their names: {"KEYID": "root-1"}. It travels with the root, so that
// a key has its name also where its file is not.
const namesField = "names"

// rootKeys lists the keys that a root names: by role in the order of roleOrder, then by name. A key without a name has the first
// digits of its ID.
func rootKeys(root *rootDocument) []Key {
	given, _ := root.Signed.UnrecognizedFields[namesField].(map[string]any)
	var keys []Key
	for _, role := range roleOrder {
		var of []Key
		for _, id := range root.Signed.Roles[roles[role][0]].KeyIDs {
			public := root.Signed.Keys[id]
			name, _ := given[id].(string)
			if name = plainText(name); name == "" {
				name = id[:min(8, len(id))]
			}
			k := Key{Name: name, Role: role, ID: id, public: public}
			k.Public, _ = publicText(public)
			of = append(of, k)
		}
		slices.SortFunc(of, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
		keys = append(keys, of...)
	}
	return keys
}

// threshold is how many keys of a role must sign.
func threshold(root *rootDocument, role string) int {
	return root.Signed.Roles[roles[role][0]].Threshold
}

// addKey names k in root for its role.
func addKey(root *rootDocument, k Key) error {
	for _, role := range roles[k.Role] {
		if err := root.Signed.AddKey(k.public, role); err != nil {
			return err
		}
	}
	// A fresh map: the old one may be shared with another root.
	fresh := map[string]any{}
	given, _ := root.Signed.UnrecognizedFields[namesField].(map[string]any)
	for id, name := range given {
		if root.Signed.Keys[id] != nil {
			fresh[id] = name
		}
	}
	fresh[k.ID] = k.Name
	if root.Signed.UnrecognizedFields == nil {
		root.Signed.UnrecognizedFields = map[string]any{}
	}
	root.Signed.UnrecognizedFields[namesField] = fresh
	return nil
}

// revokeKey takes a key of that role out of root.
func revokeKey(root *rootDocument, k Key) error {
	for _, role := range roles[k.Role] {
		if err := root.Signed.RevokeKey(k.ID, role); err != nil {
			return err
		}
	}
	if given, ok := root.Signed.UnrecognizedFields[namesField].(map[string]any); ok {
		delete(given, k.ID)
	}
	return nil
}

// strictRoot reads a root that came from outside, whoever signed it, and refuses one in which a key could hide from the people who are
// shown it: another key under a known ID (trust.ParseRoot), or one that signs for half of what the freshness key signs.
func strictRoot(what string, data []byte) (*rootDocument, error) {
	root, err := trust.ParseRoot(what, data)
	if err != nil {
		return nil, err
	}
	if !sameRole(root.Signed.Roles[metadata.SNAPSHOT], root.Signed.Roles[metadata.TIMESTAMP]) {
		return nil, fmt.Errorf("%s: other keys sign the timestamp than the snapshot; in a fleet these are the freshness keys, both", what)
	}
	if err := lockOut(root); err != nil {
		return nil, fmt.Errorf("%s: %v", what, err) // not ErrLockOut: nobody here asked for it
	}
	return root, nil
}

// sameRole reports whether the same keys sign for two roles, and as many of them.
func sameRole(a, b *metadata.Role) bool {
	return a.Threshold == b.Threshold && slices.Equal(slices.Sorted(slices.Values(a.KeyIDs)), slices.Sorted(slices.Values(b.KeyIDs)))
}

func parseRoot(data []byte) (*rootDocument, error) {
	root, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		named := root.Signed.Roles[role]
		if named == nil {
			return nil, fmt.Errorf("%w: it has no role %s", ErrRoot, role)
		}
		for _, id := range named.KeyIDs {
			if root.Signed.Keys[id] == nil {
				return nil, fmt.Errorf("%w: role %s has a key that is not there", ErrRoot, role)
			}
		}
	}
	return root, nil
}
