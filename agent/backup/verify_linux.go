package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

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
	if err := verifyStreams(ctx, dir, s.Streams); err != nil {
		return err
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

// ProveDump reads a dump back from the disk (ErrDamaged), so that Finish need not, as long as nothing touches it.
func ProveDump(ctx context.Context, dir string, d Dump) (Dump, error) {
	d.Seen = nil
	r, err := openDumps(dir, d)
	if err != nil {
		return d, err
	}
	defer r.Close()
	have, _, err := r.Stat(tree.Name(d.File))
	if err == nil {
		err = verifyDump(ctx, r, d, true)
	}
	if err == nil && !tree.Fresh(have.Ctime, time.Now()) {
		d.Seen = &DumpSeen{Boot: bootID(), Seen: tree.Seen{Inode: have.Inode, Ctime: have.Ctime}}
	}
	return d, err
}

func openDumps(dir string, d Dump) (*tree.Root, error) {
	if err := checkName(d.File); err != nil {
		return nil, err
	}
	r, err := tree.OpenRoot(filepath.Join(dir, DumpsDir))
	if err != nil {
		return nil, fmt.Errorf("cannot verify dump %s: %w", d.File, err)
	}
	return r, nil
}

// verifyDumps compares the dumps with what is said of them; with last set those that are proven are left alone.
func verifyDumps(ctx context.Context, dir string, dumps []Dump, last bool) error {
	for _, d := range dumps {
		r, err := openDumps(dir, d)
		if err != nil {
			return err
		}
		if !last || !proven(r, d) {
			err = verifyDump(ctx, r, d, last)
		}
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func proven(r *tree.Root, d Dump) bool {
	have, _, err := r.Stat(tree.Name(d.File))
	return err == nil && d.Seen != nil && d.Seen.Boot != "" && d.Seen.Boot == bootID() && have.Kind == tree.File && have.Size == d.Bytes &&
		d.Seen.Seen == tree.Seen{Inode: have.Inode, Ctime: have.Ctime}
}

func verifyDump(ctx context.Context, r *tree.Root, d Dump, sync bool) error {
	var err error
	if sync {
		err = r.Flush()
	}
	var sum string
	var size int64
	if err == nil {
		sum, size, err = newCopier(ctx, &meter{}).hashFile(r, tree.Name(d.File), false, true)
	}
	if err == nil && (size != d.Bytes || sum != d.SHA256) {
		err = ErrDamaged
	}
	if err != nil {
		return fmt.Errorf("cannot verify dump %s: %w", d.File, err)
	}
	return nil
}

func verifyStreams(ctx context.Context, dir string, streams []Stream) error {
	for _, s := range streams {
		if err := verifyStream(ctx, dir, s); err != nil {
			return err
		}
	}
	return nil
}
