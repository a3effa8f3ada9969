package sign

import (
	"fmt"
	"os"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// authority signs for the roles of a root with keys of this computer. They are opened when they are needed first.
type authority struct {
	r      *Repository
	root   *metadata.Metadata[metadata.RootType]
	pass   []byte
	opened map[string][]Opened // by role
}

// signAs signs m for a role of TUF with the keys that the root names for it and that are here.
func signAs[T metadata.Roles](a *authority, role string, m *metadata.Metadata[T]) error {
	ours := RoleFreshness
	if role == metadata.TARGETS {
		ours = RoleRelease
	}
	keys := a.opened[ours]
	if keys == nil {
		need := a.root.Signed.Roles[role].Threshold
		var err error
		if keys, err = a.r.Keyring(a.pass).Open(a.root, ours, need); err != nil {
			return err
		}
		if len(keys) < need {
			return fmt.Errorf("cannot sign: %w: %s", ErrMissing, a.r.needed(a.root, ours, keys))
		}
		if a.opened == nil {
			a.opened = map[string][]Opened{}
		}
		a.opened[ours] = keys
	}
	for _, k := range keys {
		if _, err := m.Sign(k.Signer); err != nil {
			return fmt.Errorf("cannot sign %s with the key %s: %w", role, k.Name, err)
		}
	}
	return nil
}

// needed says which keys of a role must sign and which of them are here.
func (r *Repository) needed(root *rootDocument, role string, have []Opened) string {
	var all, here []string
	for _, k := range rootKeys(root) {
		if k.Role == role {
			all = append(all, k.Name)
		}
	}
	for _, k := range have {
		here = append(here, k.Name)
	}
	text := fmt.Sprintf("%d of the %s keys %s must sign", threshold(root, role), role, list(all))
	if len(all) == 1 {
		text = fmt.Sprintf("the key %s must sign", all[0])
	}
	if len(here) > 0 {
		return fmt.Sprintf("%s, and only %s is here", text, list(here))
	}
	text += ", and none is in " + r.path(keysDir)
	for _, name := range all {
		if _, err := os.Lstat(keyPath(r.dir, name)); err == nil {
			text += fmt.Sprintf(" (%s.json there is another key)", name)
		}
	}
	return text
}
