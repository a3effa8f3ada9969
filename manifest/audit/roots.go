package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/trust"
)

// readRoots reads the chain of roots, beginning with the one that is believed. It ends before the first that does not verify.
func (r *reader) readRoots(first []byte) error {
	root, err := metadata.Root().FromBytes(first)
	if err != nil {
		return fmt.Errorf("cannot read the root: %w", err)
	}
	// Lists of before the given root can't be believed by it: the numbers begin with 1 all the same.
	for range root.Signed.Version - 1 {
		r.roots = append(r.roots, &metadata.Metadata[metadata.RootType]{Signed: metadata.RootType{Roles: map[string]*metadata.Role{}}})
	}
	r.roots, r.used = append(r.roots, root), root.Signed.Version
	for {
		path := fmt.Sprintf("metadata/%d.root.json", len(r.roots)+1)
		data, err := r.document(path, maxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, manifest.ErrTooLarge) {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		next, err := successor(r.roots[len(r.roots)-1], data, err)
		if err != nil {
			r.history.Damaged = append(r.history.Damaged, fmt.Sprintf("%s can't be believed: %v", path, err))
			break
		}
		r.roots = append(r.roots, next)
	}
	r.history.Root = int64(len(r.roots))
	return nil
}

// successor reads the root that follows another: signed by the keys of both.
func successor(before *metadata.Metadata[metadata.RootType], data []byte, err error) (*metadata.Metadata[metadata.RootType], error) {
	if err != nil {
		return nil, err
	}
	if _, err := trust.RootVersion(data); err != nil { // sees to it that it is safe to use
		return nil, err
	}
	next, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, err
	}
	if next.Signed.Version != before.Signed.Version+1 {
		return nil, fmt.Errorf("it is root %d", next.Signed.Version)
	}
	if before.VerifyDelegate(metadata.ROOT, next) != nil {
		return nil, fmt.Errorf("it is not signed by enough keys of root %d", before.Signed.Version)
	}
	return next, nil
}

// rootsUpTo adds the roots that came into force before what follows.
func (r *reader) rootsUpTo(n int64) {
	for ; r.used < n; r.used++ {
		old, root := r.roots[r.used-1], r.roots[r.used]
		e := Entry{Kind: "root", Number: root.Signed.Version, Root: old.Signed.Version, Changes: []Change{}}
		e.Keys = trust.Signers(old, metadata.ROOT, root)
		e.Made, e.By = trust.MadeBy(root.Signed.UnrecognizedFields)
		if r.opts.Site == "" && r.opts.Ring == "" {
			e.Changes = rootChanges(old, root)
		}
		r.add(e)
	}
}

// roleNames are the roles of a root as people know them: one freshness key signs snapshot and timestamp.
var roleNames = []struct{ role, name string }{
	{metadata.ROOT, "root"},
	{metadata.TARGETS, "release"},
	{metadata.SNAPSHOT, "freshness"},
	{metadata.TIMESTAMP, "timestamp"},
}

func rootChanges(old, now *metadata.Metadata[metadata.RootType]) (list []Change) {
	for _, n := range roleNames {
		a, b := old.Signed.Roles[n.role], now.Signed.Roles[n.role]
		if n.role == metadata.TIMESTAMP && sameRole(a, old.Signed.Roles[metadata.SNAPSHOT]) && sameRole(b, now.Signed.Roles[metadata.SNAPSHOT]) {
			continue
		}
		for _, id := range b.KeyIDs {
			if !slices.Contains(a.KeyIDs, id) {
				name := trust.KeyName(now, id)
				list = append(list, Change{What: "key", Name: name, To: n.name, Text: n.name + " key " + name + " added"})
			}
		}
		for _, id := range a.KeyIDs {
			if !slices.Contains(b.KeyIDs, id) {
				name := trust.KeyName(old, id)
				list = append(list, Change{What: "key", Name: name, From: n.name, Text: n.name + " key " + name + " removed"})
			}
		}
		if a.Threshold != b.Threshold {
			from, to := fmt.Sprintf("%d of %d", a.Threshold, len(a.KeyIDs)), fmt.Sprintf("%d of %d", b.Threshold, len(b.KeyIDs))
			list = append(list, Change{
				What: "threshold", Name: n.name, From: from, To: to, Text: fmt.Sprintf("%s keys needed %s → %s", n.name, from, to),
			})
		}
	}
	return list
}

func sameRole(a, b *metadata.Role) bool {
	return a.Threshold == b.Threshold && strings.Join(slices.Sorted(slices.Values(a.KeyIDs)), " ") == strings.Join(slices.Sorted(slices.Values(b.KeyIDs)), " ")
}
