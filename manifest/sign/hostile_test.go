package sign_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest/audit"
	"dhow/manifest/sign"
)

// edited changes the signed part of an envelope, as somebody would who holds no key.
func edited(t *testing.T, envelope json.RawMessage, change func(signed map[string]any)) json.RawMessage {
	t.Helper()
	var all map[string]any
	must(t, json.Unmarshal(envelope, &all))
	change(all["signed"].(map[string]any))
	data, err := json.Marshal(all)
	must(t, err)
	return data
}

type object = map[string]any

// tufKey is a new key as it stands in a root, and its ID.
func tufKey(t *testing.T, more object) (id string, key object) {
	t.Helper()
	made, err := sign.MakeKey("mallory", sign.RoleRelease)
	must(t, err)
	return idOf(t, strings.TrimPrefix(made.Public, "ed25519:"), more)
}

func idOf(t *testing.T, public string, more object) (id string, key object) {
	t.Helper()
	k := metadata.Key{
		Type: metadata.KeyTypeEd25519, Scheme: metadata.KeySchemeEd25519, Value: metadata.KeyVal{PublicKey: public}, UnrecognizedFields: more,
	}
	id, err := k.ID()
	must(t, err)
	data, err := json.Marshal(&k)
	must(t, err)
	must(t, json.Unmarshal(data, &key))
	return id, key
}

// hiding are changes of a root that people would not see where keys are compared by their IDs alone, with what is said of each.
func hiding(t *testing.T) map[string]struct {
	change func(root object)
	want   string
} {
	keys := func(s object) object { return s["keys"].(object) }
	role := func(s object, name string) object { return s["roles"].(object)[name].(object) }
	add := func(s object, name, id string) { role(s, name)["keyids"] = append(role(s, name)["keyids"].([]any), id) }
	first := func(s object, name string) string { return role(s, name)["keyids"].([]any)[0].(string) }
	swap := func(name string) func(object) {
		return func(s object) { _, keys(s)[first(s, name)] = tufKey(t, nil) }
	}
	return map[string]struct {
		change func(root object)
		want   string
	}{
		"root key swapped under its ID":      {swap("root"), "is another key than its ID says"},
		"release key swapped under its ID":   {swap("targets"), "is another key than its ID says"},
		"freshness key swapped under its ID": {swap("timestamp"), "is another key than its ID says"},
		"one key under two IDs": {func(s object) {
			public := keys(s)[first(s, "root")].(object)["keyval"].(object)["public"].(string)
			id, key := idOf(t, public, object{"x": "y"})
			keys(s)[id] = key
			add(s, "root", id)
		}, "are one key"},
		"an ID twice": {func(s object) { add(s, "root", first(s, "root")) }, "twice"},
		"a key for the timestamp alone": {func(s object) {
			id, key := tufKey(t, nil)
			keys(s)[id] = key
			add(s, "timestamp", id)
		}, "other keys sign the timestamp than the snapshot"},
		"a key for the snapshot alone": {func(s object) {
			id, key := tufKey(t, nil)
			keys(s)[id] = key
			add(s, "snapshot", id)
		}, "other keys sign the timestamp than the snapshot"},
		"more keys than a fleet has": {func(s object) {
			for range 16 {
				id, key := tufKey(t, nil)
				keys(s)[id] = key
				add(s, "targets", id)
			}
		}, "18 release keys, at most 16"},
	}
}

func TestRootsThatHideAKey(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stage(t, f, nil)
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	staged := filepath.Join(f.Dir(), "metadata", "staged.root.json")
	envelope, err := os.ReadFile(staged)
	must(t, err)
	for name, test := range hiding(t) {
		refused := func(where string, err, kind error) {
			t.Helper()
			if !errors.Is(err, kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s (%s):\n got %v\nwant %s", name, where, err, test.want)
			}
		}
		for where, r := range map[string]*sign.Repository{"here": f.Repository, "away": nil} {
			c := carry(t, prepared)
			c.Root = edited(t, c.Root, test.change)
			_, err := c.Judge(r, f.Now)
			refused(where, err, sign.ErrCeremony)
		}
		must(t, os.WriteFile(staged, edited(t, envelope, test.change), 0o644))
		_, err := f.SignRoot(pass)
		refused("key sign", err, sign.ErrRoot)
		_, err = f.PrepareRoot(sign.RootChange{}, pass, f.Now)
		refused("key renew", err, sign.ErrRoot)
		_, err = f.Prepare(f.Now)
		refused("prepare", err, sign.ErrRoot)
		_, err = f.StagedRoot()
		refused("key list", err, sign.ErrRoot)
		if v, left, err := f.AbandonRoot(); err != nil || v != 0 || left {
			t.Errorf("%s: abandon: %d, %v, %v", name, v, left, err)
		}
	}
}

