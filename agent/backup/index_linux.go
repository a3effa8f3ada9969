package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"dhow/agent/backup/tree"
	"dhow/bundle/durable"
)

// trustedIndex reads an index that the snapshot vouches for.
func trustedIndex(dir string, t TreeInfo) ([]*tree.Entry, error) {
	entries, sum, err := loadIndex(indexPath(dir, t.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	if sum != t.Index {
		return nil, fmt.Errorf("%w: the index has another checksum", ErrDamaged)
	}
	return entries, nil
}

// loadIndex reads an index and returns its SHA-256 as well. From another boot than the present one all its entries are Fresh.
func loadIndex(file string) ([]*tree.Entry, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	sum := sha256.New()
	boot, entries, err := tree.ReadIndex(io.TeeReader(f, sum))
	if errors.Is(err, tree.ErrIndex) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	tree.Doubt(entries, boot, bootID())
	return entries, hex.EncodeToString(sum.Sum(nil)), err
}

// bootID names the present start of the system. Tests replace it.
var bootID = tree.Boot

// writeIndex puts an index in place and returns its SHA-256.
func writeIndex(file, boot string, entries []*tree.Entry) (string, error) {
	sum := sha256.New()
	err := durable.Write(file, 0o600, func(w io.Writer) error {
		return tree.WriteIndex(io.MultiWriter(w, sum), boot, entries)
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
