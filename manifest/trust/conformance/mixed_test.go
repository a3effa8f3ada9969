package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A signed snapshot is no timestamp, even where it is signed by the timestamp's key and looks like one.
func TestSnapshotAsTimestamp(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.addKey("root", "snapshot", r.keys["timestamp"][0])
	r.signed["snapshot"]["meta"] = object{"snapshot.json": object{"version": 1}}
	r.publish("root", "snapshot")
	r.public["timestamp"] = append(r.public["timestamp"], r.newest("snapshot"))
	c.refused("it is a document of the kind snapshot, not timestamp")
	c.trusts("root 2")
}

// Where names carry no versions, the newest is taken; a repository may change from one way to the other.
func TestConsistentSnapshots(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.signed["root"]["consistent_snapshot"] = false
	r.add("targets", "dir/a file.txt", []byte("one"))
	r.delegate("targets", "?", object{"paths": []string{"dir/*"}})
	r.add("?", "dir/b", []byte("two"))
	r.publish("?")
	r.publishTop()
	c := newClient(t, r)
	if code := c.download("dir/a file.txt", "dir/b"); code != 0 {
		t.Fatal(c.said)
	}
	c.asked("root 2", "root 3", "timestamp -", "snapshot -", "targets -", "%3F -")
	c.has("one", "two")
	if got := fmt.Sprint(r.fetched); got != "[dir/a file.txt dir/b]" {
		t.Errorf("fetched %s", got)
	}

	r.signed["root"]["consistent_snapshot"] = true
	r.add("targets", "dir/a file.txt", []byte("three"))
	r.publish("?")
	r.publishTop()
	if code := c.download("dir/a file.txt"); code != 0 {
		t.Fatal(c.said)
	}
	c.asked("root 3", "root 4", "timestamp -", "snapshot 3", "targets 3")
	c.has("two", "three")

	r.signed["root"]["consistent_snapshot"] = false
	r.publishTop()
	c.good()
	c.asked("root 4", "root 5", "timestamp -", "snapshot -", "targets -")
	// A mixture of moments is refused where names do not tell them apart.
	r.publish("targets", "snapshot", "timestamp")
	r.publish("targets")
	c.refused("the snapshot names version 5, this is 6")
}

func TestDamagedFilesOnDisk(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.delegate("targets", "a", object{"paths": []string{"*"}})
	r.publishLists("a")
	c := newClient(t, r)
	_ = c.download("x")
	for _, role := range []string{"timestamp", "snapshot", "targets", "a"} {
		if err := os.WriteFile(filepath.Join(c.metadata, role+".json"), []byte(`{"signed":{"_type":"`+role+`"},"signatures":[null]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.requests()
	_ = c.download("x")
	c.asked("root 2", "timestamp -", "snapshot 2", "targets 2", "a 1")
	c.trusts("a 1, root 1, snapshot 2, targets 2, timestamp 2")
}

func (c *client) requests() { c.r.requests() }
