package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"dhow/agent/backup/tree"
	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// Finish is the last pass of a snapshot into dir, while nothing writes into the trees (ErrChanged when something does). It
// copies what changed since CopyAhead, removes what is gone, reads everything back from the disk, and writes snapshot.json
// last. The dumps of info must be in dir's folder DumpsDir. Run again after an interruption, or when it was done already, it
// looks at everything anew.
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
	if err := verifyStreams(ctx, dir, s.Streams); err != nil {
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

// settle brings the copies to the disk, reads back what was not read back before, copies once more what is not right (a copy that a
// power cut left behind under times that the source has again), and writes the index.
func (p *pass) settle() (string, error) {
	wrong, err := p.readBack()
	if err != nil {
		return "", err
	}
	if len(wrong) > 0 {
		p.wrong = wrong
		p.mirror.Keep = func(e *tree.Entry) (bool, error) { return !wrong[e.Path], nil }
		if _, err := p.mirror.Run(p.ctx, p.entries); err != nil {
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
	return writeIndex(p.index, bootID(), p.entries)
}

// readBack reads the copies that are in doubt from the disk, and names those that are wrong. What is right is not read again by a later
// pass while its copy is seen not to be touched.
func (p *pass) readBack() (map[tree.Name]bool, error) {
	if err := p.to.Flush(); err != nil {
		return nil, err
	}
	p.to.Forget()
	wrong := map[tree.Name]bool{}
	for _, e := range p.entries {
		doubt, again := p.doubt[e.Path]
		if e.Kind == tree.File && e.Hard == "" && !again {
			if err := present(p.to, e); errors.Is(err, ErrDamaged) {
				wrong[e.Path] = true
			} else if err != nil {
				return nil, err
			}
			p.meter.add(e.Size)
			continue
		}
		seen, err := p.look(e)
		if err == nil {
			err = p.verify(p.to, e, doubt)
		}
		switch {
		case errors.Is(err, ErrDamaged):
			wrong[e.Path] = true
		case err != nil:
			return nil, err
		case again:
			delete(p.doubt, e.Path)
			e.Copy = seen
		}
	}
	return wrong, nil
}

// look says what the copy of a file is before it is read back; nil when a later change could not be told from it.
func (p *pass) look(e *tree.Entry) (*tree.Seen, error) {
	if e.Kind != tree.File {
		return nil, nil
	}
	have, _, err := p.to.Stat(e.Path)
	if tree.Vanished(err) {
		return nil, nil // verify says it
	}
	if err != nil || tree.Fresh(have.Ctime, time.Now()) {
		return nil, err
	}
	return &tree.Seen{Inode: have.Inode, Ctime: have.Ctime}, nil
}
