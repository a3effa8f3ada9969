package guard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/argon2"

	"dhow/bundle/durable"
)

// The cost of a try: 19 MiB and two passes on one core, a few hundred milliseconds on a small computer. A file may ask for more, up to the bounds.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	maxMemory   = 64 << 10
	maxTime     = 10
	hashSize    = 32
)

// Lengths of a PIN, in digits.
const (
	minPIN = 6
	maxPIN = 32
)

const pinFile = "pin"

// ErrPIN is the reason why something can't be a PIN.
type ErrPIN struct{ Kind string }

// Kinds of ErrPIN.
const (
	PINShort  = "short"
	PINDigits = "digits" // it has other signs, or too many
	PINSimple = "simple" // one digit repeated, or a run
)

func (e *ErrPIN) Error() string {
	switch e.Kind {
	case PINShort:
		return fmt.Sprintf("a PIN has at least %d digits", minPIN)
	case PINSimple:
		return "this PIN is one of the first that anybody tries"
	}
	return fmt.Sprintf("a PIN is made of digits, at most %d", maxPIN)
}

// SetPIN keeps a new PIN in dir, readable by the owner only. Who was let in with the old one, and what was tried, is forgotten.
func SetPIN(dir, pin string) error {
	pin, err := checkPIN(pin)
	if err != nil {
		return err
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	p := hashed{memory: argonMemory, time: argonTime, salt: salt}
	p.hash = p.of(pin)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep the PIN: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, pinFile), []byte(p.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot keep the PIN: %w", err)
	}
	return nil
}

// HasPIN says whether a PIN is set in dir.
func HasPIN(dir string) (bool, error) {
	switch _, _, err := readPIN(dir); {
	case errors.Is(err, errNoPIN):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

func checkPIN(pin string) (string, error) {
	pin = digits(pin)
	switch {
	case strings.ContainsFunc(pin, func(r rune) bool { return r < '0' || r > '9' }) || len(pin) > maxPIN:
		return "", &ErrPIN{PINDigits}
	case len(pin) < minPIN:
		return "", &ErrPIN{PINShort}
	}
	for _, step := range []int{0, 1, -1} {
		run := true
		for i := 1; i < len(pin); i++ {
			run = run && (int(pin[i])-int(pin[i-1])-step)%10 == 0
		}
		if run {
			return "", &ErrPIN{PINSimple}
		}
	}
	return pin, nil
}

// digits writes the digits of every script as 0 to 9, and leaves out the spaces and strokes that people put between.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || r == '-' || unicode.Is(unicode.Cf, r):
			return -1
		case r > unicode.MaxASCII && unicode.IsDigit(r):
			// Decimal digits stand in tens that begin with zero.
			zero := r
			for zero > r-9 && unicode.IsDigit(zero-1) {
				zero--
			}
			return '0' + (r-zero)%10
		}
		return r
	}, s)
}

// hashed is a PIN as it is kept.
type hashed struct {
	memory, time uint32
	salt, hash   []byte
}

func (p hashed) of(pin string) []byte {
	return argon2.IDKey([]byte(pin), p.salt, p.time, p.memory, 1, hashSize)
}

// is compares in a time that does not depend on what pin is.
func (p hashed) is(pin string) bool { return subtle.ConstantTimeCompare(p.of(pin), p.hash) == 1 }

// String is the usual way to write it: $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH.
func (p hashed) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, p.memory, p.time, enc.EncodeToString(p.salt), enc.EncodeToString(p.hash))
}

var errPINFile = errors.New("is damaged: set the PIN again with: dhow page pin")

// parseHashed reads what String writes. The cost is bounded: a damaged file must not take the computer's memory.
func parseHashed(text string) (hashed, error) {
	var p hashed
	parts := strings.Split(strings.TrimSuffix(text, "\n"), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errPINFile
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &p.memory, &p.time); err != nil {
		return p, errPINFile
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	p.hash, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || p.memory < 8 || p.memory > maxMemory || p.time < 1 || p.time > maxTime || len(p.salt) < 8 || len(p.hash) != hashSize ||
		p.String() != strings.Join(parts, "$") {
		return p, errPINFile
	}
	return p, nil
}

// readPIN returns the PIN of dir, and a name of it that says nothing about it.
func readPIN(dir string) (p hashed, id string, err error) {
	path := filepath.Join(dir, pinFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, "", errNoPIN
	}
	if err != nil {
		return p, "", fmt.Errorf("cannot read the PIN: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return p, "", fmt.Errorf("cannot read the PIN: %w", err)
	}
	if p, err = parseHashed(string(data)); err != nil {
		return p, "", fmt.Errorf("%s %w", path, err)
	}
	sum := sha256.Sum256(data)
	return p, hex.EncodeToString(sum[:8]), nil
}
