package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dhow/agent/fault"
)

// verify compares what the disk has under e's path in r with what the index says of kind and content.
func (c *copier) verify(r *root, e *entry) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := present(r, e); err != nil || e.Kind != kindFile || e.Hard != "" {
		return err
	}
	sum, size, err := c.hashDisk(r, e.Path)
	if err != nil {
		return err
	}
	if size != e.Size || sum != e.SHA256 {
		return fmt.Errorf("%w: %s has another content than was copied", ErrDamaged, e.Path)
	}
	return fault.Point("backup/verify")
}

// present checks that e's file is there with its kind and size.
func present(r *root, e *entry) error {
	st, err := r.stat(e.Path)
	if err != nil {
		if vanished(err) && (e.Kind == kindChar || e.Kind == kindBlock) {
			return nil // not every place can hold device nodes; the index does
		}
		if vanished(err) {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, e.Path)
		}
		return err
	}
	have, ok := describe(string(e.Path), &st)
	if !ok || have.Kind != e.Kind || have.Size != e.Size {
		return fmt.Errorf("%w: %s has another kind or size", ErrDamaged, e.Path)
	}
	return nil
}

// Verify reads a whole snapshot and compares it with its checksums: ErrIncomplete, ErrDamaged naming the first file that is not
// right, or nil.
func Verify(ctx context.Context, dir string) error {
	s, err := Read(dir)
	if err != nil {
		return err
	}
	for _, t := range s.Trees {
		if err := verifyTree(ctx, dir, t); err != nil {
			return fmt.Errorf("cannot verify volume %s: %w", t.Name, err)
		}
	}
	return verifyDumps(ctx, dir, s.Dumps, false)
}

func verifyTree(ctx context.Context, dir string, t TreeInfo) error {
	entries, err := trustedIndex(dir, t)
	if err != nil {
		return err
	}
	r, err := openRoot(filepath.Join(dir, treesDir, t.Name))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.close()
	c := newCopier(ctx, &meter{})
	for _, e := range entries {
		if err := c.verify(r, e); err != nil {
			return err
		}
	}
	return nil
}

func verifyDumps(ctx context.Context, dir string, dumps []Dump, sync bool) error {
	c := newCopier(ctx, &meter{})
	for _, d := range dumps {
		if err := checkName(d.File); err != nil {
			return err
		}
		r, err := openRoot(filepath.Join(dir, DumpsDir))
		if err != nil {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, err)
		}
		var sum string
		var size int64
		if sync {
			err = r.flush()
		}
		if err == nil {
			sum, size, err = c.hashDisk(r, raw(d.File))
		}
		r.close()
		if err != nil {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, err)
		}
		if size != d.Bytes || sum != d.SHA256 {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, ErrDamaged)
		}
	}
	return nil
}

// trustedIndex reads an index that the snapshot vouches for.
func trustedIndex(dir string, t TreeInfo) ([]*entry, error) {
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
func loadIndex(file string) ([]*entry, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	sum := sha256.New()
	boot, entries, err := readIndex(io.TeeReader(f, sum))
	if boot == "" || boot != bootID() {
		for _, e := range entries {
			e.Fresh = true
		}
	}
	return entries, hex.EncodeToString(sum.Sum(nil)), err
}
