package sign

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"

	"dhow/bundle/durable"
	"dhow/manifest"
)

const (
	keyFormat = 1
	maxKey    = 64 << 10

	// DefaultWork is the base-2 logarithm of scrypt's N: about a tenth of a second and 32 MiB for each try at a passphrase.
	DefaultWork = 15
	maxWork     = 18 // 256 MiB

	kdfScrypt, kdfToken = "scrypt", "pkcs11"
)

// keyFile is the content of keys/NAME.json. With kdf "scrypt", Secret is the ed25519 seed in a NaCl secretbox under
// scrypt(passphrase). With kdf "pkcs11" the private half is in a token, and the file says where.
type keyFile struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	Role   string `json:"role"`
	Public string `json:"public"` // as Key.Public
	KDF    string `json:"kdf"`
	Work   int    `json:"work,omitempty"`
	R      int    `json:"r,omitempty"`
	P      int    `json:"p,omitempty"`
	Salt   []byte `json:"salt,omitempty"`
	Cipher string `json:"cipher,omitempty"` // "secretbox"
	Nonce  []byte `json:"nonce,omitempty"`
	Secret []byte `json:"secret,omitempty"`
	Token  *Token `json:"token,omitempty"`

	key Key
}

// NewKey is a key that was made and is nowhere yet but in memory.
type NewKey struct {
	Key
	private ed25519.PrivateKey
}

// MakeKey makes an ed25519 key for a role.
func MakeKey(name, role string) (*NewKey, error) {
	if err := checkNameRole(name, role); err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make key %s: %w", name, err)
	}
	key, err := newKey(name, role, tufKey(public))
	if err != nil {
		return nil, fmt.Errorf("cannot make key %s: %w", name, err)
	}
	return &NewKey{Key: key, private: private}, nil
}

func checkNameRole(name, role string) error {
	if err := manifest.CheckName(name); err != nil {
		return fmt.Errorf("its name: %w", err)
	}
	if roles[role] == nil {
		return keyError("role %q: it is root, release or freshness", role)
	}
	return nil
}

func tufKey(public ed25519.PublicKey) *metadata.Key {
	return &metadata.Key{
		Type: metadata.KeyTypeEd25519, Scheme: metadata.KeySchemeEd25519,
		Value: metadata.KeyVal{PublicKey: hex.EncodeToString(public)},
	}
}

func keyPath(dir, name string) string { return filepath.Join(dir, keysDir, name+".json") }

// Save encrypts the key with pass and writes it to path, where nothing may be. WithWork changes how dear a try at the passphrase is.
func (k *NewKey) Save(path string, pass []byte, opts ...Option) error {
	o := options{work: DefaultWork}
	for _, opt := range opts {
		opt(&o)
	}
	if len(pass) == 0 {
		return fmt.Errorf("cannot save key %s: the passphrase is empty", k.Name)
	}
	if o.work < 1 || o.work > maxWork {
		return fmt.Errorf("cannot save key %s: scrypt work %d is out of bounds", k.Name, o.work)
	}
	f := keyFile{
		Format: keyFormat, Name: k.Name, Role: k.Role, Public: k.Public,
		KDF: kdfScrypt, Work: o.work, R: 8, P: 1, Salt: make([]byte, 16), Cipher: "secretbox", Nonce: make([]byte, 24),
	}
	if _, err := rand.Read(f.Salt); err != nil {
		return fmt.Errorf("cannot save key %s: %w", k.Name, err)
	}
	if _, err := rand.Read(f.Nonce); err != nil {
		return fmt.Errorf("cannot save key %s: %w", k.Name, err)
	}
	secret, err := f.stretch(pass)
	if err != nil {
		return fmt.Errorf("cannot save key %s: %w", k.Name, err)
	}
	f.Secret = secretbox.Seal(nil, k.private.Seed(), (*[24]byte)(f.Nonce), secret)
	return f.save(path)
}

// save writes the file, where nothing may be.
func (f *keyFile) save(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot save key %s: %w", f.Name, err)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("cannot save key %s: %s %w", f.Name, path, ErrExists)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot save key %s: %w", f.Name, err)
	}
	if err := durable.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot save key %s: %w", f.Name, err)
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

// readKeyFile reads the key file at path.
func readKeyFile(path string) (*keyFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read key %s: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read key %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKey {
		return nil, keyFileError("cannot read key %s: it is not a key file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, fmt.Errorf("cannot read key %s: %w", path, err)
	}
	k, err := parseKey(data)
	if err != nil {
		return nil, keyFileError("cannot read key %s: %w", path, err)
	}
	return k, nil
}

// parseKey reads a key file. The cost is bounded: a file from elsewhere must not eat the memory of this computer.
func parseKey(data []byte) (*keyFile, error) {
	var f keyFile
	if err := manifest.CheckJSON(data, manifest.JSONLimits{Size: maxKey, Depth: 4, Values: 100, NoNull: true}); err != nil {
		return nil, errors.New("it is not a key file, or damaged")
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, errors.New("it is not a key file, or damaged")
	}
	switch {
	case f.Format > keyFormat:
		return nil, fmt.Errorf("format %d was made by a newer dhowctl", f.Format)
	case f.Format != keyFormat || f.KDF != kdfScrypt && f.KDF != kdfToken:
		return nil, errors.New("it is not a key file")
	}
	if err := checkNameRole(f.Name, f.Role); err != nil {
		return nil, err
	}
	public, err := parsePublic(f.Public)
	if err != nil {
		return nil, err
	}
	if f.key, err = newKey(f.Name, f.Role, public); err != nil {
		return nil, err
	}
	if f.KDF == kdfToken {
		if f.Token == nil || f.Token.Module == "" || f.Token.Label == "" || f.Token.Key == "" || public.Type == metadata.KeyTypeEd25519 {
			return nil, errors.New("it does not say where in which token the key is")
		}
		return &f, nil
	}
	switch {
	case f.Cipher != "secretbox" || public.Type != metadata.KeyTypeEd25519:
		return nil, errors.New("it is not a key file")
	case f.Work < 1 || f.Work > maxWork || f.R < 1 || f.R > 8 || f.P < 1 || f.P > 1:
		return nil, fmt.Errorf("its scrypt parameters are out of bounds (work %d, r %d, p %d; at most %d, 8, 1)", f.Work, f.R, f.P, maxWork)
	case len(f.Salt) < 8 || len(f.Salt) > 64 || len(f.Nonce) != 24 || len(f.Secret) != ed25519.SeedSize+secretbox.Overhead:
		return nil, errors.New("it is cut short or damaged")
	}
	return &f, nil
}

// open decrypts the key. That the public half fits proves that the file was not put together from two.
func (f *keyFile) open(pass []byte) (signature.Signer, error) {
	secret, err := f.stretch(pass)
	if err != nil {
		return nil, err
	}
	seed, ok := secretbox.Open(nil, f.Secret, (*[24]byte)(f.Nonce), secret)
	if !ok {
		return nil, ErrPassphrase
	}
	private := ed25519.NewKeyFromSeed(seed)
	if tufKey(private.Public().(ed25519.PublicKey)).Value.PublicKey != f.key.public.Value.PublicKey {
		return nil, keyFileError("its public and private halves do not belong together")
	}
	return signature.LoadSigner(private, crypto.Hash(0))
}
