package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var top = []string{"root", "snapshot", "targets", "timestamp"}

func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	c.asked()
	c.good()
	c.asked("root 2", "timestamp -", "snapshot 1", "targets 1")
	for _, role := range top {
		if !bytes.Equal(c.disk(role), r.newest(role)) {
			t.Errorf("%s is not kept as it came", role)
		}
	}
	c.good()
	c.asked("root 2", "timestamp -")
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

func TestDownloadRefreshesFirst(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	if c.download("no such file") == 0 {
		t.Error("it was found")
	}
	if want := `conformance: "no such file": no signed list names it`; c.said != want {
		t.Errorf("it said %q", c.said)
	}
	c.asked("root 2", "timestamp -", "snapshot 1", "targets 1")
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

func TestBadFirstRoot(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(object){
		"no version":    func(d object) { delete(d["signed"].(object), "version") },
		"no signatures": func(d object) { d["signatures"] = []object{} },
		"another signature": func(d object) {
			d["signatures"].([]any)[0].(object)["sig"] = "3044022027258898a89d38218fce7212c24659ec771105a3532d38ea4ef0d2fb84d9e7ff" +
				"02206e086d154e3cba72e9c55941d85c61f74eb425e2e90e308636bb1883287290c0"
		},
		"changed": func(d object) { d["signed"].(object)["expires"] = "2044-01-01T00:00:00Z" },
	} {
		r := newRepository(t)
		r.edit("root", change)
		c := newClient(t, r)
		if c.refresh() == 0 {
			t.Errorf("%s: accepted", name)
		}
		c.asked()
	}
}

func TestNoRoot(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	if err := os.Remove(filepath.Join(c.metadata, "root.json")); err != nil {
		t.Fatal(err)
	}
	c.refused("cannot read the trusted root")
	c.asked()
}

// What is wrong with a document keeps the ones before it, and ends the refresh there.
func TestRefusedDocuments(t *testing.T) {
	t.Parallel()
	before := map[string]string{
		"root": "root 1", "timestamp": "root 2", "snapshot": "root 2, timestamp 2", "targets": "root 2, snapshot 2, timestamp 2",
	}
	badly := map[string]func(r *repository, role string){
		"unsigned": func(r *repository, role string) {
			r.keys[role] = nil
			r.publishTop()
		},
		"signed by another key": func(r *repository, role string) {
			r.keys[role] = []key{newKey(r.t, "ecdsa")}
			r.publishTop()
		},
		"another version": func(r *repository, role string) {
			if role != "timestamp" {
				r.signed[role]["version"] = 2
			} else {
				r.keys[role] = nil // any version of a timestamp is good
			}
			r.publishTop()
		},
		"changed": func(r *repository, role string) {
			r.publishTop()
			r.edit(role, func(d object) { d["signed"].(object)["x"] = 1 })
		},
		"signed twice by one key": func(r *repository, role string) {
			r.publishTop()
			r.edit(role, func(d object) { d["signatures"] = append(d["signatures"].([]any), d["signatures"].([]any)[0]) })
		},
		"of no kind": func(r *repository, role string) {
			r.signed[role]["_type"] = "thing"
			r.publishTop()
		},
		"of a newer TUF": func(r *repository, role string) {
			r.signed[role]["spec_version"] = "2.0.0"
			r.publishTop()
		},
		"cut short": func(r *repository, role string) {
			r.publishTop()
			all := r.public[role]
			all[len(all)-1] = r.newest(role)[:100]
		},
		"without end": func(r *repository, role string) {
			r.publishTop()
			all := r.public[role]
			all[len(all)-1] = append(all[len(all)-1], bytes.Repeat([]byte(" "), 9<<20)...)
		},
		"nested without end": func(r *repository, role string) {
			r.publishTop()
			r.public[role][1] = bytes.Repeat([]byte("["), 10_000)
		},
	}
	for name, make := range badly {
		for role, want := range before {
			t.Run(name+"/"+role, func(t *testing.T) {
				t.Parallel()
				r := newRepository(t)
				make(r, role)
				c := newClient(t, r)
				if c.refresh() == 0 {
					t.Error("accepted")
				}
				c.trusts(want)
			})
		}
	}
}

// A document that is named and not there ends the refresh; what came before it is kept.
func TestMissingDocuments(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	c.good()
	r.signed["timestamp"]["meta"].(object)["snapshot.json"] = object{"version": 2}
	r.publish("timestamp")
	c.refused("404")
	c.askedLast("snapshot 2")
	c.trusts("root 1, snapshot 1, targets 1, timestamp 2")
	r.signed["snapshot"]["meta"].(object)["targets.json"] = object{"version": 2}
	r.publish("snapshot", "timestamp")
	c.refused("404")
	c.askedLast("targets 2")
	c.trusts("root 1, snapshot 2, targets 1, timestamp 3")
	delete(r.public, "timestamp")
	c.refused("404")
	c.askedLast("timestamp -")
	c.trusts("root 1, snapshot 2, targets 1, timestamp 3")
}

// The same version with other content is not taken, and what it says is not followed.
func TestTimestampOfTheSameVersion(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	c.good()
	old := r.newest("timestamp")
	r.signed["timestamp"]["meta"].(object)["snapshot.json"] = object{"version": 100}
	r.again("timestamp")
	r.publish("timestamp")
	c.good()
	c.askedLast("timestamp -")
	if !bytes.Equal(c.disk("timestamp"), old) {
		t.Error("the timestamp was replaced")
	}
}

func TestListThatNobodyNames(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	c.good()
	r.publish("targets")
	c.good()
	c.askedLast("timestamp -")
	c.trusts("root 1, snapshot 1, targets 1, timestamp 1")
}

func TestHashesOfDocuments(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.hashes = true
	r.publishLists()
	c := newClient(t, r)
	c.good()
	r.publish("targets")
	r.signed["snapshot"]["meta"].(object)["targets.json"].(object)["hashes"] = object{"sha256": strings.Repeat("46", 32)}
	r.publish("snapshot", "timestamp")
	c.refused("it is not what the signed list says")
	c.trusts("root 1, snapshot 3, targets 2, timestamp 3")
	r.publish("targets")
	r.signed["snapshot"]["meta"].(object)["targets.json"].(object)["length"] = 10
	r.publish("snapshot", "timestamp")
	c.refused("longer than 10 bytes")
	c.trusts("root 1, snapshot 4, targets 2, timestamp 4")
	r.publishLists()
	c.good()
	c.trusts("root 1, snapshot 5, targets 5, timestamp 5")
}

func TestSpacesAreKept(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	r.public["timestamp"][0] = append(r.public["timestamp"][0], " \n "...)
	c.good()
	if !bytes.Equal(c.disk("timestamp"), r.public["timestamp"][0]) {
		t.Error("the timestamp is not kept as it came")
	}
}

// Fields that the specification does not know are signed with the rest, and mean nothing.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	c.good()
	k := newKey(t, "ecdsa")
	k.public["extra"] = object{"a": 1, "b": []any{"c", true}}
	k.public["keyid_hash_algorithms"] = "md5"
	k.id = keyID(t, k.public)
	r.addKey("root", "root", k)
	r.role("root", "root")["threshold"] = 2
	r.role("root", "snapshot")["another"] = "value"
	for _, role := range top {
		r.signed[role]["x-custom"] = object{"n": 1, "deep": object{"list": []any{1, 2}}}
	}
	r.signed["root"]["spec_version"] = "1.0"
	r.publishTop()
	r.edit("timestamp", func(d object) { d["unsigned"] = "field" })
	c.good()
	c.trusts("root 2, snapshot 2, targets 2, timestamp 2")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRepository(t))
	for _, args := range [][]string{
		{},
		{"--metadata-dir", c.metadata},
		{"--metadata-dir", c.metadata, "init"},
		{"--metadata-dir", c.metadata, "refresh"},
		{"--metadata-url", c.r.url, "refresh"},
		{"--metadata-dir", c.metadata, "--metadata-url", c.r.url, "download"},
		{"--metadata-dir", c.metadata, "init", filepath.Join(c.metadata, "none")},
		{"--unknown"},
	} {
		if c.run(args...) == 0 {
			t.Errorf("%v: accepted", args)
		}
	}
	c.clock = "echo yesterday"
	c.refused(`cannot ask $DHOW_CLOCK for the time: it printed "yesterday\n"`)
	c.clock = "false"
	c.refused("cannot ask $DHOW_CLOCK for the time: exit status 1")
}

// The two ways in which a repository may write the same JSON.
func TestCompactJSON(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	for _, role := range top {
		var b bytes.Buffer
		if err := json.Compact(&b, r.newest(role)); err != nil {
			t.Fatal(err)
		}
		r.public[role][0] = b.Bytes()
	}
	c.good()
}
