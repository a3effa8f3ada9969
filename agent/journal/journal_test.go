package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"dhow/agent/change"
)

func open(t *testing.T) (*Journal, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, path
}

func TestChangeAndFactsAreOneTransaction(t *testing.T) {
	j, path := open(t)
	id, err := j.NextID()
	if err != nil {
		t.Fatal(err)
	}
	c := &change.Change{ID: id, Kind: "apply", Steps: []change.StepState{{Name: "a", Status: change.StepDoing}}}
	if err := j.Save(c, map[string]json.RawMessage{"known-good": json.RawMessage(`"1.1.0"`), "ready": nil}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	got, err := j.Change(id)
	if err != nil || got == nil || got.Kind != "apply" || got.Status() != change.Doing {
		t.Fatalf("got %+v, %v", got, err)
	}
	var good string
	if found, err := j.Fact("known-good", &good); !found || err != nil || good != "1.1.0" {
		t.Fatalf("fact %q found %v, %v", good, found, err)
	}
	if found, err := j.Fact("ready", &good); found || err != nil {
		t.Fatalf("deleted fact found %v, %v", found, err)
	}
}

func TestNumbersOnlyGrow(t *testing.T) {
	j, _ := open(t)
	for want := uint64(1); want <= 3; want++ {
		id, err := j.NextID()
		if err != nil || id != want {
			t.Fatalf("id %d, %v; want %d", id, err, want)
		}
		if err := j.Save(&change.Change{ID: id, Kind: "fetch"}, nil); err != nil {
			t.Fatal(err)
		}
		if err := j.Delete(id); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := j.Change(2); c != nil || err != nil {
		t.Fatalf("deleted change: %+v, %v", c, err)
	}
}

func TestChangesNewestFirst(t *testing.T) {
	j, _ := open(t)
	for _, kind := range []string{"fetch", "apply", "fetch", "rollback"} {
		id, err := j.NextID()
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Save(&change.Change{ID: id, Kind: kind}, nil); err != nil {
			t.Fatal(err)
		}
	}
	list, err := j.Changes(func(c *change.Change) bool { return c.Kind != "fetch" })
	if err != nil || len(list) != 2 || list[0].ID != 4 || list[1].ID != 2 {
		t.Fatalf("got %+v, %v", list, err)
	}
}

func TestSecondAgentIsTold(t *testing.T) {
	_, path := open(t)
	_, err := Open(path)
	if !errors.Is(err, ErrLocked) || err.Error() != path+": the journal is in use by another agent" {
		t.Fatalf("got %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	j, path := open(t)
	if err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte{Format + 1}) }); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if !errors.Is(err, ErrNewer) {
		t.Fatalf("got %v", err)
	}
}

func TestDamagedRecordIsAnError(t *testing.T) {
	j, _ := open(t)
	if err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(changesBucket).Put(key(7), []byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Change(7); err == nil || !strings.HasPrefix(err.Error(), "cannot read a change in the journal") {
		t.Fatalf("got %v", err)
	}
}

// bbolt says "file resize error: …" with the cause as words.
func TestRefusalNamesFileAndCause(t *testing.T) {
	for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		err := refusal("/x/journal.db", fmt.Errorf("file resize error: %s", cause.Error()))
		if !errors.Is(err, cause) || err.Error() != "/x/journal.db: file resize error: "+cause.Error() {
			t.Errorf("got %v", err)
		}
	}
	if err := refusal("/x/journal.db", ErrNewer); err != ErrNewer {
		t.Errorf("got %v", err)
	}
}
