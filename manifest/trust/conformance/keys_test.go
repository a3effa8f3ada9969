package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func TestThresholds(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.role("root", "snapshot")["threshold"] = 3
	for range 2 {
		r.addKey("root", "snapshot", newKey(t, "ecdsa"))
	}
	r.publishTop()
	c := newClient(t, r)
	c.good()
	all := r.keys["snapshot"]
	r.keys["snapshot"] = all[:2]
	r.publishLists()
	c.refused("not signed by the fleet's keys")
	c.trusts("root 2, snapshot 2, targets 2, timestamp 3")
	r.keys["snapshot"] = all
	r.publishLists()
	c.good()
	c.trusts("root 2, snapshot 4, targets 4, timestamp 4")
}

// A role that too few keys can sign: the root is good, and nothing can be signed for the role.
func TestTooFewKeys(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	for range 4 {
		r.addKey("root", "snapshot", newKey(t, "ecdsa"))
	}
	r.role("root", "snapshot")["threshold"] = 6
	r.publish("root", "snapshot", "timestamp")
	c.refused("it has 5 of the 6 signatures that root 2 asks for")
	c.trusts("root 2, timestamp 2")
}

// One key counts once, by whatever names and however often it signs.
func TestOneKeyManyTimes(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	k := newKey(t, "ecdsa")
	for range 9 {
		r.name("root", "snapshot", k)
	}
	r.keys["snapshot"] = append(r.keys["snapshot"], k)
	r.role("root", "snapshot")["threshold"] = 6
	r.publish("root", "snapshot", "timestamp")
	once := r.newest("snapshot")
	r.edit("snapshot", func(d object) {
		sigs := d["signatures"].([]any)
		for range 8 {
			sigs = append(sigs, sigs[1])
		}
		d["signatures"] = sigs
	})
	c.refused("multiple signatures found")
	r.public["snapshot"][1] = once
	c.refused("it has 2 of the 6 signatures")
	c.trusts("root 2, timestamp 2")

	// The same key under two ids.
	r = newRepository(t)
	c = newClient(t, r)
	twin := r.keys["snapshot"][0]
	twin.public = object{"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": twin.public["keyval"], "x": 1}
	twin.id = keyID(t, twin.public)
	r.addKey("root", "snapshot", twin)
	r.role("root", "snapshot")["threshold"] = 2
	r.publishTop()
	c.refused("it has 1 of the 2 signatures")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa", "ecdsa-sha2-nistp256", "rsa"} {
		r := newRepository(t)
		c := newClient(t, r)
		k := newKey(t, kind)
		r.addKey("root", "root", k)
		r.role("root", "root")["threshold"] = 2
		for _, role := range []string{"timestamp", "snapshot", "targets"} {
			r.setKeys(role, 1, []key{k}, []key{k})
		}
		r.publishTop()
		c.good()
		c.trusts("root 2, snapshot 2, targets 2, timestamp 2")
		// A signature of the same shape over other bytes.
		r.publish("root")
		r.edit("root", func(d object) {
			d["signatures"].([]any)[1].(object)["sig"] = hex.EncodeToString(k.sign(t, []byte("something else")))
		})
		c.refused("not signed by the fleet's keys")
		c.trusts("root 2, snapshot 2, targets 2, timestamp 2")
	}
}

// A key that is named and can't be used does no harm where it is not needed.
func TestKeyOfAnUnknownKind(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	strange := object{"keytype": "sphincs", "scheme": "sphincs-shake-128s", "keyval": object{"public": "00"}}
	r.signed["root"]["keys"].(object)[keyID(t, strange)] = strange
	r.name("root", "targets", newKey(t, "rsa/rsa-pkcs1v15-sha256"))
	r.publishTop()
	c.good()
	c.trusts("root 2, snapshot 2, targets 2, timestamp 2")
}

// Keys that would make a crypto library panic are refused before they are used.
func TestBrokenKeys(t *testing.T) {
	t.Parallel()
	for kind, public := range map[string]string{"ed25519": "abcd", "ecdsa": "no PEM", "rsa": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"} {
		r := newRepository(t)
		c := newClient(t, r)
		k := newKey(t, kind)
		k.public["keyval"] = object{"public": public}
		r.addKey("root", "timestamp", k)
		r.publishTop()
		c.refused("it is not an " + kind + " key")
		c.trusts("root 1")

		r = newRepository(t)
		c = newClient(t, r)
		r.delegate("targets", "a", object{"paths": []string{"*"}})
		r.addKey("targets", "a", k)
		r.publishLists("a")
		c.refused("it is not an " + kind + " key")
	}
}

// Enough good signatures are enough, whatever else stands beside them.
func TestBadSignatureBesideAGoodOne(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.addKey("root", "timestamp", newKey(t, "ecdsa"))
	r.publish("root", "timestamp")
	other := hex.EncodeToString(r.keys["timestamp"][0].sign(t, []byte("something else")))
	for i, sig := range []string{other, "", "00"} {
		r.publish("timestamp")
		r.edit("timestamp", func(d object) { d["signatures"].([]any)[0].(object)["sig"] = sig })
		c.good()
		c.trusts(fmt.Sprintf("root 2, snapshot 1, targets 1, timestamp %d", i+3))
	}
}

// release is a version of a role: the numbers of the keys that the root names, how many must sign, and which do.
type release struct {
	named     []int
	threshold int
	signed    []int
}

