//go:build pkcs11

package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// p256 names the curve in a token.
var p256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// CheckTokens says whether this program can talk to tokens.
func CheckTokens() error { return nil }

// MakeTokenKey finds the key pair that token names, or makes it there: ECDSA on P-256, which never leaves the token.
func MakeTokenKey(name, role string, token Token, pin []byte) (*TokenKey, error) {
	if err := checkNameRole(name, role); err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	fail := func(err error) (*TokenKey, error) { return nil, fmt.Errorf("cannot make key %s: %w", name, err) }
	s, err := openSession(token, pin, true)
	if err != nil {
		return fail(err)
	}
	defer s.close()
	public, err := s.public(token.Key)
	if errors.Is(err, errNoObject) {
		if err = s.generate(token.Key); err == nil {
			public, err = s.public(token.Key)
		}
	}
	if err != nil {
		return fail(err)
	}
	tuf, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return fail(err)
	}
	key, err := newKey(name, role, tuf)
	if err != nil {
		return fail(err)
	}
	return &TokenKey{Key: key, Token: token}, nil
}

// openToken returns a signer that signs in the token. That the token's public key is the one in the file is held against it at once.
func (f *keyFile) openToken(pin []byte) (signature.Signer, error) {
	s, err := openSession(*f.Token, pin, false)
	if err != nil {
		return nil, err
	}
	defer s.close()
	public, err := s.public(f.Token.Key)
	if err != nil {
		return nil, err
	}
	tuf, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return nil, err
	}
	if tuf.Value.PublicKey != f.key.public.Value.PublicKey {
		return nil, keyError("the token %s holds another key under the label %s", f.Token.Label, f.Token.Key)
	}
	return &tokenSigner{token: *f.Token, pin: slices.Clone(pin), public: public}, nil
}

// tokenSigner opens the token for each signature: nothing stays open between them.
type tokenSigner struct {
	token  Token
	pin    []byte
	public *ecdsa.PublicKey
}

func (t *tokenSigner) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return t.public, nil
}

// SignMessage returns an ASN.1 signature over the SHA-256 of message, checked before it is handed out.
func (t *tokenSigner) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	data, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	s, err := openSession(t.token, t.pin, false)
	if err != nil {
		return nil, err
	}
	defer s.close()
	sum := sha256.Sum256(data)
	raw, err := s.sign(t.token.Key, sum[:])
	if err != nil {
		return nil, err
	}
	sig, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		return nil, err
	}
	if !ecdsa.VerifyASN1(t.public, sum[:], sig) {
		return nil, keyError("the token %s has signed with another key", t.token.Label)
	}
	return sig, nil
}

// session is a logged in session with a token.
type session struct {
	module *pkcs11.Ctx
	handle pkcs11.SessionHandle
	label  string
}

var errNoObject = errors.New("it is not in the token")

func openSession(token Token, pin []byte, write bool) (_ *session, err error) {
	module := pkcs11.New(token.Module)
	if module == nil {
		return nil, keyError("%s is not a PKCS#11 library", token.Module)
	}
	s := &session{module: module, label: token.Label}
	if err := module.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		module.Destroy()
		return nil, fmt.Errorf("cannot open the token %s: %w", token.Label, err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	slot, err := s.slot()
	if err != nil {
		return nil, err
	}
	flags := uint(pkcs11.CKF_SERIAL_SESSION)
	if write {
		flags |= pkcs11.CKF_RW_SESSION
	}
	if s.handle, err = module.OpenSession(slot, flags); err != nil {
		return nil, fmt.Errorf("cannot open the token %s: %w", token.Label, err)
	}
	switch err := module.Login(s.handle, pkcs11.CKU_USER, string(pin)); {
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)), errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LEN_RANGE)):
		return nil, fmt.Errorf("cannot open the token %s: %w", token.Label, ErrPIN)
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LOCKED)):
		return nil, fmt.Errorf("cannot open the token %s: %w: it is locked after too many wrong PINs", token.Label, ErrPIN)
	case err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)):
		return nil, fmt.Errorf("cannot open the token %s: %w", token.Label, err)
	}
	return s, nil
}

func (s *session) slot() (uint, error) {
	slots, err := s.module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("cannot open the token %s: %w", s.label, err)
	}
	for _, slot := range slots {
		if info, err := s.module.GetTokenInfo(slot); err == nil && info.Label == s.label {
			return slot, nil
		}
	}
	return 0, keyError("there is no token %s here", s.label)
}

func (s *session) close() {
	if s.handle != 0 {
		_ = s.module.Logout(s.handle)
		_ = s.module.CloseSession(s.handle)
	}
	_ = s.module.Finalize()
	s.module.Destroy()
}

// object finds the one object of a class with that label.
func (s *session) object(class uint, label string) (pkcs11.ObjectHandle, error) {
	err := s.module.FindObjectsInit(s.handle, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	})
	if err != nil {
		return 0, fmt.Errorf("cannot look for the key in the token %s: %w", s.label, err)
	}
	found, _, err := s.module.FindObjects(s.handle, 2)
	if err = errors.Join(err, s.module.FindObjectsFinal(s.handle)); err != nil {
		return 0, fmt.Errorf("cannot look for the key in the token %s: %w", s.label, err)
	}
	switch len(found) {
	case 0:
		return 0, keyError("key %s, token %s: %w", label, s.label, errNoObject)
	case 1:
		return found[0], nil
	}
	return 0, keyError("the token %s has several keys with the label %s", s.label, label)
}

func (s *session) public(label string) (*ecdsa.PublicKey, error) {
	object, err := s.object(pkcs11.CKO_PUBLIC_KEY, label)
	if err != nil {
		return nil, err
	}
	values, err := s.module.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, nil), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the key %s from the token %s: %w", label, s.label, err)
	}
	var point []byte
	rest, err := asn1.Unmarshal(values[1].Value, &point)
	if !bytes.Equal(values[0].Value, p256) || err != nil || len(rest) != 0 {
		return nil, keyError("key %s in the token %s is not on the curve P-256", label, s.label)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, keyError("key %s in the token %s: %w", label, s.label, err)
	}
	return public, nil
}

func (s *session) generate(label string) error {
	yes, id := true, sha256.Sum256([]byte(label))
	_, _, err := s.module.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, yes), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, yes),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id[:8]),
		},
		[]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, yes), pkcs11.NewAttribute(pkcs11.CKA_SIGN, yes),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, yes), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, yes),
			pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id[:8]),
		})
	if err != nil {
		return fmt.Errorf("cannot make the key %s in the token %s: %w", label, s.label, err)
	}
	return nil
}

func (s *session) sign(label string, sum []byte) ([]byte, error) {
	object, err := s.object(pkcs11.CKO_PRIVATE_KEY, label)
	if err != nil {
		return nil, err
	}
	if err := s.module.SignInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, object); err != nil {
		return nil, fmt.Errorf("cannot sign in the token %s: %w", s.label, err)
	}
	raw, err := s.module.Sign(s.handle, sum)
	if err == nil && len(raw) != 64 {
		err = fmt.Errorf("its signature has %d bytes", len(raw))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot sign in the token %s: %w", s.label, err)
	}
	return raw, nil
}
