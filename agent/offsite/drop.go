package offsite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"dhow/agent/fault"
)

// List returns the names of a site's backups that are whole at the place, oldest first: with a record, and all objects in their sizes.
func List(ctx context.Context, place Place, site string) ([]string, error) {
	whole, err := complete(ctx, place, site)
	if err != nil {
		return nil, fmt.Errorf("cannot list the copies of site %s: %w", site, err)
	}
	return whole, nil
}

func complete(ctx context.Context, place Place, site string) ([]string, error) {
	if err := checkName("the site's name", site); err != nil {
		return nil, err
	}
	have, err := sizes(ctx, place, site)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range backups(have, site, cryptExt) {
		ok, err := isWhole(ctx, place, have, site, name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// isWhole reports whether a backup with a record is all there, and the record, too. A list that is gone or damaged is no proof.
func isWhole(ctx context.Context, place Place, have map[string]int64, site, name string) (bool, error) {
	l, err := readList(ctx, place, site, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := l.encode()
	if err != nil {
		return false, err
	}
	return have[recordPath(site, name)] == cryptSize(int64(len(data))) && l.present(have) == nil, nil
}

// backups returns the sorted names of the files in the folder of backups with an extension.
func backups(have map[string]int64, site, ext string) []string {
	var out []string
	for path := range have {
		if name, ok := inDir(path, site, backupsDir, ext); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func readList(ctx context.Context, place Place, site, backup string) (*list, error) {
	data, err := read(ctx, place, listPath(site, backup), maxRecord)
	if err != nil {
		return nil, err
	}
	return parseList(data, site, backup)
}

// Drop removes copies that this computer has made (mine) and that keep does not name, and what is left of copies that never got a record,
// then the objects that no other copy needs. It returns the names of what it removed. Copies of another computer that bore the
// site's name stay, as they may be all that is left of it, and so does the newest whole copy. keep may name copies that are under way.
// When it can't be told what a copy that stays needs, nothing is removed; sending that backup again mends it.
func Drop(ctx context.Context, place Place, site string, mine, keep []string) (dropped []string, err error) {
	if dropped, err = drop(ctx, place, site, mine, keep); err != nil {
		return dropped, fmt.Errorf("cannot remove old copies of site %s: %w", site, err)
	}
	return dropped, nil
}

func drop(ctx context.Context, place Place, site string, mine, keep []string) ([]string, error) {
	if err := checkName("the site's name", site); err != nil {
		return nil, err
	}
	have, err := sizes(ctx, place, site)
	if err != nil {
		return nil, err
	}
	records, lists := backups(have, site, cryptExt), backups(have, site, listExt)
	kept := slices.Clone(keep)
	for _, name := range slices.Backward(records) {
		ok, err := isWhole(ctx, place, have, site, name)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, name)
			break
		}
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(records, lists))))
	needed := map[string]bool{}
	var away []string
	for _, name := range all {
		half := !slices.Contains(records, name)
		if !slices.Contains(kept, name) && (half || slices.Contains(mine, name)) {
			away = append(away, name)
			continue
		}
		l, err := readList(ctx, place, site, name)
		if err != nil {
			return nil, fmt.Errorf("it can't be told what backup %s needs, nothing was removed: %w", name, err)
		}
		for _, o := range l.Objects {
			needed[objectPath(site, o, l.Key)] = true
		}
	}
	// Records go first: a copy without its record is none, whatever else is left of it.
	var paths []string
	for _, name := range away {
		paths = append(paths, recordPath(site, name))
	}
	for _, name := range away {
		paths = append(paths, listPath(site, name))
	}
	for path := range have {
		if _, ok := inDir(path, site, objectsDir, cryptExt); ok && !needed[path] {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if _, ok := have[path]; !ok {
			continue
		}
		if err := fault.Point("offsite/drop"); err != nil {
			return nil, err
		}
		if err := place.Delete(ctx, path); err != nil {
			return nil, err
		}
	}
	return away, nil
}
