package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/trust"
)

// attack makes the folder that a site at manifest 3 is offered.
type attack struct {
	name string
	make func(f *forge) map[string][]byte
	kind error
	text string // part of the message
	// stick is the kind from a stick, when it differs; errGood means that a stick is accepted with a warning.
	stick error
}

var errGood = errors.New("accepted")

func find(files map[string][]byte, part string) string {
	for path := range files {
		if strings.Contains(path, part) {
			return path
		}
	}
	panic("no document " + part)
}

var attacks = []attack{
	{name: "whole folder rolled back", kind: trust.ErrStale, text: "(manifest 2 < 3)", make: func(f *forge) map[string][]byte {
		f.version[timestamp], f.version[snapshot], f.version[targets] = 2, 2, 2
		return f.publish()
	}},
	{name: "timestamp rolled back", kind: trust.ErrStale, text: "(timestamp 2 < 3)", make: func(f *forge) map[string][]byte {
		f.version[timestamp] = 2
		return f.publish()
	}, stick: errGood},
	{name: "snapshot rolled back", kind: trust.ErrStale, text: "older than", make: func(f *forge) map[string][]byte {
		f.version[timestamp], f.version[snapshot] = 4, 2
		return f.publish()
	}, stick: errGood},
	{name: "targets rolled back", kind: trust.ErrStale, text: "(manifest 2 < 3)", make: func(f *forge) map[string][]byte {
		f.version[timestamp], f.version[snapshot], f.version[targets] = 4, 4, 2
		return f.publish()
	}},
	{name: "targets rolled back behind a new snapshot key", kind: trust.ErrStale, text: "(manifest 2 < 3)", make: func(f *forge) map[string][]byte {
		f.rotate(func() { f.keys[snapshot] = []ed25519.PrivateKey{newKey(f.t)} })
		f.version[timestamp], f.version[snapshot], f.version[targets] = 4, 4, 2
		return f.publish()
	}},
	{name: "frozen: timestamp expired", kind: trust.ErrExpired, text: "expired on 2026-11-20", stick: errGood, make: func(f *forge) map[string][]byte {
		f.expires[timestamp] = start.AddDate(0, 0, -1)
		return f.next()
	}},
	{name: "snapshot expired", kind: trust.ErrExpired, stick: errGood, make: func(f *forge) map[string][]byte {
		f.expires[snapshot] = start.AddDate(0, 0, -1)
		return f.next()
	}},
	{name: "targets expired", kind: trust.ErrExpired, stick: errGood, make: func(f *forge) map[string][]byte {
		f.expires[targets] = start.AddDate(0, 0, -1)
		return f.next()
	}},
	{name: "root expired", kind: trust.ErrExpired, text: "root expired", stick: errGood, make: func(f *forge) map[string][]byte {
		f.rotate(func() { f.expires[root] = start.AddDate(0, 0, -1) })
		return f.next()
	}},
	{name: "timestamp forged", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[timestamp] = []ed25519.PrivateKey{newKey(f.t)}
		return f.next()
	}},
	{name: "snapshot forged", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[snapshot] = []ed25519.PrivateKey{newKey(f.t)}
		return f.next()
	}},
	{name: "targets forged", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[targets] = []ed25519.PrivateKey{newKey(f.t)}
		return f.next()
	}},
	{name: "targets signed by the freshness key", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[targets] = f.keys[timestamp]
		return f.next()
	}},
	{name: "timestamp without signatures", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[timestamp] = nil
		return f.next()
	}},
	{name: "timestamp changed after signing", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		files := f.next()
		files["metadata/timestamp.json"] = edit(f.t, files["metadata/timestamp.json"], func(s map[string]any) {
			s["expires"] = "2036-01-01T00:00:00Z"
		})
		return files
	}},
	{name: "root signed by one key of two", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.version[root]++
		f.root(f.keys[root][:1])
		return f.next()
	}},
	{name: "root signed twice by one key", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.version[root]++
		one := f.keys[root][0]
		f.root([]ed25519.PrivateKey{one, one})
		return f.next()
	}},
	{name: "root signed by the new keys only", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.keys[root] = []ed25519.PrivateKey{newKey(f.t), newKey(f.t), newKey(f.t)}
		f.version[root]++
		f.root(f.keys[root])
		return f.next()
	}},
	{name: "root signed by the old keys only", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		old := f.keys[root]
		f.keys[root] = []ed25519.PrivateKey{newKey(f.t), newKey(f.t), newKey(f.t)}
		f.version[root]++
		f.root(old)
		return f.next()
	}},
	{name: "root skips a version", kind: trust.ErrDamaged, text: "only root 2 can come", make: func(f *forge) map[string][]byte {
		f.version[root] = 3
		data := f.root(f.keys[root])
		return with(f.next(), map[string][]byte{"metadata/2.root.json": data, "metadata/3.root.json": nil})
	}},
	{name: "old root served as new", kind: trust.ErrDamaged, text: "only root 2 can come", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/2.root.json": f.files["metadata/1.root.json"]})
	}},
	{name: "root with a key of the wrong length", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.rotate(func() {})
		path := "metadata/2.root.json"
		m, err := metadata.Root().FromBytes(f.files[path])
		if err != nil {
			f.t.Fatal(err)
		}
		for _, k := range m.Signed.Keys {
			k.Value.PublicKey = "abcd"
		}
		return with(f.next(), map[string][]byte{path: seal(f.t, m, f.keys[root])})
	}},
	{name: "unsigned root with a key of the wrong length", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.rotate(func() {})
		path := "metadata/2.root.json"
		data := edit(f.t, f.files[path], func(s map[string]any) {
			for _, k := range s["keys"].(map[string]any) {
				k.(map[string]any)["keyval"].(map[string]any)["public"] = "abcd"
			}
		})
		return with(f.next(), map[string][]byte{path: data})
	}},
	{name: "snapshot of another moment", kind: trust.ErrDamaged, text: "not what the signed list says", make: func(f *forge) map[string][]byte {
		old := f.publish()
		return with(f.next(), map[string][]byte{"metadata/4.snapshot.json": old["metadata/3.snapshot.json"]})
	}},
	{name: "targets of another moment", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		old := f.publish()
		return with(f.next(), map[string][]byte{"metadata/4.targets.json": old["metadata/3.targets.json"]})
	}},
	{name: "snapshot of another moment, no hashes", kind: trust.ErrDamaged, text: "names version 4, this is 3", make: func(f *forge) map[string][]byte {
		old := f.publish()
		f.noHashes = true
		return with(f.next(), map[string][]byte{"metadata/4.snapshot.json": old["metadata/3.snapshot.json"]})
	}},
	{name: "targets of another moment, no hashes", kind: trust.ErrDamaged, text: "names version 4, this is 3", make: func(f *forge) map[string][]byte {
		old := f.publish()
		f.noHashes = true
		return with(f.next(), map[string][]byte{"metadata/4.targets.json": old["metadata/3.targets.json"]})
	}},
	{name: "one bit of the fleet flipped", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.fleet.Policy.Contact = "somebody"
		files := f.next()
		path := find(files, "fleet.json.zst")
		data := bytes.Clone(files[path])
		data[len(data)/2] ^= 1
		return with(files, map[string][]byte{path: data})
	}},
	{name: "fleet cut short", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.fleet.Policy.Contact = "somebody"
		files := f.next()
		path := find(files, "fleet.json.zst")
		return with(files, map[string][]byte{path: files[path][:10]})
	}},
	{name: "fleet that never ends", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.fleet.Policy.Contact = "somebody"
		files := f.next()
		path := find(files, "fleet.json.zst")
		return with(files, map[string][]byte{path: append(bytes.Clone(files[path]), make([]byte, 1<<20)...)})
	}},
	{name: "fleet declared larger than allowed", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) { s.Targets[manifest.FleetPath].Length = 1 << 40 }
		f.fleet.Policy.Contact = "somebody"
		return f.next()
	}},
	{name: "fleet without a hash", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) { s.Targets[manifest.FleetPath].Hashes = metadata.Hashes{} }
		return f.next()
	}},
	{name: "no sites", kind: trust.ErrDamaged, text: "names no sites.json.zst", make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) { delete(s.Targets, manifest.SitesPath) }
		return f.next()
	}},
	{name: "no fleet", kind: trust.ErrDamaged, text: "names no fleet.json.zst", make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) { delete(s.Targets, manifest.FleetPath) }
		return f.next()
	}},
	{name: "delegations", kind: manifest.ErrNewer, make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) {
			s.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}, Roles: []metadata.DelegatedRole{}}
		}
		return f.next()
	}},
	{name: "timestamp without a snapshot", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.onTimestamp = func(s *metadata.TimestampType) { s.Meta = map[string]*metadata.MetaFiles{} }
		return f.next()
	}},
	{name: "snapshot without targets", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.onSnapshot = func(s *metadata.SnapshotType) { s.Meta = map[string]*metadata.MetaFiles{} }
		return f.next()
	}},
	{name: "snapshot missing", kind: trust.ErrDamaged, text: "incomplete", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/4.snapshot.json": nil})
	}},
	{name: "targets missing", kind: trust.ErrDamaged, text: "incomplete", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/4.targets.json": nil})
	}},
	{name: "version beyond counting", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.version[timestamp] = 1<<53 + 1
		return f.publish()
	}},
	{name: "timestamp that never ends", kind: trust.ErrDamaged, text: "longer than", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/timestamp.json": make([]byte, 1<<20)})
	}},
	{name: "root that never ends", kind: trust.ErrDamaged, text: "longer than", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/2.root.json": make([]byte, 1<<20)})
	}},
	{name: "snapshot that never ends", kind: trust.ErrDamaged, text: "longer than", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/4.snapshot.json": make([]byte, 1<<20)})
	}},
	{name: "targets that never end", kind: trust.ErrDamaged, text: "longer than", make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/4.targets.json": make([]byte, 9<<20)})
	}},
	{name: "targets that never end, no lengths", kind: trust.ErrDamaged, text: "longer than 8388608 bytes", make: func(f *forge) map[string][]byte {
		f.noHashes = true
		return with(f.next(), map[string][]byte{"metadata/4.targets.json": make([]byte, 9<<20)})
	}},
	{name: "timestamp signed by a revoked key", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		stolen := f.keys[timestamp]
		f.rotate(func() { f.keys[timestamp] = []ed25519.PrivateKey{newKey(f.t)} })
		f.keys[timestamp] = stolen
		return f.next()
	}},
	{name: "targets signed by a revoked key", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		stolen := f.keys[targets]
		f.rotate(func() { f.keys[targets] = []ed25519.PrivateKey{newKey(f.t)} })
		f.keys[targets] = stolen
		return f.next()
	}},
	{name: "root signed by revoked keys", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		stolen := f.keys[root]
		f.rotate(func() { f.keys[root] = []ed25519.PrivateKey{newKey(f.t), newKey(f.t), newKey(f.t)} })
		f.version[root]++
		f.root(stolen)
		return f.next()
	}},
	{name: "targets signed by one key of two", kind: trust.ErrForged, make: func(f *forge) map[string][]byte {
		f.rotate(func() {
			f.keys[targets] = append(f.keys[targets], newKey(f.t))
			f.least[targets] = 2
		})
		defer func() { f.least[targets] = 1 }()
		f.keys[targets] = f.keys[targets][:1]
		return f.next()
	}},
	{name: "root whose role too few keys can sign", kind: trust.ErrDamaged, text: "can never be signed", make: func(f *forge) map[string][]byte {
		f.rotate(func() { f.least[timestamp] = 2 })
		f.least[timestamp] = 1
		return f.next()
	}},
	{name: "root without consistent snapshots", kind: trust.ErrDamaged, text: "no consistent snapshots", make: func(f *forge) map[string][]byte {
		return f.changedRoot(func(s *metadata.RootType) { s.ConsistentSnapshot = false })
	}},
	{name: "root with a key of unknown kind", kind: trust.ErrDamaged, text: "is not known", make: func(f *forge) map[string][]byte {
		return f.changedRoot(func(s *metadata.RootType) { s.Keys["x"] = &metadata.Key{Type: "x", Scheme: "y"} })
	}},
	{name: "root with another key under a known ID", kind: trust.ErrDamaged, text: "is another key than its ID says", make: func(f *forge) map[string][]byte {
		return f.changedRoot(func(s *metadata.RootType) {
			s.Keys[s.Roles[targets].KeyIDs[0]] = tufKey(newKey(f.t))
		})
	}},
	{name: "root with one key under two IDs", kind: trust.ErrDamaged, text: "are one key", make: func(f *forge) map[string][]byte {
		return f.changedRoot(func(s *metadata.RootType) {
			again := tufKey(f.keys[targets][0])
			again.UnrecognizedFields = map[string]any{"x": "y"}
			if err := s.AddKey(again, targets); err != nil {
				f.t.Fatal(err)
			}
		})
	}},
	{name: "root whose role has a key twice", kind: trust.ErrDamaged, text: "twice", make: func(f *forge) map[string][]byte {
		return f.changedRoot(func(s *metadata.RootType) {
			s.Roles[targets].KeyIDs = append(s.Roles[targets].KeyIDs, s.Roles[targets].KeyIDs[0])
		})
	}},
	{name: "a role removed from the snapshot", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		f.onSnapshot = func(s *metadata.SnapshotType) { delete(s.Meta, "targets.json") }
		return f.next()
	}},
	{name: "a hash of unknown kind", kind: trust.ErrDamaged, text: "hash of unknown kind", make: func(f *forge) map[string][]byte {
		f.onTargets = func(s *metadata.TargetsType) {
			s.Targets[manifest.FleetPath].Hashes = metadata.Hashes{"md5": make([]byte, 16)}
		}
		return f.next()
	}},
	{name: "a captive portal's page", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/timestamp.json": []byte("<html>please log in</html>")})
	}},
	{name: "null in the timestamp", kind: trust.ErrDamaged, text: "null", make: func(f *forge) map[string][]byte {
		data := []byte(`{"signed":{"_type":"timestamp","spec_version":"1.0.31","version":9,"meta":{"snapshot.json":null}},"signatures":[]}`)
		return with(f.next(), map[string][]byte{"metadata/timestamp.json": data})
	}},
	{name: "a key twice in the timestamp", kind: trust.ErrDamaged, text: "twice", make: func(f *forge) map[string][]byte {
		files := f.next()
		data := bytes.Replace(files["metadata/timestamp.json"], []byte(`"version":4`), []byte(`"version":4,"version":5`), 1)
		return with(files, map[string][]byte{"metadata/timestamp.json": data})
	}},
	{name: "deep nesting in the timestamp", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		return with(f.next(), map[string][]byte{"metadata/timestamp.json": bytes.Repeat([]byte("["), 8000)})
	}},
	{name: "a role of another kind", kind: trust.ErrDamaged, make: func(f *forge) map[string][]byte {
		files := f.next()
		return with(files, map[string][]byte{"metadata/timestamp.json": files["metadata/4.snapshot.json"]})
	}},
	{name: "a newer TUF", kind: manifest.ErrNewer, make: func(f *forge) map[string][]byte {
		f.onTimestamp = func(s *metadata.TimestampType) { s.SpecVersion = "2.0.0" }
		return f.next()
	}},
	{name: "another fleet", kind: trust.ErrOtherFleet, text: "this site trusts", make: func(f *forge) map[string][]byte {
		return newForge(f.t, "other").next()
	}},
	{name: "another fleet with newer roots", kind: trust.ErrOtherFleet, text: "this site trusts", make: func(f *forge) map[string][]byte {
		o := newForge(f.t, "other")
		o.rotate(func() {})
		return o.next()
	}},
}
