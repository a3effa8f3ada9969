package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"dhow/bundle/durable"
)

const (
	recordSuffix = ".json"
	maxRecord    = 64 << 20
)

// envelope is a record's file: the record, and the SHA-256 (hex) of its bytes as they stand there.
type envelope struct {
	SHA256 string          `json:"sha256"`
	Record json.RawMessage `json:"record"`
}

func encodeRecord(r *Record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(envelope{digest(sha256.Sum256(body)).String(), body})
	return append(data, '\n'), err
}

// decodeRecord reads and checks a record that stands under name.
func decodeRecord(name string, data []byte) (*Record, error) {
	if len(data) > maxRecord {
		return nil, damaged("its record is larger than %d bytes", maxRecord)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, damaged("its record cannot be read")
	}
	var of struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(e.Record, &of) == nil && of.Format > Format && digest(sha256.Sum256(e.Record)).String() == e.SHA256 {
		return nil, fmt.Errorf("%w (its format is %d, this dhow reads up to %d)", ErrNewer, of.Format, Format)
	}
	var r Record
	if digest(sha256.Sum256(e.Record)).String() != e.SHA256 || json.Unmarshal(e.Record, &r) != nil {
		return nil, damaged("its record is not what was written")
	}
	if err := r.check(name); err != nil {
		return nil, damaged("its record: %v", err)
	}
	return &r, nil
}

func (r *Record) check(name string) error {
	var trees, files []string
	for _, t := range r.Trees {
		if t.Files < 0 || t.Bytes < 0 {
			return fmt.Errorf("volume %q has a bad size", t.Name)
		}
		trees = append(trees, t.Name)
	}
	for _, f := range r.Files {
		if _, err := parseDigest(f.SHA256); err != nil || f.Bytes < 0 {
			return fmt.Errorf("file %q has a bad size or checksum", f.Name)
		}
		files = append(files, f.Name)
	}
	if r.Format != Format {
		return errors.New("it has no format")
	}
	if r.Name != name {
		return fmt.Errorf("it is that of %q", r.Name)
	}
	return errors.Join(checkParts("volume", trees), checkParts("file", files))
}

func (a *Archive) recordPath(name string) string { return a.path(recordsDir, name+recordSuffix) }
func (a *Archive) markPath(name string) string   { return a.path(verifiedDir, name+recordSuffix) }

// Read reads the record of a backup; see Verify for the rest of it.
func (a *Archive) Read(name string) (*Record, error) {
	r, err := a.read(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read backup %s: %w", name, err)
	}
	return r, nil
}

func (a *Archive) read(name string) (*Record, error) {
	if err := checkName("backup", name); err != nil {
		return nil, err
	}
	data, err := readSmall(a.recordPath(name), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(name, data)
	if err != nil {
		return nil, err
	}
	if data, err = readSmall(a.markPath(name), 1<<16); err == nil {
		var v Verified
		if json.Unmarshal(data, &v) == nil && !v.When.IsZero() { // a note that can't be read is none
			r.Verified = &v
		}
	}
	return r, nil
}

func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// List returns the records of all backups, the newest first. One that cannot be read is listed last with its Name and Problem.
func (a *Archive) List() ([]Record, error) {
	names, err := os.ReadDir(a.path(recordsDir))
	if err != nil {
		return nil, fmt.Errorf("cannot list backups: %w", err)
	}
	var list []Record
	for _, d := range names {
		name, ok := strings.CutSuffix(d.Name(), recordSuffix)
		if !ok || strings.HasPrefix(name, durable.TempPrefix) {
			continue
		}
		r, err := a.read(name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			r = &Record{Name: name, Problem: err}
		}
		list = append(list, *r)
	}
	slices.SortStableFunc(list, func(a, b Record) int {
		if (a.Problem == nil) != (b.Problem == nil) {
			if a.Problem == nil {
				return -1
			}
			return 1
		}
		if c := b.Made.Compare(a.Made); c != 0 {
			return c
		}
		return strings.Compare(b.Name, a.Name)
	})
	return list, nil
}

// putRecord writes a record, last of all its parts, and reads it back.
func (a *Archive) putRecord(name string, data []byte) error {
	if err := point("archive/record-write"); err != nil {
		return err
	}
	path := a.recordPath(name)
	err := durable.Write(path, 0o600, func(w io.Writer) error {
		if _, err := w.Write(data); err != nil {
			return err
		}
		f, ok := w.(*os.File)
		if !ok {
			return errors.New("internal error: a record is not written to a file")
		}
		if err := f.Sync(); err != nil {
			return err
		}
		forget(f)
		back, err := readSmall(f.Name(), maxRecord)
		if err != nil {
			return err
		}
		if !bytes.Equal(back, data) {
			return errors.New("the disk did not keep what was written")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return point("archive/record-placed")
}

// MarkVerified notes that all of a backup was read and found right, by what means ("read back", "drill").
func (a *Archive) MarkVerified(name string, when time.Time, how string) error {
	if err := a.markVerified(name, Verified{when, how}); err != nil {
		return fmt.Errorf("cannot note that backup %s is verified: %w", name, err)
	}
	return nil
}

func (a *Archive) markVerified(name string, v Verified) error {
	l, err := lock(a.path(lockName), false)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := a.read(name); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := point("archive/mark-verified"); err != nil {
		return err
	}
	return durable.WriteFile(a.markPath(name), data, 0o600)
}

// begin locks the archive, for changes alone, and reads its catalog.
func (a *Archive) begin(alone bool) (c *catalog, end func(), err error) {
	l, err := lock(a.path(lockName), alone)
	if err != nil {
		return nil, nil, err
	}
	if alone {
		for _, sub := range []string{packsDir, recordsDir, indexDir, damagedDir, verifiedDir} {
			if err := durable.Clean(a.path(sub)); err != nil {
				_ = l.Close()
				return nil, nil, err
			}
		}
	}
	if c, err = a.catalog(); err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return c, func() {
		c.close()
		_ = l.Close()
	}, nil
}
