package backup

import (
	"errors"
	"fmt"
	"io"
	"os"

	"dhow/agent/backup/tree"
	"dhow/agent/fault"
)

// keepCopy takes over what the pass before has copied, when metadata proves that the file is still the same, or else when its
// content is; then the copy's metadata is set anew. A copy with several names is made again: they may be the wrong ones. A copy that
// was touched since it was read back is read back again.
func (p *pass) keepCopy(e *tree.Entry) (bool, error) {
	old := p.old[e.Path]
	if old == nil || old.Hard != "" || !old.Same(e) {
		return false, nil
	}
	have, names, err := p.to.Stat(e.Path)
	if err != nil || have.Kind != tree.File || have.Size != e.Size {
		return false, nil
	}
	if old.Fresh {
		if names != 1 || len(old.Blocks) > 0 { // of a large file only the blocks that differ are fetched
			return false, nil
		}
		sum, _, err := p.quiet().hashFile(p.from, e.Path, false, false)
		if err != nil && !tree.Vanished(err) && !errors.Is(err, ErrDamaged) { // those two are fetchFile's to judge
			return false, err
		}
		if err != nil || sum != old.SHA256 {
			return false, nil
		}
		if err := p.to.Apply(e, false); err != nil {
			return false, err
		}
	}
	e.SHA256, e.Blocks = old.SHA256, old.Blocks
	if old.Fresh || !untouched(old, have) {
		p.doubt[e.Path] = nil
	} else {
		e.Copy = old.Copy
	}
	p.done[e.Path] = true
	p.meter.add(e.Size)
	return true, nil
}

// untouched reports whether have is the copy that was read back when old was written.
func untouched(old, have *tree.Entry) bool {
	return old.Copy != nil && have.Kind == tree.File && have.Size == old.Size && *old.Copy == tree.Seen{Inode: have.Inode, Ctime: have.Ctime}
}

func (p *pass) fetchFile(e *tree.Entry) (bool, error) {
	fetch := p.fetchWhole
	if isBig(e.Size) {
		fetch = p.fetchBlocks
	}
	ok, err := fetch(e)
	vanished := err != nil && tree.Vanished(err) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case vanished && p.live:
		return false, nil
	case vanished || err == nil && !ok && !p.live:
		return false, fmt.Errorf("%w: %s", ErrChanged, e.Path)
	}
	return ok, err
}

// still looks at the open source of e: now is what it is.
func (p *pass) still(e, now *tree.Entry) (bool, error) {
	if now.Same(e) {
		return true, nil
	}
	if !p.live {
		return false, fmt.Errorf("%w: %s", ErrChanged, e.Path)
	}
	e.Fresh = true
	return true, nil
}

func (p *pass) fetchWhole(e *tree.Entry) (bool, error) {
	sum, ok, err := p.content(p.from, p.to, e, func(now *tree.Entry) (bool, error) { return p.still(e, now) })
	e.SHA256 = sum
	p.doubt[e.Path] = nil
	return ok, err
}

// fetchBlocks copies of a large file only the blocks that differ from those of its copy, if there is one. A copy that is interrupted in the
// middle of this bears a newer change time than the index says, or another start of the system: its blocks are compared, not believed.
func (p *pass) fetchBlocks(e *tree.Entry) (ok bool, err error) {
	in, err := p.from.Open(e.Path)
	if err != nil {
		return false, err
	}
	defer in.Close()
	check := func() (bool, error) {
		now, err := tree.Look(in)
		if err != nil || now.Kind != tree.File {
			return false, err
		}
		ok, err := p.still(e, now)
		if ok && p.live && now.Size != e.Size {
			e.Size = now.Size
		}
		return ok, err
	}
	if ok, err := check(); err != nil || !ok || !isBig(e.Size) {
		return false, err
	}
	size := e.Size
	out, have, fresh, err := p.base(e)
	if err != nil {
		return false, err
	}
	blocks, doubt, err := p.patch(out, in, size, have, fresh, !p.live)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return false, fmt.Errorf("cannot copy %s: %w", in.Name(), err)
	}
	ok, err = check()
	e.Size, e.Blocks, e.SHA256 = size, blocks, blocksDigest(blocks)
	p.doubt[e.Path] = doubt
	return ok, err
}

// base opens the copy of e that is there, with the digests of its blocks when they are known, or makes a new one.
func (p *pass) base(e *tree.Entry) (out *os.File, have []byte, fresh bool, err error) {
	there, names, err := p.to.Stat(e.Path)
	if err != nil || there.Kind != tree.File || names != 1 || p.wrong[e.Path] {
		out, err = p.to.Create(e.Path)
		return out, nil, true, err
	}
	if old := p.old[e.Path]; old != nil && old.Hard == "" && untouched(old, there) && tree.BlockSize(old.Size) == tree.BlockSize(e.Size) {
		have = old.Blocks
	}
	out, err = p.to.Change(e.Path)
	return out, have, false, err
}

func (p *pass) fetched(e *tree.Entry) error {
	p.done[e.Path] = true
	if !p.live {
		return fault.Point("backup/finish")
	}
	if err := fault.Point("backup/copy"); err != nil {
		return err
	}
	if p.unsaved += e.Size; p.unsaved < checkpointEvery {
		return nil
	}
	p.unsaved = 0
	return p.save(p.entries)
}
