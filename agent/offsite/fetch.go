package offsite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"dhow/agent/fault"
)

// Fetch brings a copy back: every object is opened with one of the identities, compared with the record, and handed to sink in the order
// in which the Source named them. A sink that has HasObject(Object) bool keeps what it got before a line broke.
func Fetch(ctx context.Context, place Place, site, backup string, identity Identities, sink Sink, p Progress) error {
	if err := fetch(ctx, place, site, backup, identity, sink, p); err != nil {
		return fmt.Errorf("cannot bring back backup %s of site %s: %w", backup, site, err)
	}
	return nil
}

func fetch(ctx context.Context, place Place, site, backup string, identity Identities, sink Sink, p Progress) error {
	if err := checkNames(site, backup); err != nil {
		return err
	}
	r, err := openRecord(ctx, place, site, backup, identity)
	if err != nil {
		return err
	}
	have, err := sizes(ctx, place, site)
	if err != nil {
		return err
	}
	if err := r.present(have); err != nil {
		return err
	}
	var todo []Object
	var done, total int64
	known, _ := sink.(interface{ HasObject(Object) bool })
	for _, o := range r.Objects {
		if known == nil || !known.HasObject(o) {
			todo = append(todo, o)
			total += cryptSize(o.Size)
		}
	}
	for _, o := range todo {
		if err := fault.Point("offsite/fetch"); err != nil {
			return err
		}
		count := func(n int) {
			if done += int64(n); p != nil {
				p(done, total)
			}
		}
		if err := fetchObject(ctx, place, objectPath(site, o, r.Key), o, identity, sink, count); err != nil {
			return err
		}
	}
	return nil
}

// openRecord reads and opens the record of a copy.
func openRecord(ctx context.Context, place Place, site, backup string, identity Identities) (*record, error) {
	sealed, err := read(ctx, place, recordPath(site, backup), cryptSize(maxRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoCopy, err)
	}
	if err != nil {
		return nil, err
	}
	plain, err := decrypting(bytes.NewReader(sealed), identity)
	if errors.Is(err, ErrWrongKey) {
		if l, lerr := readList(ctx, place, site, backup); lerr == nil {
			return nil, fmt.Errorf("%w: %s", ErrWrongKey, l.Key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the record: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(plain, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("the record: %w", err)
	}
	return parseRecord(data, site, backup)
}

// present says whether all objects are at the place, with their sizes.
func (r *record) present(have map[string]int64) error {
	missing, first := 0, ""
	for _, o := range r.Objects {
		path := objectPath(r.Site, o, r.Key)
		if n, ok := have[path]; !ok || n != cryptSize(o.Size) {
			if missing++; first == "" {
				first = path
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d of %d parts are missing or cut short, such as %s", ErrDamaged, missing, len(r.Objects), first)
	}
	return nil
}

func fetchObject(ctx context.Context, place Place, path string, o Object, identity Identities, sink Sink, count func(int)) error {
	from, err := place.Get(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	plain, err := decrypting(&counter{under{ctx, from}, count}, identity)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	w := &marked{r: newWhole(plain, o, ErrDamaged)}
	err = sink.PutObject(ctx, o, w)
	if w.err != nil { // whatever the sink made of it
		err = w.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type counter struct {
	r     io.Reader
	count func(int)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}
