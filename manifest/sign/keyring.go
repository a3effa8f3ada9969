package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// keysDir is the folder of private keys in a fleet repository.
const keysDir = "keys"

// Keyring finds private keys on this computer and opens them.
type Keyring struct {
	// Places are folders with key files, and single key files. A folder that is not there has none.
	Places []string
	// Pass is tried on every key file; Ask, when set, is then asked for the passphrase of each key that it does not open. The PIN of
	// a token is only asked for: a wrong one is counted there, and locks it.
	Pass []byte
	Ask  func(key Key, pin bool) ([]byte, error)
}

// Opened is a private key that can sign.
type Opened struct {
	Key
	Signer signature.Signer
}

// found is a key file; err says why it can't be read.
type found struct {
	path string
	file *keyFile
	err  error
}

// find lists the key files of all places, in the order of their names. Of the same key at two places the first counts.
func (k Keyring) find() (list []found, err error) {
	seen, place := map[string]bool{}, ""
	add := func(path string) {
		f, err := readKeyFile(path)
		if err != nil && path != place && !looksLikeKey(path) {
			return
		}
		if err == nil && seen[f.key.ID] {
			return
		}
		if err == nil {
			seen[f.key.ID] = true
		}
		list = append(list, found{path, f, err})
	}
	for _, place = range k.Places {
		entries, err := os.ReadDir(place)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			if info, errStat := os.Stat(place); errStat == nil && !info.IsDir() {
				add(place)
				continue
			}
			return nil, fmt.Errorf("cannot look for keys: %w", err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				add(filepath.Join(place, e.Name()))
			}
		}
	}
	return list, nil
}

// Open opens keys that root names for role (root, release or freshness). All that Pass opens are taken; for the others Ask is asked
// only until there are need. Fewer than need is no error when they are not on this computer; that one of them does not open is.
func (k Keyring) Open(root *metadata.Metadata[metadata.RootType], role string, need int) ([]Opened, error) {
	named := root.Signed.Roles[roles[role][0]]
	if named == nil {
		return nil, fmt.Errorf("internal error: the root has no role %s", role)
	}
	return k.open(named.KeyIDs, need)
}

func (k Keyring) open(ids []string, need int) ([]Opened, error) {
	list, err := k.find()
	if err != nil {
		return nil, err
	}
	var opened []Opened
	var failed error
	var wrong []string
	try := func(ask bool) {
		for i, f := range list {
			if f.file == nil || f.err != nil || !slices.Contains(ids, f.file.key.ID) || ask && len(opened) >= need {
				continue
			}
			signer, err := k.signer(f.file, ask)
			switch {
			case errors.Is(err, ErrPassphrase):
				wrong = append(wrong, f.file.Name)
			case err != nil:
				failed = also(failed, err)
			case signer != nil:
				opened = append(opened, Opened{f.file.key, signer})
				list[i].err = errTaken
			}
		}
	}
	try(false)
	try(true)
	if len(opened) >= need {
		return opened, nil
	}
	if wrong != nil {
		failed = also(fmt.Errorf("cannot open key %s: %w", strings.Join(wrong, ", "), ErrPassphrase), failed)
	}
	for _, f := range list {
		if f.file == nil {
			failed = also(failed, f.err)
		}
	}
	return opened, failed
}

// also puts two errors into one line.
func also(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// looksLikeKey tells a damaged key file from other files that lie in the same folder, such as those of a bundle on a stick.
func looksLikeKey(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKey))
	return err != nil || bytes.Contains(data, []byte(`"kdf"`))
}

var errTaken = errors.New("taken")

// signer opens one key: first with what needs no person, then (ask) with her.
func (k Keyring) signer(f *keyFile, ask bool) (signature.Signer, error) {
	fail := func(err error) (signature.Signer, error) {
		return nil, fmt.Errorf("cannot open key %s: %w", f.Name, err)
	}
	token := f.KDF == kdfToken
	if !ask {
		if token {
			return nil, nil
		}
		signer, err := f.open(k.Pass)
		if errors.Is(err, ErrPassphrase) && k.Ask != nil {
			return nil, nil
		}
		if err != nil {
			return fail(err)
		}
		return signer, nil
	}
	if err := CheckTokens(); token && err != nil {
		return fail(err)
	}
	if k.Ask == nil && !token {
		return nil, nil // it has failed without
	}
	var secret []byte
	if k.Ask != nil {
		var err error
		if secret, err = k.Ask(f.key, token); err != nil {
			return nil, err
		}
	}
	open := f.open
	if token {
		open = f.openToken
	}
	signer, err := open(secret)
	if err != nil {
		return fail(err)
	}
	return signer, nil
}

// UseKeys lets the repository look for private keys at more places than its own folder, and ask for the secrets of keys.
func (r *Repository) UseKeys(ask func(key Key, pin bool) ([]byte, error), places ...string) {
	r.keys = Keyring{Ask: ask, Places: places}
}

// Keyring returns the keys that this repository signs with: those in its folder keys and at the places of UseKeys.
func (r *Repository) Keyring(pass []byte) Keyring {
	k := r.keys
	k.Pass = pass
	k.Places = append([]string{r.path(keysDir)}, k.Places...)
	return k
}
