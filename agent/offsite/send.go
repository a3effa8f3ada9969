package offsite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"filippo.io/age"

	"dhow/agent/fault"
)

// parcel is one file to be sent: size is that of the encrypted content.
type parcel struct {
	path string
	size int64
	open func() (io.ReadCloser, error)
}

// Send makes a copy of a backup: it sends what the place lacks, encrypted to recipient (age1…), and says how many bytes that were, also
// when it fails. Objects that arrived stay; calling it again goes on behind them. A copy that is whole costs a list and no more.
func Send(ctx context.Context, place Place, site, backup string, src Source, recipient string, p Progress) (sent int64, err error) {
	s := sender{place: place, src: src, progress: p}
	if err := s.send(ctx, site, backup, recipient); err != nil {
		return s.sent, fmt.Errorf("cannot copy backup %s: %w", backup, err)
	}
	return s.sent, nil
}

type sender struct {
	place    Place
	src      Source
	to       age.Recipient
	progress Progress
	sent     int64
	total    int64
}

func (s *sender) send(ctx context.Context, site, backup, recipient string) error {
	if err := checkNames(site, backup); err != nil {
		return err
	}
	to, err := parseRecipient(recipient)
	if err != nil {
		return err
	}
	s.to = to
	objects, err := s.src.Objects(backup)
	if err == nil {
		err = checkObjects(objects)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	r := &record{Format: Format, Site: site, Backup: backup, Key: recipient, Objects: objects}
	if f, ok := s.place.(interface{ tidy(site string) error }); ok {
		if err := f.tidy(site); err != nil {
			return err
		}
	}
	have, err := sizes(ctx, s.place, site)
	if err != nil {
		return err
	}
	plain, err := r.list()
	if err != nil {
		return err
	}
	if err := s.renew(ctx, r, plain, have); err != nil {
		return err
	}
	missing, err := s.lacking(r, plain, have)
	if err != nil {
		return err
	}
	if err := s.fits(); err != nil {
		return err
	}
	for _, m := range missing {
		if err := s.put(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// sizes lists what a site has at a place.
func sizes(ctx context.Context, place Place, site string) (map[string]int64, error) {
	all, err := place.List(ctx, site)
	if err != nil {
		return nil, err
	}
	have := make(map[string]int64, len(all))
	for _, f := range all {
		have[f.Name] = f.Size
	}
	return have, nil
}

// renew takes a copy away whose list does not say what this backup is, because it was made for another key or a bit was flipped: its record
// goes first, so that no record ever stands for objects that are still to come.
func (s *sender) renew(ctx context.Context, r *record, plain []byte, have map[string]int64) error {
	path := listPath(r.Site, r.Backup)
	if have[path] == int64(len(plain)) {
		there, err := read(ctx, s.place, path, maxRecord)
		if err == nil && bytes.Equal(there, plain) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	old := recordPath(r.Site, r.Backup)
	if _, ok := have[old]; ok {
		if err := s.place.Delete(ctx, old); err != nil {
			return err
		}
	}
	delete(have, old)
	delete(have, path)
	return nil
}

// lacking is what to send, in this order: the list, so that Drop knows what belongs to a copy that is under way; the objects; the record.
func (s *sender) lacking(r *record, plain []byte, have map[string]int64) ([]parcel, error) {
	var out []parcel
	want := func(p parcel) {
		if n, ok := have[p.path]; !ok || n != p.size {
			out = append(out, p)
			s.total += p.size
		}
	}
	want(parcel{path: listPath(r.Site, r.Backup), size: int64(len(plain)), open: memory(plain)})
	for _, o := range r.Objects {
		want(parcel{path: objectPath(r.Site, o, r.Key), size: cryptSize(o.Size), open: func() (io.ReadCloser, error) { return s.seal(o) }})
	}
	data, err := r.encode()
	if err != nil {
		return nil, err
	}
	want(parcel{path: recordPath(r.Site, r.Backup), size: cryptSize(int64(len(data))), open: func() (io.ReadCloser, error) {
		return encrypting(bytes.NewReader(data), s.to), nil
	}})
	return out, nil
}

func memory(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// seal opens an object of the backup, encrypted, and proves while it is read that it is what it was.
func (s *sender) seal(o Object) (io.ReadCloser, error) {
	from, err := s.src.OpenObject(o.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	out := encrypting(newWhole(own{from}, o, ErrSource), s.to)
	return &limited{Reader: out, Closer: both{out, from}}, nil
}

// own marks errors of the source, which must not be taken for those of the place.
type own struct{ r io.Reader }

func (o own) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrSource, err)
	}
	return n, err
}

// both closes one after the other.
type both [2]io.Closer

func (b both) Close() error { return errors.Join(b[0].Close(), b[1].Close()) }

// fits asks a folder for its room before anything is written.
func (s *sender) fits() error {
	f, ok := s.place.(interface{ room() (int64, bool) })
	if !ok || s.total == 0 {
		return nil
	}
	if n, ok := f.room(); ok && n < s.total {
		return fmt.Errorf("%w: %d MB are needed and %d MB are free", ErrFull, s.total/1_000_000+1, n/1_000_000)
	}
	return nil
}

func (s *sender) put(ctx context.Context, p parcel) error {
	if err := fault.Point("offsite/send"); err != nil {
		return err
	}
	r, err := p.open()
	if err != nil {
		return err
	}
	m := &meter{r: r, s: s, before: s.sent}
	err = s.place.Put(ctx, p.path, p.size, m)
	if cerr := r.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err == nil && m.err != nil {
		err = m.err
	}
	if errors.Is(m.err, ErrSource) { // whatever the place made of it
		err = m.err
	}
	if err != nil {
		return err
	}
	return fault.Point("offsite/sent")
}

// meter counts what goes to the place.
type meter struct {
	r      io.Reader
	s      *sender
	before int64
	err    error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	m.s.sent += int64(n)
	if m.s.progress != nil && n > 0 {
		m.s.progress(m.s.sent, m.s.total)
	}
	return n, err
}
