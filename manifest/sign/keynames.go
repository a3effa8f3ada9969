package sign

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// KeyNames returns the names of the keys that lie in the repository, by the ID that signed documents know them by.
func (r *Repository) KeyNames() (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(r.dir, "keys", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("cannot list keys: %w", err)
	}
	names := map[string]string{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read key %s: %w", path, err)
		}
		if info.Size() > maxKey {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read key %s: %w", path, err)
		}
		f, err := parseKey(data)
		if err != nil {
			continue // a name is all that it would have given
		}
		public, err := hex.DecodeString(f.Public)
		if err != nil {
			continue
		}
		if id, err := tufKey(ed25519.PublicKey(public)).ID(); err == nil {
			names[id] = f.Name
		}
	}
	return names, nil
}
