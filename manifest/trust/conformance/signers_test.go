package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// key signs documents. id is the SHA-256 of the canonical public part.
type key struct {
	id     string
	public object
	sign   func(t *testing.T, data []byte) []byte
}

func newKey(t *testing.T, kind string) key {
	t.Helper()
	keytype, scheme, _ := strings.Cut(kind, "/")
	var private crypto.Signer
	var err error
	hash := crypto.SHA256
	var opts crypto.SignerOpts = hash
	public := object{"keytype": keytype, "scheme": scheme}
	switch keytype {
	case "ed25519":
		var seed ed25519.PrivateKey
		_, seed, err = ed25519.GenerateKey(rand.Reader)
		private, hash, opts = seed, 0, crypto.Hash(0)
		public["scheme"] = "ed25519"
	case "rsa":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
		if public["scheme"] = scheme; scheme == "" {
			public["scheme"] = "rsassa-pss-sha256"
		}
		if public["scheme"] == "rsassa-pss-sha256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: hash}
		}
	case "ecdsa", "ecdsa-sha2-nistp256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		public["scheme"] = "ecdsa-sha2-nistp256"
	default:
		t.Fatalf("no key of kind %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	if raw, ok := private.Public().(ed25519.PublicKey); ok {
		public["keyval"] = object{"public": hex.EncodeToString(raw)}
	} else {
		der, err := x509.MarshalPKIXPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		public["keyval"] = object{"public": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
	}
	return key{id: keyID(t, public), public: public, sign: func(t *testing.T, data []byte) []byte {
		if hash != 0 {
			sum := sha256.Sum256(data)
			data = sum[:]
		}
		sig, err := private.Sign(rand.Reader, data, opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}}
}

func keyID(t *testing.T, public object) string {
	sum := sha256.Sum256(canonical(t, public))
	return hex.EncodeToString(sum[:])
}

func canonical(t *testing.T, v any) []byte {
	t.Helper()
	data, err := cjson.EncodeCanonical(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
