package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"dhow/agent/backup/tree"
)

// past goes through the lists of a tree's newest backup, along with the tree itself.
type past struct {
	*extents
	entries *json.Decoder
	now     *tree.Entry // its extents are still to come; nil at the end
}

// past opens the newest backup of a tree, or returns nil when there is none that proves anything.
func (w *writer) past(list []Record, name string) *past {
	for _, rec := range list {
		if rec.Problem != nil {
			continue
		}
		for _, t := range rec.Trees {
			if t.Name != name {
				continue
			}
			p := &past{
				extents: &extents{r: w.r, refs: t.Extents},
				entries: json.NewDecoder(&bytesFrom{r: w.r, refs: t.Entries}),
			}
			var h listHeader
			if p.entries.Decode(&h) != nil || h.Format != tree.Format || h.Boot == "" || h.Boot != tree.Boot() || p.step() != nil {
				return nil
			}
			return p
		}
	}
	return nil
}

// step goes to the next entry.
func (p *past) step() error {
	p.now = nil
	if !p.entries.More() {
		return nil
	}
	e := new(tree.Entry)
	if err := p.entries.Decode(e); err != nil {
		return err
	}
	p.now = e
	return nil
}

// seek goes to the entry of a path and says whether there is one.
func (p *past) seek(path tree.Name) (bool, error) {
	for p.now != nil {
		c := compare(p.now.Path, path)
		if c >= 0 {
			return c == 0, nil
		}
		if err := p.pass(func(extent) error { return nil }); err != nil {
			return false, err
		}
	}
	return false, nil
}

// pass hands over the extents of the present entry and goes to the next.
func (p *past) pass(see func(extent) error) error {
	if hasContent(p.now) {
		if err := p.skip(p.now.Size, see); err != nil {
			return err
		}
	}
	return p.step()
}

// compare orders paths as Scan does: by names in each folder, a folder before what is in it.
func compare(a, b tree.Name) int {
	return bytes.Compare(order(a), order(b))
}

func order(path tree.Name) []byte {
	if path == "." {
		return nil
	}
	return []byte(strings.ReplaceAll(string(path), "/", "\x00"))
}

// takeOver takes the chunks of a file from the newest backup when the file is provably the same and its chunks are all there.
func (t *treeWriter) takeOver(e *tree.Entry) (bool, error) {
	if t.past == nil {
		return false, nil
	}
	found, err := t.past.seek(e.Path)
	if err != nil { // the old backup is damaged: it proves nothing any more
		t.past = nil
		return false, t.ctx.Err()
	}
	if !found {
		return false, nil
	}
	old := t.past.now
	if old.Hard != "" || old.Fresh || !old.Same(e) {
		return false, nil
	}
	begin := t.list.mark()
	sum, whole, bytes := sha256.New(), true, int64(0)
	err = t.past.pass(func(x extent) error {
		if !whole {
			return nil
		}
		if !x.hole() {
			if whole, err = t.c.has(x.id); err != nil || !whole {
				return err
			}
			bytes += int64(x.size)
		}
		sum.Write(x.record())
		return t.list.add(x)
	})
	if err != nil {
		t.past = nil
	}
	if err != nil || !whole || digest(sum.Sum(nil)).String() != old.SHA256 {
		t.list.back(begin)
		return false, t.ctx.Err()
	}
	e.SHA256 = old.SHA256
	t.info.Bytes += bytes
	t.meter.add(e.Size)
	return true, nil
}
