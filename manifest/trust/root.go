package trust

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"dhow/manifest"
)

// stretch is how many rounds of SHA-256 one try at another root with the same fingerprint costs.
const stretch = 100_000

// Fingerprint returns what people compare over the phone: sixteen decimal digits from the SHA-256 of the signed part of a root
// (in its canonical form, so that line endings and added signatures do not matter), for example "7731-0482-9955-1206". So few
// digits could be met by trying many roots; therefore each try is made dear.
func Fingerprint(root []byte) (string, error) {
	sum, err := identity(root)
	if err != nil {
		return "", err
	}
	key, err := pbkdf2.Key(sha256.New, string(sum), []byte("dhow root fingerprint"), stretch, 8)
	if err != nil {
		return "", fmt.Errorf("cannot make fingerprint: %w", err)
	}
	digits := fmt.Sprintf("%016d", binary.BigEndian.Uint64(key)%1e16)
	return digits[:4] + "-" + digits[4:8] + "-" + digits[8:12] + "-" + digits[12:], nil
}

// identity is the SHA-256 of the signed part of a root that is valid in itself.
func identity(data []byte) ([]byte, error) {
	root, err := selfSigned(data)
	if err != nil {
		return nil, err
	}
	signed, err := cjson.EncodeCanonical(root.Signed)
	if err != nil {
		return nil, fmt.Errorf("root is %w: %w", ErrDamaged, err)
	}
	sum := sha256.Sum256(signed)
	return sum[:], nil
}

// selfSigned reads a fleet's root that is signed by enough of its own keys.
func selfSigned(data []byte) (*metadata.Metadata[metadata.RootType], error) {
	set, err := begin(data)
	if err != nil {
		return nil, err
	}
	return set.Root, checkFleetRoot("root", set.Root)
}

// begin begins to trust a root that is signed by enough of its own keys.
func begin(data []byte) (*trustedmetadata.TrustedMetadata, error) {
	root, err := parseRoot("root", data)
	if err != nil {
		return nil, err
	}
	if err := checkRoot("root", root); err != nil { // before its keys are used
		return nil, err
	}
	set, err := trustedmetadata.New(data)
	if err != nil {
		return nil, classify("root", err)
	}
	return set, checkHead("root", root.Signed.SpecVersion, root.Signed.Version)
}

// ParseRoot reads a root that may still lack signatures, and sees to it that go-tuf can use it safely. Who signed it is left to the caller;
// path stands in errors only.
func ParseRoot(path string, data []byte) (*metadata.Metadata[metadata.RootType], error) {
	root, err := parseRoot(path, data)
	if err != nil {
		return nil, err
	}
	if err := checkRoot(path, root); err != nil {
		return nil, err
	}
	if err := checkFleetRoot(path, root); err != nil {
		return nil, err
	}
	return root, checkHead(path, root.Signed.SpecVersion, root.Signed.Version)
}

func parseRoot(path string, data []byte) (*metadata.Metadata[metadata.RootType], error) {
	if err := checkJSON(path, data, maxRoot); err != nil {
		return nil, err
	}
	root, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, classify(path, err)
	}
	return root, nil
}

// checkRoot sees to it that go-tuf can use a root safely: all roles there, and keys that the crypto libraries take without a panic. A
// role that too few keys can sign is the fleet's own mistake: nothing is accepted for it until a next root mends it.
func checkRoot(path string, root *metadata.Metadata[metadata.RootType]) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s is %w: %s", path, ErrDamaged, fmt.Sprintf(format, args...))
	}
	if err := checkKeys(root.Signed.Keys); err != nil {
		return fail("%v", err)
	}
	for _, name := range metadata.TOP_LEVEL_ROLE_NAMES {
		role := root.Signed.Roles[name]
		if role == nil || role.Threshold < 1 || len(role.KeyIDs) > maxKeys {
			return fail("role %s is missing or impossible", name)
		}
	}
	return nil
}

