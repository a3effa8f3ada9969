package main

import "testing"

func TestTimestampRollback(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.publish("timestamp")
	c.good()
	r.again("timestamp")
	r.publish("timestamp")
	c.refused("older than what this site has already seen (timestamp 1 < 2)")
	c.askedLast("timestamp -")
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
}

func TestSnapshotRollback(t *testing.T) {
	t.Parallel()
	for _, hashes := range []bool{false, true} {
		r := newRepository(t)
		r.hashes = hashes
		c := newClient(t, r)
		r.publish("snapshot", "timestamp")
		c.good()
		r.again("snapshot")
		r.publish("snapshot", "timestamp")
		c.refused("(snapshot 1 < 2)")
		c.askedLast("timestamp -")
		c.trusts("root 1, snapshot 2, targets 1, timestamp 2")
	}
}

func TestTargetsRollback(t *testing.T) {
	t.Parallel()
	for _, hashes := range []bool{false, true} {
		r := newRepository(t)
		r.hashes = hashes
		c := newClient(t, r)
		r.publishLists()
		c.good()
		r.again("targets")
		r.publishLists()
		c.refused("(manifest 1 < 2)")
		c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
	}
}

func TestDelegatedRollback(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.delegate("targets", "a", object{"paths": []string{"*"}})
	r.publish("a")
	r.publishLists("a")
	c := newClient(t, r)
	c.good()
	r.again("a")
	r.publishLists("a")
	c.refused(`"a.json" is older than what this site has already seen (1 < 2)`)
	c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
}

// A role can't disappear, but together with the key of the snapshot.
func TestRoleRemoved(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.delegate("targets", "a", object{"paths": []string{"a/*"}})
	r.publishLists("a")
	c := newClient(t, r)
	c.good()
	delete(r.signed["snapshot"]["meta"].(object), "a.json")
	r.publish("snapshot", "timestamp")
	c.refused("missing info for a.json")
	c.trusts("root 1, snapshot 2, targets 2, timestamp 3")
	r.rotate("snapshot")
	r.publish("root", "snapshot", "timestamp")
	c.good()
	c.trusts("root 2, snapshot 4, targets 2, timestamp 4")
}

// Who held a stolen key may have counted far ahead. New keys end that.
func TestFastForwardRecovery(t *testing.T) {
	t.Parallel()
	for role, rotated := range map[string][]string{
		"timestamp": {"timestamp"}, "snapshot": {"snapshot", "timestamp"}, "targets": {"snapshot"},
	} {
		r := newRepository(t)
		c := newClient(t, r)
		for range 99 {
			r.publish(role)
		}
		r.publish("snapshot", "timestamp")
		c.good()
		for _, other := range rotated {
			r.rotate(other)
		}
		r.again(role)
		r.publish("root", "targets", "snapshot", "timestamp")
		c.good()
		if got := string(c.disk(role)); got != string(r.newest(role)) {
			t.Errorf("%s is not what the new keys signed", role)
		}
	}
}

// A frozen source shows the same for ever, until it expires; a mixture takes documents of two moments.
func TestFrozenAndMixed(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.signed["timestamp"]["expires"] = stamp(later(3))
	r.publish("timestamp")
	c := newClient(t, r)
	c.good()
	c.at(later(4))
	c.refused("the manifest expired on")

	for _, hashes := range []bool{false, true} {
		r = newRepository(t)
		r.hashes = hashes
		c = newClient(t, r)
		r.publishLists()
		r.publishLists()
		r.public["snapshot"][2] = r.public["snapshot"][1]
		if c.refresh() == 0 {
			t.Error("an old snapshot was accepted")
		}
		c.trusts("root 1, timestamp 3")
		r.publishLists()
		r.public["targets"][3] = r.public["targets"][1]
		if c.refresh() == 0 {
			t.Error("an old list was accepted")
		}
		c.trusts("root 1, snapshot 4, timestamp 4")
	}
}