func TestRootRotation(t *testing.T) {
	t.Parallel()
	five := []int{0, 1, 2, 3, 4}
	for name, versions := range map[string][]release{
		"one key":                       {{[]int{1}, 1, []int{1}}, {[]int{2}, 1, []int{2, 1}}, {[]int{2}, 1, []int{2}}},
		"signatures of strangers":       {{[]int{1}, 1, []int{3, 1, 4}}, {[]int{2}, 1, []int{3, 2, 1, 4}}, {[]int{2}, 1, []int{3, 2, 4}}},
		"other signers of the same":     {{five, 3, []int{0, 2, 4}}, {five, 3, []int{0, 4, 1}}, {five, 3, []int{0, 1, 3}}, {five, 3, []int{0, 1, 3}}},
		"one of five":                   {{five, 3, []int{0, 2, 4}}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 1}}},
		"one of five with a step":       {{five, 3, []int{0, 2, 4}}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4, 5}}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 5}}},
		"all of five with a step":       {{five, 3, []int{0, 2, 4}}, {[]int{5, 6, 7, 8, 9}, 3, []int{0, 2, 4, 5, 6, 7}}, {[]int{5, 6, 7, 8, 9}, 3, []int{5, 6, 7}}},
		"threshold up":                  {{[]int{1, 2, 3}, 1, []int{1}}, {[]int{1, 2, 3}, 2, []int{1, 2}}},
		"threshold down":                {{[]int{1, 2, 3}, 2, []int{1, 2}}, {[]int{1, 2, 3}, 1, []int{1, 2}}, {[]int{1, 2, 3}, 1, []int{1}}},
		"threshold up with a key":       {{[]int{1}, 1, []int{1}}, {[]int{1, 2}, 2, []int{1, 2}}},
		"BAD old key did not sign":      {{[]int{1}, 1, []int{1}}, {[]int{2}, 1, []int{2, 3, 4}}},
		"BAD new key did not sign":      {{[]int{1}, 1, []int{1}}, {[]int{2}, 1, []int{1, 3, 4}}},
		"BAD too few of the new keys":   {{five, 3, []int{0, 2, 4}}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4}}},
		"BAD too few of the old keys":   {{five, 3, []int{0, 2, 4}}, {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4, 5}}},
		"BAD new threshold not reached": {{[]int{1, 2, 3}, 1, []int{1}}, {[]int{1, 2, 3}, 2, []int{2}}},
		"BAD old threshold not reached": {{[]int{1, 2, 3}, 2, []int{1, 2}}, {[]int{1, 2, 3}, 1, []int{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.again("root")
			keys := manyKeys(t)
			for _, v := range versions {
				r.setKeys("root", v.threshold, choose(keys, v.named), choose(keys, v.signed))
				r.publish("root")
			}
			r.publishLists()
			c := newClient(t, r)
			last := len(versions)
			if name[:3] == "BAD" {
				last--
				c.refused("not signed by the fleet's keys")
			} else {
				c.good()
			}
			if string(c.disk("root")) != string(r.public["root"][last-1]) {
				t.Errorf("the trusted root is not root %d", last)
			}
		})
	}
}

func TestOtherRotations(t *testing.T) {
	t.Parallel()
	five := []int{0, 1, 2, 3, 4}
	for name, v := range map[string]release{
		"one key":                 {[]int{2}, 1, []int{2}},
		"signatures of strangers": {[]int{1}, 1, []int{3, 1, 4}},
		"BAD key did not sign":    {[]int{2}, 1, []int{1, 3, 4}},
		"BAD one key of another":  {[]int{0, 1, 3, 4, 5}, 3, []int{0, 2, 4}},
		"BAD one key too few":     {[]int{0, 1, 3, 4, 5}, 3, []int{0, 4}},
		"first three of five":     {five, 3, []int{0, 2, 4}},
		"other three of five":     {five, 3, []int{4, 3, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c := newClient(t, r)
			keys := manyKeys(t)
			for _, role := range []string{"timestamp", "snapshot", "targets"} {
				r.setKeys(role, v.threshold, choose(keys, v.named), choose(keys, v.signed))
				r.publishTop()
				if name[:3] == "BAD" {
					c.refused("not signed by the fleet's keys")
					continue
				}
				c.good()
				if string(c.disk(role)) != string(r.newest(role)) {
					t.Errorf("%s is not the newest", role)
				}
			}
		})
	}
}

func manyKeys(t *testing.T) []key {
	var keys []key
	for range 10 {
		keys = append(keys, newKey(t, "ed25519"))
	}
	return keys
}

func choose(keys []key, numbers []int) []key {
	var chosen []key
	for _, n := range numbers {
		chosen = append(chosen, keys[n])
	}
	return chosen
}

// A long absence: many roots, those in between expired or of keys that are gone.
func TestManyRoots(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.signed["root"]["expires"] = stamp(later(-1))
	for range 100 {
		old := r.keys["root"]
		r.rotate("root")
		fresh := r.keys["root"]
		r.keys["root"] = append(old[len(old)-1:len(old):len(old)], fresh...)
		r.publish("root")
		r.keys["root"] = fresh
	}
	r.signed["root"]["expires"] = stamp(later(30))
	r.publish("root")
	c.good()
	c.trusts("root 102, snapshot 1, targets 1, timestamp 1")
}

func TestTooManyRoots(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	for range 257 {
		r.publish("root")
	}
	c.refused("more than 256 new roots")
	c.trusts("root 257")
	c.good()
	c.trusts("root 258, snapshot 1, targets 1, timestamp 1")
}

// The id of a key is a name and nothing else.
func TestUnusualKeyIDs(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	first := r.keys["root"][0]
	for i, id := range []string{"x", "ä ö", "../..", strings.Repeat("0123456789abcdef", 64)} {
		k := newKey(t, "ed25519")
		k.id = id
		r.setKeys([]string{"timestamp", "snapshot", "targets", "root"}[i], 1, []key{k}, []key{k})
	}
	r.keys["root"] = append(r.keys["root"], first)
	r.publishTop()
	c.good()
	c.trusts("root 2, snapshot 2, targets 2, timestamp 2")
}