// checkFleetRoot holds a root to what package sign makes, beyond what TUF asks for: a root that breaks it would leave sites without a way
// on, or hides whose keys it names, so they stay with the one before.
func checkFleetRoot(path string, root *metadata.Metadata[metadata.RootType]) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s is %w: %s", path, ErrDamaged, fmt.Sprintf(format, args...))
	}
	if !root.Signed.ConsistentSnapshot {
		return fail("it has no consistent snapshots")
	}
	same := map[string]string{}
	for id, key := range root.Signed.Keys {
		if key.Scheme != metadata.KeySchemeEd25519 && key.Scheme != metadata.KeySchemeECDSA_SHA2_P256 {
			return fail("key %.16q: scheme %.40q is not known", id, key.Scheme)
		}
		// People and programs compare keys by their IDs: another key under an ID that is known would be seen by nobody.
		fresh := &metadata.Key{Type: key.Type, Scheme: key.Scheme, Value: key.Value, UnrecognizedFields: key.UnrecognizedFields}
		if own, err := fresh.ID(); err != nil || own != id {
			return fail("key %.16q is another key than its ID says", id)
		}
		if public, err := key.ToPublicKey(); err == nil {
			der, err := x509.MarshalPKIXPublicKey(public)
			if other := same[string(der)]; err != nil || other != "" {
				return fail("the keys %.16q and %.16q are one key", min(id, other), max(id, other))
			}
			same[string(der)] = id
		}
	}
	for name, role := range root.Signed.Roles {
		if role.Threshold > len(role.KeyIDs) {
			return fail("role %s can never be signed", name)
		}
		for i, id := range role.KeyIDs {
			if root.Signed.Keys[id] == nil {
				return fail("role %s has a key that is not there", name)
			}
			if slices.Contains(role.KeyIDs[:i], id) {
				return fail("role %s has the key %.16q twice", name, id)
			}
		}
	}
	return nil
}

// checkKeys looks at the keys that a root or a list of targets brings. One of a kind that is not known is let in, and signs nothing.
func checkKeys(keys map[string]*metadata.Key) error {
	if len(keys) > maxKeys {
		return fmt.Errorf("it has more than %d keys", maxKeys)
	}
	for id, key := range keys {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("key %.16q: %w", id, err)
		}
	}
	return nil
}

func checkKey(key *metadata.Key) error {
	if key == nil {
		return errors.New("it is missing")
	}
	switch key.Type {
	case metadata.KeyTypeEd25519:
		if raw, err := hex.DecodeString(key.Value.PublicKey); err != nil || len(raw) != ed25519.PublicKeySize {
			return errors.New("it is not an ed25519 key")
		}
	case metadata.KeyTypeECDSA_SHA2_P256, metadata.KeyTypeECDSA_SHA2_P256_COMPAT:
		if _, err := key.ToPublicKey(); err != nil {
			return errors.New("it is not an ecdsa key")
		}
	case metadata.KeyTypeRSASSA_PSS_SHA256:
		public, err := key.ToPublicKey()
		if err != nil {
			return errors.New("it is not an rsa key")
		}
		if bits := public.(*rsa.PublicKey).N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("an rsa key of %d bits", bits)
		}
	}
	return nil
}

// specVersion is how a document names the version of TUF that it follows.
var specVersion = regexp.MustCompile(`^[0-9]{1,9}\.[0-9]{1,9}(\.[0-9]{1,9})?$`)

// checkHead checks what every role's document begins with. It comes after the signature: a newer TUF is what the fleet says, and
// not what a flipped bit does.
func checkHead(path, spec string, version int64) error {
	if !specVersion.MatchString(spec) {
		return fmt.Errorf("%s is %w: its TUF version %.20q is none", path, ErrDamaged, spec)
	}
	if !strings.HasPrefix(spec, "1.") {
		return fmt.Errorf("%s: %w: TUF version %.20q", path, manifest.ErrNewer, spec)
	}
	if version < 1 || version > maxVersion {
		return fmt.Errorf("%s is %w: version %d is impossible", path, ErrDamaged, version)
	}
	return nil
}
