package tree

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Name is a file name: any bytes but NUL. In JSON everything that is not printable UTF-8, and "%", stands as %XX.
type Name string

// MarshalText escapes.
func (r Name) MarshalText() ([]byte, error) {
	var b []byte
	for s := string(r); s != ""; {
		c, n := utf8.DecodeRuneInString(s)
		if (c == utf8.RuneError && n == 1) || c == '%' || !unicode.IsPrint(c) {
			for i := range n {
				b = fmt.Appendf(b, "%%%02X", s[i])
			}
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return b, nil
}

// UnmarshalText is the inverse of MarshalText.
func (r *Name) UnmarshalText(text []byte) error {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b = append(b, text[i])
			continue
		}
		if i+2 >= len(text) {
			return errors.New("name ends in an escape")
		}
		c, err := hex.DecodeString(string(text[i+1 : i+3]))
		if err != nil || c[0] == 0 {
			return fmt.Errorf("name has a bad escape %q", text[i:i+3])
		}
		b = append(b, c[0])
		i += 2
	}
	*r = Name(b)
	return nil
}
