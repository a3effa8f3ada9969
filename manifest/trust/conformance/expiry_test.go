package main

import "testing"

func TestClockCommand(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.signed["root"]["expires"] = stamp(later(7))
	r.publish("root")
	c.good()
	c.at(later(8))
	c.refused("the fleet's root expired on")
	c.at(later(6))
	c.good()
}

// An expired document is not kept, but for the root: it is kept, and nothing after it.
func TestExpired(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]string{
		"root":      "root 2, snapshot 1, targets 1, timestamp 1",
		"timestamp": "root 2, snapshot 1, targets 1, timestamp 1",
		"snapshot":  "root 2, snapshot 1, targets 1, timestamp 2",
		"targets":   "root 2, snapshot 2, targets 1, timestamp 2",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c := newClient(t, r)
			c.good()
			r.signed[role]["expires"] = stamp(later(-1))
			r.publishTop()
			c.refused("expired on")
			c.trusts(want)
			r.signed[role]["expires"] = stamp(later(30))
			r.publishTop()
			c.good()
			c.trusts("root 3, snapshot 3, targets 3, timestamp 3")
		})
	}
}

func TestExpiredOnDisk(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"timestamp", "snapshot", "targets"} {
		r := newRepository(t)
		c := newClient(t, r)
		r.signed[role]["expires"] = stamp(later(7))
		r.publishLists()
		c.good()
		c.trusts("root 1, snapshot 2, targets 2, timestamp 2")
		c.at(later(18))
		c.refused("expired on") // the source has nothing newer
		r.signed[role]["expires"] = stamp(later(21))
		r.publishLists()
		c.good()
		c.trusts("root 1, snapshot 3, targets 3, timestamp 3")
		// What is expired still counts against going back.
		c.at(later(28))
		r.again(role)
		r.signed[role]["expires"] = stamp(later(40))
		r.publish(role)
		if role != "timestamp" {
			r.publish("timestamp")
		}
		if role == "targets" {
			r.publish("snapshot", "timestamp")
		}
		c.refused("older than what this site has already seen")
	}
}

func TestExpiredDelegation(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.delegate("targets", "a", object{"paths": []string{"a/*"}})
	r.signed["a"]["expires"] = stamp(later(-1))
	r.add("a", "a/one", []byte("one"))
	r.publishLists("a")
	c := newClient(t, r)
	c.good()
	if c.download("a/one") == 0 {
		t.Error("an expired list was believed")
	}
	c.has()
	c.trusts("root 1, snapshot 2, targets 2, timestamp 2")

	r.signed["a"]["expires"] = stamp(later(7))
	r.add("a", "a/two", []byte("two"))
	r.publishLists("a")
	if c.download("a/one") != 0 {
		t.Error(c.said)
	}
	c.trusts("a 2, root 1, snapshot 3, targets 3, timestamp 3")
	c.at(later(18))
	if c.download("a/two") == 0 {
		t.Error("a list was believed after it had expired")
	}
	c.has("one")
	r.signed["a"]["expires"] = stamp(later(21))
	r.publish("a", "snapshot", "timestamp")
	if c.download("a/two") != 0 {
		t.Error(c.said)
	}
	c.has("one", "two")
	c.trusts("a 3, root 1, snapshot 4, targets 3, timestamp 4")
}
