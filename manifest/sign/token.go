package sign

import "path/filepath"

// Token says where a key is that never leaves its hardware.
type Token struct {
	Module string `json:"module"` // the PKCS#11 library of its maker, a path
	Label  string `json:"label"`  // of the token
	Key    string `json:"key"`    // label of the key pair in it, ECDSA on P-256
}

// TokenKey is a key in a token.
type TokenKey struct {
	Key
	Token Token
}

// Save writes the key file that says where the key is; nothing in it is secret.
func (k *TokenKey) Save(path string) error {
	token := k.Token
	if filepath.Base(token.Module) != token.Module {
		if abs, err := filepath.Abs(token.Module); err == nil {
			token.Module = abs
		}
	}
	f := keyFile{Format: keyFormat, Name: k.Name, Role: k.Role, Public: k.Public, KDF: kdfToken, Token: &token}
	return f.save(path)
}
