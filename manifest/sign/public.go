package sign

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Roles of keys.
const (
	RoleRoot      = "root"      // signs roots
	RoleRelease   = "release"   // signs the list of targets: what sites run
	RoleFreshness = "freshness" // signs snapshot and timestamp: what is newest
)

// roles names the roles of TUF that each of ours signs for.
var roles = map[string][]string{
	RoleRoot: {metadata.ROOT}, RoleRelease: {metadata.TARGETS}, RoleFreshness: {metadata.SNAPSHOT, metadata.TIMESTAMP},
}

// roleOrder is how people are shown them.
var roleOrder = []string{RoleRoot, RoleRelease, RoleFreshness}

// Key describes a key of the fleet; the private half stays in its file or token.
type Key struct {
	Name   string `json:"name"`   // root-1, release, anna …
	Role   string `json:"role"`   // root, release, or freshness
	ID     string `json:"id"`     // as it stands in the root
	Public string `json:"public"` // "ed25519:" and 64 hex digits, or "ecdsa:" and the hex digits of a P-256 key as PKIX

	public *metadata.Key
}

func newKey(name, role string, public *metadata.Key) (Key, error) {
	id, err := public.ID()
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", name, err)
	}
	text, err := publicText(public)
	return Key{Name: name, Role: role, ID: id, Public: text, public: public}, err
}

func publicText(k *metadata.Key) (string, error) {
	if k.Type == metadata.KeyTypeEd25519 {
		return "ed25519:" + k.Value.PublicKey, nil
	}
	public, err := k.ToPublicKey()
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	return "ecdsa:" + hex.EncodeToString(der), nil
}

var errPublic = errors.New("its public key is damaged")

// parsePublic reads Key.Public.
func parsePublic(text string) (*metadata.Key, error) {
	kind, digits, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(digits)
	switch {
	case !ok || err != nil:
		return nil, errPublic
	case kind == "ed25519" && len(raw) == ed25519.PublicKeySize:
		return tufKey(raw), nil
	case kind == "ecdsa":
		public, err := x509.ParsePKIXPublicKey(raw)
		if k, ok := public.(*ecdsa.PublicKey); err == nil && ok && k.Curve == elliptic.P256() {
			return metadata.KeyFromPublicKey(k)
		}
	}
	return nil, errPublic
}

// Line is the public half in one line, for "key add" on another computer: NAME:ROLE:KIND:DIGITS.
func (k Key) Line() string { return k.Name + ":" + k.Role + ":" + k.Public }

// ParseKeyLine reads what Line has made.
func ParseKeyLine(line string) (Key, error) {
	part := strings.SplitN(strings.TrimSpace(line), ":", 3)
	if len(part) != 3 {
		return Key{}, keyError("%.80q is neither a key file nor the public line of a key", line)
	}
	if err := checkNameRole(part[0], part[1]); err != nil {
		return Key{}, err
	}
	public, err := parsePublic(part[2])
	if err != nil {
		return Key{}, keyError("cannot add key %s: %w", part[0], err)
	}
	return newKey(part[0], part[1], public)
}

// ReadKey returns the public half of the key file at path.
func ReadKey(path string) (Key, error) {
	f, err := readKeyFile(path)
	if err != nil {
		return Key{}, err
	}
	return f.key, nil
}
