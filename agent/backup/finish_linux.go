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
	"dhow/bundle/durable"
)

// Finish is the last pass of a snapshot into dir, while nothing writes into the trees (ErrChanged when something does). It copies what changed
// since CopyAhead, removes what is gone, reads everything back from the disk, and writes snapshot.json last. The dumps of info must be in dir's folder DumpsDir.
// Run again after an interruption, or when it was done already, it looks at everything anew.
func Finish(ctx context.Context, dir string, trees []Tree, info Info, p Progress) (*Snapshot, error) {
	ps, err := runPass(ctx, dir, trees, p, false)
	if err != nil {
		return nil, err
	}
	defer closeAll(ps)
	s := &Snapshot{Format: Format, Info: info}
	for _, one := range ps {
		sum, err := one.settle()
		if err != nil {
			return nil, one.failed("copy", one.tree, err)
		}
		s.Trees = append(s.Trees, TreeInfo{
			Name: one.tree.Name, Files: len(one.entries), Bytes: contentSize(one.entries), Index: sum,
		})
	}
	if err := verifyDumps(ctx, dir, s.Dumps, true); err != nil {
		return nil, err
	}
	if err := durable.SyncTree(filepath.Join(dir, indexDir)); err != nil {
		return nil, fmt.Errorf("cannot finish snapshot: %w", err)
	}
	for _, d := range []string{filepath.Join(dir, treesDir), dir, filepath.Dir(filepath.Clean(dir))} {
		if err := durable.SyncDir(d); err != nil {
			return nil, fmt.Errorf("cannot finish snapshot: %w", err)
		}
	}
	if err := fault.Point("backup/finish-record"); err != nil {
		return nil, err
	}
	if err := s.write(dir); err != nil {
		return nil, fmt.Errorf("cannot finish snapshot: %w", err)
	}
	return s, nil
}

// settle brings the copies to the disk, reads them back, copies once more what is not right (a copy that a power cut left behind under
// times that the source has again), and writes the index.
func (p *pass) settle() (string, error) {
	wrong, err := p.readBack()
	if err != nil {
		return "", err
	}
	if len(wrong) > 0 {
		p.keep = func(e *entry) (bool, error) { return !wrong[e.Path], nil }
		if _, err := p.run(p.entries); err != nil {
			return "", err
		}
		if wrong, err = p.readBack(); err != nil {
			return "", err
		}
		for path := range wrong {
			return "", fmt.Errorf("%w: %s reads back wrong", ErrDamaged, path)
		}
		if err := p.unchanged(); err != nil {
			return "", err
		}
	}
	return writeIndex(p.index, p.entries)
}

func (p *pass) readBack() (map[raw]bool, error) {
	if err := p.to.flush(); err != nil {
		return nil, err
	}
	p.to.forget(0)
	wrong := map[raw]bool{}
	for _, e := range p.entries {
		if err := p.verify(p.to, e); errors.Is(err, ErrDamaged) {
			wrong[e.Path] = true
		} else if err != nil {
			return nil, err
		}
	}
	return wrong, nil
}

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

// Verify reads a whole snapshot and compares it with its checksums: ErrIncomplete, ErrDamaged naming the first file that is not right, or nil.
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

func loadIndex(file string) ([]*entry, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	sum := sha256.New()
	entries, err := readIndex(io.TeeReader(f, sum))
	return entries, hex.EncodeToString(sum.Sum(nil)), err
}
