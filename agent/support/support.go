// Package support makes the one file that a site gives to the central team when something is wrong, and opens it there.
//
// It promises that the file can be opened only with the fleet's backup key, that it is at most MaxSize, and that every text in it has gone through
// Redactor: no secret of the site, and nothing that somebody has entered into the medical record. It leaves to others what is worth to be in it.
//
// The file is age (one X25519 recipient) around zstd around tar: plain files at the top, the newest format first in README.json. Whoever opens it
// does not trust it: anybody can encrypt to a public key.
//
// # What is taken out
//
// Secrets are known by their value (settings of the site and the fleet, also as they stand in URLs, JSON and base64) and by their shape (passwords in
// addresses, the queries of addresses, keys, tokens).
//
// Data of patients have no shape. A database that refuses a row quotes it, and such sentences come into causes, warnings and the log. So of a sentence only
// words pass that are in a vocabulary: those of Dhow's own sentences, some of what databases, engines and systems say, and the names that the site has
// for its services, images, volumes and files. Everything else becomes "…", and so do numbers of more than four digits and dates. "Duplicate entry
// 'Amina Diallo' for key 'patient.name'" becomes "Duplicate entry … for key …": enough to know what to ask for. Output of containers is never in it.
package support

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"dhow/bundle/durable"
)

// Bounds, in bytes: of a file, of all that is in it, and of the number of its parts.
const (
	MaxSize  = 2 << 20
	maxPlain = 16 << 20
	maxParts = 32
)

// Errors that callers tell apart.
var (
	ErrKey     = errors.New("it is not an age public key")
	ErrOther   = errors.New("it is encrypted to another key")
	ErrDamaged = errors.New("it is damaged, or no support file")
	ErrLarge   = errors.New("it is larger than a support file can be")
)

// Part is one file of it. Name has no folder.
type Part struct {
	Name string
	Data []byte
}

// Seal returns the parts, encrypted to recipient (age1…). Parts that come later are left out where they would make it too large; the names of those are returned.
func Seal(parts []Part, recipient string, made time.Time) (file []byte, left []string, err error) {
	to, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use the backup key of the fleet: %w", ErrKey)
	}
	for n := len(parts); ; n-- {
		if file, err = seal(parts[:n], to, made); err != nil {
			return nil, nil, err
		}
		if len(file) <= MaxSize || n == 0 {
			return file, left, nil
		}
		left = append(left, parts[n-1].Name)
	}
}

func seal(parts []Part, to age.Recipient, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	e, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(e, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, p := range parts {
		if err := t.WriteHeader(&tar.Header{Name: p.Name, Mode: 0o600, Size: int64(len(p.Data)), ModTime: made.Truncate(time.Second), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := t.Write(p.Data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(t.Close(), z.Close(), e.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Open writes what is in a support file into the folder dir, which it makes, and returns the names. Nothing is written over.
func Open(r io.Reader, identities []age.Identity, dir string) (names []string, err error) {
	file, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the support file: %w", err)
	}
	if len(file) > MaxSize {
		return nil, fmt.Errorf("cannot open the support file: %w", ErrLarge)
	}
	parts, err := unseal(file, identities)
	if err != nil {
		return nil, fmt.Errorf("cannot open the support file: %w", err)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, p := range parts {
		f, err := root.OpenFile(p.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return names, err
		}
		if _, err := f.Write(p.Data); err != nil {
			return names, errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return names, err
		}
		names = append(names, p.Name)
	}
	return names, nil
}

// unseal reads all of a file before anything of it is written.
func unseal(file []byte, identities []age.Identity) (parts []Part, err error) {
	d, err := age.Decrypt(bytes.NewReader(file), identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrOther
	}
	if err != nil {
		return nil, ErrDamaged
	}
	return unpack(d)
}

// unpack reads the tar in zstd.
func unpack(r io.Reader) (parts []Part, err error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, ErrDamaged
	}
	defer z.Close()
	t := tar.NewReader(io.LimitReader(z, maxPlain))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil || h.Typeflag != tar.TypeReg || !plainName(h.Name) {
			return nil, ErrDamaged
		}
		if len(parts) == maxParts {
			return nil, ErrLarge
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, ErrDamaged
		}
		parts = append(parts, Part{h.Name, data})
	}
}

// plainName reports whether a name is that of a file in the folder itself, and can do no harm to a terminal.
func plainName(name string) bool {
	if name == "" || len(name) > 64 || name != filepath.Base(name) || name[0] == '.' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
