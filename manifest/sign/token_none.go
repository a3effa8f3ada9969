//go:build !pkcs11

package sign

import (
	"github.com/sigstore/sigstore/pkg/signature"
)

// CheckTokens says whether this program can talk to tokens.
func CheckTokens() error { return ErrNoTokens }

// openToken needs code that talks to tokens.
func (f *keyFile) openToken([]byte) (signature.Signer, error) { return nil, ErrNoTokens }

// MakeTokenKey needs code that talks to tokens.
func MakeTokenKey(string, string, Token, []byte) (*TokenKey, error) { return nil, ErrNoTokens }
