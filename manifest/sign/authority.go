package sign

import (
	"fmt"
	"slices"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// authority signs for the roles of a root with keys of this computer. A key is opened when it is needed first.
type authority struct {
	r      *Repository
	root   *metadata.Metadata[metadata.RootType]
	pass   []byte
	opened map[string]signature.Signer // by the key's name
}

// signAs signs m for a role with the key that the root names for it.
func signAs[T metadata.Roles](a *authority, role string, m *metadata.Metadata[T]) error {
	name := keyFreshness
	if role == metadata.TARGETS {
		name = keyRelease
	}
	signer := a.opened[name]
	if signer == nil {
		opened, public, err := loadKey(a.r.dir, name, a.pass)
		if err != nil {
			return err
		}
		id, err := public.ID()
		if err != nil {
			return fmt.Errorf("cannot open key %s: %w", name, err)
		}
		if named := a.root.Signed.Roles[role]; named == nil || !slices.Contains(named.KeyIDs, id) {
			return fmt.Errorf("cannot sign: the key %s is not one that the root names for %s", name, role)
		}
		if a.opened == nil {
			a.opened = map[string]signature.Signer{}
		}
		a.opened[name], signer = opened, opened
	}
	if _, err := m.Sign(signer); err != nil {
		return fmt.Errorf("cannot sign %s: %w", role, err)
	}
	return nil
}
