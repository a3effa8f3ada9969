package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"dhow/agent/backup/tree"
	"dhow/agent/fault"
)

// verify compares what the disk has under e's path in r with what the index says of kind and content; of a large file only the doubtful
// blocks are read, or all with doubt nil.
func (c *copier) verify(r *tree.Root, e *tree.Entry, doubt doubts) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := present(r, e); err != nil || e.Kind != tree.File || e.Hard != "" {
		return err
	}
	if err := c.same(r, e, doubt); err != nil {
		return err
	}
	return fault.Point("backup/verify")
}

func (c *copier) same(r *tree.Root, e *tree.Entry, doubt doubts) error {
	if len(e.Blocks) == 0 {
		sum, size, err := c.hashFile(r, e.Path, false, true)
		if err == nil && (size != e.Size || sum != e.SHA256) {
			err = fmt.Errorf("%w: %s has another content than was copied", ErrDamaged, e.Path)
		}
		return err
	}
	f, err := r.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.readBlocks(f, e, doubt); errors.Is(err, errOther) {
		return fmt.Errorf("%w: %s has another content than was copied", ErrDamaged, e.Path)
	} else if err != nil {
		return err
	}
	return nil
}

// present checks that e's file is there with its kind and size.
func present(r *tree.Root, e *tree.Entry) error {
	have, _, err := r.Stat(e.Path)
	if err != nil {
		if tree.Vanished(err) && (e.Kind == tree.Char || e.Kind == tree.Block) {
			return nil // not every place can hold device nodes; the index does
		}
		if tree.Vanished(err) {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, e.Path)
		}
		return err
	}
	if have.Kind != e.Kind || have.Size != e.Size {
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
	r, err := tree.OpenRoot(filepath.Join(dir, treesDir, t.Name))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Close()
	c := newCopier(ctx, &meter{})
	for _, e := range entries {
		if err := c.verify(r, e, nil); err != nil {
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
		r, err := tree.OpenRoot(filepath.Join(dir, DumpsDir))
		if err != nil {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, err)
		}
		var sum string
		var size int64
		if sync {
			err = r.Flush()
		}
		if err == nil {
			sum, size, err = c.hashFile(r, tree.Name(d.File), false, true)
		}
		r.Close()
		if err != nil {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, err)
		}
		if size != d.Bytes || sum != d.SHA256 {
			return fmt.Errorf("cannot verify dump %s: %w", d.File, ErrDamaged)
		}
	}
	return nil
}
