package bundle

import (
	"errors"
	"io"
	"os"

	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// checked is a file of the store that unpacked to a layer when it was last read or written.
type checked struct {
	diffID   digest.Digest
	diffSize int64
	file     os.FileInfo
}

// remember notes, for as long as this process lives, that the file of l's blob unpacks to l.
func (s *Store) remember(l manifest.Layer) {
	path, err := s.path(l.Digest)
	if err != nil {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked[l.Digest] = checked{l.DiffID, l.DiffSize, info}
}

// itself is a blob as the plain layer that it may be.
func itself(b manifest.Blob) manifest.Layer {
	return manifest.Layer{Blob: b, DiffID: b.Digest, DiffSize: b.Size}
}

func (s *Store) forget(d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.checked, d)
}

// isChecked reports whether the file from which OpenLayer would read l unpacked to l before, and is still the same.
func (s *Store) isChecked(l manifest.Layer) bool {
	form := l.Blob
	if p := plain(l); s.Has(p) {
		form = p
	}
	s.mu.Lock()
	c, ok := s.checked[form.Digest]
	s.mu.Unlock()
	if !ok || c.diffID != l.DiffID || c.diffSize != l.DiffSize {
		return false
	}
	path, err := s.path(form.Digest)
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(now, c.file) && now.Size() == c.file.Size() && now.ModTime().Equal(c.file.ModTime())
}

// unpacking unpacks a layer while it is being written, and compares it with what it should be.
type unpacking struct {
	layer manifest.Layer
	store *Store
	w     *io.PipeWriter
	err   chan error
}

// errBrokenOff is what the unpacking reads of a layer that is not stored in one go.
var errBrokenOff = errors.New("broken off")

// unpackBeside begins to unpack a layer; nil while another one is being unpacked so: each may take the memory of a decoder.
func (s *Store) unpackBeside(l manifest.Layer) *unpacking {
	if !s.beside.TryLock() {
		return nil
	}
	r, w := io.Pipe()
	u := &unpacking{layer: l, store: s, w: w, err: make(chan error, 1)}
	go func() {
		ahead := readAhead(r)
		err := discardLayer(l, ahead)
		_ = r.CloseWithError(errBrokenOff) // in this order: what is read ahead waits for the writer
		_ = ahead.Close()
		u.err <- err
	}()
	return u
}

// discardLayer reads what l is carried as, unpacks it and compares it with l.
func discardLayer(l manifest.Layer, r io.Reader) error {
	z, _, err := Unpack(r)
	if err != nil {
		return err
	}
	unpacked := readAhead(z)
	_, err = io.Copy(io.Discard, &layerReader{layer: l, r: unpacked, hash: digest.SHA256.Digester()})
	return errors.Join(err, unpacked.Close(), z.Close())
}

// write hands on what is written. A layer that turns out to be wrong is refused when it is verified, with the reason.
func (u *unpacking) write(p []byte) {
	if u != nil {
		_, _ = u.w.Write(p)
	}
}

// written says that the last byte has been written; what is left is unpacked while the disk is busy.
func (u *unpacking) written() {
	if u != nil {
		_ = u.w.Close()
	}
}

// end returns what is wrong with the layer, which is all written, or broken off for a reason.
func (u *unpacking) end(reason error) error {
	_ = u.w.CloseWithError(reason)
	err := <-u.err
	u.store.beside.Unlock()
	return err
}