// What a ceremony file may not say, each with its own message, with a repository at hand and without.
func TestCeremoniesThatAreRefused(t *testing.T) {
	f := fleet(t)
	f.Publish()
	stage(t, f, nil)
	f.AddRelease("1.2.0", nil)
	f.Assign("kin-002", "pilot", "1.2.0")
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	targets := func(s map[string]any) map[string]any { return s["targets"].(map[string]any) }
	for name, test := range map[string]struct {
		change func(c *sign.Ceremony)
		want   string
	}{
		"root skips": {func(c *sign.Ceremony) {
			c.Root = edited(t, c.Root, func(s map[string]any) { s["version"] = 3 })
		}, "root 3 can't follow root 1: a root never skips a number, and none comes twice"},
		"root again": {func(c *sign.Ceremony) {
			c.Root = edited(t, c.Root, func(s map[string]any) { s["version"] = 1 })
		}, "root 1 can't follow root 1"},
		"root without the role": {func(c *sign.Ceremony) {
			c.Root = edited(t, c.Root, func(s map[string]any) { delete(s["roles"].(map[string]any), "targets") })
		}, "role targets is missing or impossible"},
		"root expired": {func(c *sign.Ceremony) {
			c.Root = edited(t, c.Root, func(s map[string]any) { s["expires"] = "2020-01-01T00:00:00Z" })
		}, "the new root expired on 2020-01-01"},
		"root for ever": {func(c *sign.Ceremony) {
			c.Root = edited(t, c.Root, func(s map[string]any) { s["expires"] = "2199-01-01T00:00:00Z" })
		}, "the new root would last until 2199-01-01"},
		"older number": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) { s["version"] = 1 })
		}, "manifest 1 in it is older than manifest 1 that was signed last"},
		"skipped number": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) { s["version"] = 9 })
		}, "manifest 9 can't follow manifest 1: a number was skipped"},
		"changed release": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) { targets(s)["releases/1.0.0.json"] = targets(s)["releases/1.2.0.json"] })
		}, "releases/1.0.0.json in it is not what was signed before, and a release never changes"},
		"release under another name": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) {
				targets(s)["releases/6.6.6.json"] = targets(s)["releases/1.2.0.json"]
			})
			for path, data := range c.Files {
				if strings.HasSuffix(path, ".1.2.0.json") {
					c.Files[strings.Replace(path, "1.2.0", "6.6.6", 1)] = data
				}
			}
		}, "releases/6.6.6.json describes release 1.2.0 of fleet drc"},
		"no such release": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) { delete(targets(s), "releases/1.2.0.json") })
		}, "a site would have to run release 1.2.0, and its list has no such release"},
		"other content": {func(c *sign.Ceremony) {
			for path := range c.Files {
				c.Files[path] = []byte("{}")
			}
		}, "in it is not what the list says"},
		"no content": {func(c *sign.Ceremony) { c.Files = nil }, "is not in it"},
		"no digest": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) {
				targets(s)["x"] = map[string]any{"length": 1, "hashes": map[string]any{"sha512": "00"}}
			})
		}, `the new list names "x" without a digest`},
		"delegation": {func(c *sign.Ceremony) {
			c.Targets = edited(t, c.Targets, func(s map[string]any) { s["delegations"] = map[string]any{"keys": map[string]any{}, "roles": []any{}} })
		}, "manifest 2 delegates to other lists"},
		"other name":     {func(c *sign.Ceremony) { c.Fleet = "lab" }, "it says that it is for fleet lab, and its documents are for fleet drc"},
		"half a chain":   {func(c *sign.Ceremony) { c.Roots = append(c.Roots, c.Root) }, "root 2 is not signed by enough keys"},
		"not a root":     {func(c *sign.Ceremony) { c.Roots[0] = c.Targets }, "it is a document of the kind targets, not root"},
		"not a list":     {func(c *sign.Ceremony) { c.Targets = c.Roots[0] }, "the new list: "},
		"root is a list": {func(c *sign.Ceremony) { c.Root = c.Targets }, "it is a document of the kind targets, not root"},
	} {
		for where, r := range map[string]*sign.Repository{"here": f.Repository, "away": nil} {
			c := carry(t, prepared)
			test.change(c)
			_, err := c.Judge(r, f.Now)
			if !errors.Is(err, sign.ErrCeremony) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s (%s):\n got %v\nwant %s", name, where, err, test.want)
			}
		}
	}
	// Signatures of nobody, and ones that are not good, do not count and are not handed on.
	c := carry(t, prepared)
	var all map[string]any
	must(t, json.Unmarshal(c.Targets, &all))
	all["signatures"] = []any{map[string]any{"keyid": strings.Repeat("ab", 32), "sig": "00"}}
	c.Targets, err = json.Marshal(all)
	must(t, err)
	p := judge(t, c, f)
	next, err := p.Ceremony()
	must(t, err)
	if strings.Contains(string(next.Targets), "abab") {
		t.Error("a signature of nobody was handed on")
	}
}

func FuzzCeremony(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "ceremony.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"format":1,"fleet":"x","roots":[{}],"root":{},"targets":{"signed":{"_type":"targets","version":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := sign.ParseCeremony(data)
		if err != nil {
			return
		}
		p, err := c.Judge(nil, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		p.Keys()
		p.Wanting()
		if before, after := p.Fleets(); after != nil {
			audit.Compare(before, after, p.Removed, p.Added)
			audit.Ways(p.Ways, p.NoWays)
			if _, err := sign.EffectOf(before, after); err != nil {
				t.Errorf("judged, but not compared: %v", err)
			}
		}
		if next, err := p.Ceremony(); err != nil {
			t.Errorf("judged, but not written: %v", err)
		} else if _, err := next.Encode(); err != nil {
			t.Errorf("judged, but not encoded: %v", err)
		}
	})
}
