package sign

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"

	"dhow/bundle/durable"
)

const (
	keyFormat = 1
	maxKey    = 64 << 10

	// DefaultWork is the base-2 logarithm of scrypt's N: about a tenth of a second and 32 MiB for each try at a passphrase.
	DefaultWork = 15
	maxWork     = 22
)

// Key describes a key of the fleet; the private half stays in its file.
type Key struct {
	Name   string // root-1, root-2, root-3, release, freshness
	Role   string // root, targets, or freshness (snapshot and timestamp)
	ID     string // as it stands in the root
	Public string // ed25519, hex
}

// keyFile is the content of keys/NAME.json. Secret is the ed25519 seed in a NaCl secretbox under scrypt(passphrase).
type keyFile struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	Role   string `json:"role"`
	Public string `json:"public"`
	KDF    string `json:"kdf"` // "scrypt"
	Work   int    `json:"work"`
	R      int    `json:"r"`
	P      int    `json:"p"`
	Salt   []byte `json:"salt"`
	Cipher string `json:"cipher"` // "secretbox"
	Nonce  []byte `json:"nonce"`
	Secret []byte `json:"secret"`
}

func newKey(name, role string) (Key, ed25519.PrivateKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, nil, fmt.Errorf("cannot make key %s: %w", name, err)
	}
	id, err := tufKey(public).ID()
	if err != nil {
		return Key{}, nil, fmt.Errorf("cannot make key %s: %w", name, err)
	}
	return Key{Name: name, Role: role, ID: id, Public: hex.EncodeToString(public)}, private, nil
}

func tufKey(public ed25519.PublicKey) *metadata.Key {
	return &metadata.Key{
		Type: metadata.KeyTypeEd25519, Scheme: metadata.KeySchemeEd25519,
		Value: metadata.KeyVal{PublicKey: hex.EncodeToString(public)},
	}
}

func keyPath(dir, name string) string { return filepath.Join(dir, "keys", name+".json") }

// saveKey encrypts the key and puts it into dir/keys.
func saveKey(dir string, key Key, private ed25519.PrivateKey, pass []byte, work int) error {
	f := keyFile{
		Format: keyFormat, Name: key.Name, Role: key.Role, Public: key.Public,
		KDF: "scrypt", Work: work, R: 8, P: 1, Salt: make([]byte, 16), Cipher: "secretbox", Nonce: make([]byte, 24),
	}
	if _, err := rand.Read(f.Salt); err != nil {
		return fmt.Errorf("cannot save key %s: %w", key.Name, err)
	}
	if _, err := rand.Read(f.Nonce); err != nil {
		return fmt.Errorf("cannot save key %s: %w", key.Name, err)
	}
	secret, err := f.stretch(pass)
	if err != nil {
		return fmt.Errorf("cannot save key %s: %w", key.Name, err)
	}
	f.Secret = secretbox.Seal(nil, private.Seed(), (*[24]byte)(f.Nonce), secret)
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot save key %s: %w", key.Name, err)
	}
	if err := durable.WriteFile(keyPath(dir, key.Name), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot save key %s: %w", key.Name, err)
	}
	return nil
}

func (f *keyFile) stretch(pass []byte) (*[32]byte, error) {
	secret, err := scrypt.Key(pass, f.Salt, 1<<f.Work, f.R, f.P, 32)
	if err != nil {
		return nil, err
	}
	return (*[32]byte)(secret), nil
}

// parseKey reads a key file. The cost is bounded: a file from elsewhere must not eat the memory of this computer.
func parseKey(data []byte) (*keyFile, error) {
	var f keyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("it is not a key file: %w", err)
	}
	switch {
	case f.Format > keyFormat:
		return nil, fmt.Errorf("format %d was made by a newer dhowctl", f.Format)
	case f.Format != keyFormat || f.KDF != "scrypt" || f.Cipher != "secretbox":
		return nil, errors.New("it is not a key file")
	case f.Work < 1 || f.Work > maxWork || f.R < 1 || f.R > 16 || f.P < 1 || f.P > 4:
		return nil, errors.New("its scrypt parameters are out of bounds")
	case len(f.Salt) < 8 || len(f.Salt) > 64 || len(f.Nonce) != 24 || len(f.Secret) != ed25519.SeedSize+secretbox.Overhead:
		return nil, errors.New("it is cut short or damaged")
	}
	if public, err := hex.DecodeString(f.Public); err != nil || len(public) != ed25519.PublicKeySize {
		return nil, errors.New("its public key is damaged")
	}
	return &f, nil
}

// open decrypts the key. That the public half fits proves that the file was not put together from two.
func (f *keyFile) open(pass []byte) (ed25519.PrivateKey, error) {
	secret, err := f.stretch(pass)
	if err != nil {
		return nil, err
	}
	seed, ok := secretbox.Open(nil, f.Secret, (*[24]byte)(f.Nonce), secret)
	if !ok {
		return nil, ErrPassphrase
	}
	private := ed25519.NewKeyFromSeed(seed)
	if hex.EncodeToString(private.Public().(ed25519.PublicKey)) != f.Public {
		return nil, errors.New("its public and private halves do not belong together")
	}
	return private, nil
}

// loadKey opens keys/NAME.json for signing.
func loadKey(dir, name string, pass []byte) (signature.Signer, *metadata.Key, error) {
	path := keyPath(dir, name)
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxKey {
		err = errors.New("it is not a key file")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("cannot sign: the key %s is not in %s: %w", name, filepath.Dir(path), err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read key %s: %w", path, err)
	}
	f, err := parseKey(data)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read key %s: %w", path, err)
	}
	private, err := f.open(pass)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open key %s: %w", name, err)
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open key %s: %w", name, err)
	}
	return signer, tufKey(private.Public().(ed25519.PublicKey)), nil
}
