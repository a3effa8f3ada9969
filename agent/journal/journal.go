// Package journal keeps what a site has done and is doing, in one bbolt file that only the agent opens.
//
// Buckets: "meta" holds the format number; "changes" the records of package change as JSON under their number (eight bytes, big endian);
// "facts" what is true of this site now, as JSON under names that package update and the wiring of the agent define. Every method that writes is one
// transaction, on disk when it returns. A file with a newer format is refused. No format may be raised
// while the agent's program is on probation, as the one before may have to come back and read it: see package self.
//
// A power cut leaves all of a transaction or nothing: tried with package crash, where whatever was not synced may be lost, torn at 512 bytes or
// reordered. bbolt holds that because it syncs a transaction's pages before it writes the page of 4 KiB that makes them valid, whose 80 bytes in
// use stand in one sector and have a checksum, and because a second such page keeps the state before. It does not hold it for a new file, which is
// therefore made under another name, nor against a disk that loses what it said was flushed.
package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"dhow/agent/change"
	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// Format is the newest format that this code reads and the one that it writes.
const Format = 1

// Errors of Open.
var (
	ErrLocked = errors.New("the journal is in use by another agent")
	ErrNewer  = errors.New("the journal was written by a newer version of dhow")
)

var (
	metaBucket    = []byte("meta")
	changesBucket = []byte("changes")
	factsBucket   = []byte("facts")
	formatKey     = []byte("format")
)

// Journal is an open journal.
type Journal struct{ db *bolt.DB }

// Open opens the journal at path and makes it when it isn't there. Who makes it holds the lock of the site.
func Open(path string) (*Journal, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("cannot make the journal %s: %w", path, err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal %s: %w", path, err)
	}
	j := &Journal{db: db}
	if err := j.prepare(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return j, nil
}

// create puts an empty journal in place when there is none. bbolt would write its first pages in place, where a power cut leaves a part
// of them, which no later start could open.
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), durable.TempPrefix+filepath.Base(path))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(tmp, 0o600, nil)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	return durable.Rename(tmp, path)
}

// reserve is how large a new journal is made, in bytes. bbolt writes its pages anew all the time; what it finds free inside the file it can
// write although the disk is full, and an update that is under way comes to its end.
const reserve = 4 << 20

// fill makes a file as large as the reserve with zeros that are on the disk.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, max(0, reserve-info.Size()))); err != nil {
		return err
	}
	return f.Sync()
}

func (j *Journal) prepare(path string) error {
	err := j.update("open", func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		if v := meta.Get(formatKey); v == nil {
			if err := meta.Put(formatKey, []byte{Format}); err != nil {
				return err
			}
		} else if v[0] > Format {
			return fmt.Errorf("%s: %w (format %d, this one reads %d)", path, ErrNewer, v[0], Format)
		}
		for _, name := range [][]byte{changesBucket, factsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// update is one transaction, on disk when it returns.
func (j *Journal) update(what string, do func(*bolt.Tx) error) error {
	if err := fault.Point("journal/" + what + "/before"); err != nil {
		return err
	}
	if err := j.db.Update(do); err != nil {
		return refusal(j.db.Path(), err)
	}
	return fault.Point("journal/" + what + "/after")
}

// refused is an error of the disk. bbolt keeps the cause of some as words only, and does not always name the file.
type refused struct {
	path       string
	err, cause error
}

func (r *refused) Error() string   { return r.path + ": " + r.err.Error() }
func (r *refused) Unwrap() []error { return []error{r.err, r.cause} }

func refusal(path string, err error) error {
	for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
		if errors.Is(err, cause) || strings.Contains(err.Error(), cause.Error()) {
			return &refused{path, err, cause}
		}
	}
	return err
}

// Close releases the file.
func (j *Journal) Close() error { return j.db.Close() }

// NextID returns a number for a new change: greater than all before it, also of those that were deleted.
func (j *Journal) NextID() (id uint64, err error) {
	err = j.update("number", func(tx *bolt.Tx) error {
		id, err = tx.Bucket(changesBucket).NextSequence()
		return err
	})
	return id, err
}

// Save writes a change together with facts; a nil fact is deleted.
func (j *Journal) Save(c *change.Change, facts map[string]json.RawMessage) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return j.update("save", func(tx *bolt.Tx) error {
		if err := putFacts(tx, facts); err != nil {
			return err
		}
		return tx.Bucket(changesBucket).Put(key(c.ID), data)
	})
}

// SetFact writes one fact; nil deletes it.
func (j *Journal) SetFact(name string, v any) error {
	facts := map[string]json.RawMessage{name: nil}
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		facts[name] = data
	}
	return j.update("fact", func(tx *bolt.Tx) error { return putFacts(tx, facts) })
}

func putFacts(tx *bolt.Tx, facts map[string]json.RawMessage) error {
	b := tx.Bucket(factsBucket)
	for name, data := range facts {
		var err error
		if data == nil {
			err = b.Delete([]byte(name))
		} else {
			err = b.Put([]byte(name), data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Fact reads a fact into v and reports whether it is there.
func (j *Journal) Fact(name string, v any) (found bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		data := tx.Bucket(factsBucket).Get([]byte(name))
		if data == nil {
			return nil
		}
		found = true
		if err := json.Unmarshal(data, v); err != nil {
			return fmt.Errorf("cannot read %s in the journal: %w", name, err)
		}
		return nil
	})
	return found, err
}

// Change returns the change with a number, or nil.
func (j *Journal) Change(id uint64) (c *change.Change, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		data := tx.Bucket(changesBucket).Get(key(id))
		if data == nil {
			return nil
		}
		c, err = decode(data)
		return err
	})
	return c, err
}

// Changes returns the changes for which keep says so, newest first.
func (j *Journal) Changes(keep func(*change.Change) bool) (list []*change.Change, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(changesBucket).Cursor()
		for k, data := cursor.Last(); k != nil; k, data = cursor.Prev() {
			c, err := decode(data)
			if err != nil {
				return err
			}
			if keep(c) {
				list = append(list, c)
			}
		}
		return nil
	})
	return list, err
}

// Delete removes changes that nobody needs to remember, such as polls that found nothing.
func (j *Journal) Delete(ids ...uint64) error {
	return j.update("delete", func(tx *bolt.Tx) error {
		for _, id := range ids {
			if err := tx.Bucket(changesBucket).Delete(key(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

func key(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func decode(data []byte) (*change.Change, error) {
	c := new(change.Change)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("cannot read a change in the journal: %w", err)
	}
	return c, nil
}
