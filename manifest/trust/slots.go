package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dhow/bundle/durable"
	"dhow/manifest"
)

const (
	slotFormat = 1
	maxSlot    = 128 << 20
)

// slots keeps one value in two files. save overwrites the older one, so that a damaged file costs one step and not everything.
type slots struct {
	dir        string
	generation uint64 // of the newest valid slot; 0 when there is none
	next       int    // the slot that save writes
}

func (s *slots) path(n int) string { return filepath.Join(s.dir, fmt.Sprintf("state-%d", n)) }

// load returns the newest valid value, nil when nothing was ever saved, and ErrDamaged when there are slots and none is valid.
func (s *slots) load() ([]byte, error) {
	var newest []byte
	var damaged error
	s.generation, s.next = 0, 0
	for n := range 2 {
		data, err := readFile(s.path(n), maxSlot)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			// A disk that can't be read now may be readable later: do not fall back to older state.
			return nil, fmt.Errorf("cannot read the trust state: %w", err)
		}
		var generation uint64
		var value []byte
		if err == nil {
			generation, value, err = decodeSlot(data)
		}
		switch {
		case errors.Is(err, manifest.ErrNewer):
			return nil, fmt.Errorf("cannot read %s: %w", s.path(n), err)
		case err != nil:
			damaged = errors.Join(damaged, fmt.Errorf("%s: %w", s.path(n), err))
		case generation > s.generation:
			s.generation, s.next, newest = generation, 1-n, value
		}
	}
	if newest == nil && damaged != nil {
		return nil, fmt.Errorf("the trust state of this site is lost: %w", damaged)
	}
	return newest, nil
}

func (s *slots) save(value []byte) error {
	if err := durable.WriteFile(s.path(s.next), encodeSlot(s.generation+1, value), 0o600); err != nil {
		return fmt.Errorf("cannot save the trust state: %w", err)
	}
	s.generation, s.next = s.generation+1, 1-s.next
	return nil
}

// begin saves the state of a site that knows a chain of roots and nothing else.
func (s *slots) begin(roots ...[]byte) error {
	begun := state{Root: roots[len(roots)-1]}
	if len(roots) > 2 {
		begun.Between = roots[1 : len(roots)-1]
	}
	value, err := json.Marshal(begun)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return s.save(value)
}

func encodeSlot(generation uint64, value []byte) []byte {
	head := fmt.Sprintf("dhow-trust %d %d %x %d\n", slotFormat, generation, sha256.Sum256(value), len(value))
	return append([]byte(head), value...)
}

// decodeSlot is strict: the first line must be exactly what encodeSlot would write for this value.
func decodeSlot(data []byte) (uint64, []byte, error) {
	head, value, _ := bytes.Cut(data, []byte("\n"))
	var format int
	var generation uint64
	if _, err := fmt.Sscanf(string(head), "dhow-trust %d %d ", &format, &generation); err != nil || generation == 0 {
		return 0, nil, fmt.Errorf("%w: no state begins here", ErrDamaged)
	}
	if format > slotFormat {
		return 0, nil, fmt.Errorf("%w: state format %d", manifest.ErrNewer, format)
	}
	if !bytes.Equal(encodeSlot(generation, value), data) {
		return 0, nil, fmt.Errorf("%w: the checksum is wrong", ErrDamaged)
	}
	return generation, value, nil
}

// readFile reads a file of at most limit bytes; a longer one is ErrDamaged.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is %w: longer than %d bytes", path, ErrDamaged, limit)
	}
	return data, nil
}
