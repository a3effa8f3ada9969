package offsite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// What age adds for one X25519 key: the header, a nonce, and an authentication tag for each chunk.
const (
	ageHeader = 168
	ageNonce  = 16
	ageChunk  = 64 << 10
	ageTag    = 16
)

// cryptSize is the length of n bytes once they are encrypted to one X25519 key.
func cryptSize(n int64) int64 {
	chunks := max(1, (n+ageChunk-1)/ageChunk)
	return ageHeader + ageNonce + n + chunks*ageTag
}

// parseRecipient reads a public key: age1 and 58 characters.
func parseRecipient(s string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, fmt.Errorf("cannot use the public key %.80q: %w", s, ErrKey)
	}
	return r, nil
}

// CheckRecipient reports whether s is a public key that copies can be encrypted to (age1…).
func CheckRecipient(s string) error {
	_, err := parseRecipient(s)
	return err
}

// encrypting returns what from yields, encrypted. An error of from is that of the returned reader. Close it before from.
func encrypting(from io.Reader, to age.Recipient) io.ReadCloser {
	r, w := io.Pipe()
	s := &sealed{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		e, err := age.Encrypt(w, to)
		if err == nil {
			if _, err = io.Copy(e, from); err == nil {
				err = e.Close()
			}
		}
		_ = w.CloseWithError(err)
	}()
	return s
}

// sealed is the reading end of encrypting.
type sealed struct {
	*io.PipeReader
	done chan struct{} // closed when nothing reads the source any more
}

func (s *sealed) Close() error {
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// whole is a reader that ends with wrong in place of io.EOF when what it read is not the object's content.
type whole struct {
	r     io.Reader
	o     Object
	sum   hash.Hash
	n     int64
	wrong error
}

func newWhole(r io.Reader, o Object, wrong error) *whole {
	return &whole{r: io.LimitReader(r, o.Size+1), o: o, sum: sha256.New(), wrong: wrong}
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	w.sum.Write(p[:n])
	if w.n > w.o.Size || errors.Is(err, io.EOF) && (w.n != w.o.Size || hex.EncodeToString(w.sum.Sum(nil)) != w.o.SHA256) {
		return n, fmt.Errorf("%w: object %s has another content than was written", w.wrong, w.o.Name)
	}
	return n, err
}

// Identities are secret keys that open copies.
type Identities []age.Identity

const (
	maxIdentities = 64 << 10
	// maxWork bounds what a passphrase may cost: 2^18 is what age itself takes, a second and 256 MiB.
	maxWork = 18
)

// ReadIdentities reads a file of secret keys as age makes them (AGE-SECRET-KEY-1… lines). When the file is encrypted with a
// passphrase, that is asked for.
func ReadIdentities(r io.Reader, passphrase func() ([]byte, error)) (Identities, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxIdentities+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the file of keys: %w", err)
	}
	if len(data) > maxIdentities {
		return nil, fmt.Errorf("cannot read the file of keys: %w: it is larger than %d bytes", ErrKey, maxIdentities)
	}
	text := string(data)
	if strings.HasPrefix(text, "age-encryption.org/") || strings.HasPrefix(strings.TrimSpace(text), armor.Header) {
		if text, err = unlock(text, passphrase); err != nil {
			return nil, err
		}
	}
	ids, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil { // its text could hold part of a key
		return nil, fmt.Errorf("cannot read the file of keys: %w: it holds no age identity", ErrKey)
	}
	return ids, nil
}

// unlock decrypts a file of keys with a passphrase.
func unlock(text string, passphrase func() ([]byte, error)) (string, error) {
	pass, err := passphrase()
	if err != nil {
		return "", err
	}
	if len(pass) == 0 {
		return "", fmt.Errorf("cannot open the file of keys: %w", ErrPassphrase)
	}
	id, err := age.NewScryptIdentity(string(pass))
	if err != nil {
		return "", fmt.Errorf("cannot open the file of keys: %w", ErrPassphrase)
	}
	id.SetMaxWorkFactor(maxWork)
	var in io.Reader = strings.NewReader(text)
	if strings.HasPrefix(strings.TrimSpace(text), armor.Header) {
		in = armor.NewReader(strings.NewReader(strings.TrimSpace(text)))
	}
	out, err := age.Decrypt(in, id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return "", fmt.Errorf("cannot open the file of keys: %w", ErrPassphrase)
	}
	if err != nil {
		return "", fmt.Errorf("cannot open the file of keys: %w: %w", ErrKey, err)
	}
	plain, err := io.ReadAll(io.LimitReader(out, maxIdentities))
	if err != nil {
		return "", fmt.Errorf("cannot open the file of keys: %w: %w", ErrKey, err)
	}
	return string(plain), nil
}

// decrypting opens what from yields. Errors of from stay what they are; anything else that is wrong is ErrDamaged or ErrWrongKey.
func decrypting(from io.Reader, ids Identities) (io.Reader, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: none is given", ErrKey)
	}
	line := &marked{r: from}
	r, err := age.Decrypt(line, ids...)
	if err == nil {
		return &opened{r: r, line: line}, nil
	}
	var none *age.NoIdentityMatchError
	switch {
	case line.err != nil:
		return nil, line.err
	case errors.As(err, &none):
		return nil, ErrWrongKey
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// marked remembers the error of a reader.
type marked struct {
	r   io.Reader
	err error
}

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

type opened struct {
	r    io.Reader
	line *marked
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case o.line.err != nil:
		return n, o.line.err
	}
	return n, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// under makes a reader end with the context.
type under struct {
	ctx context.Context
	r   io.Reader
}

func (u under) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
