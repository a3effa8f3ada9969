package trust_test

import (
	"context"
	"testing"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// fuzzDocument offers data as one document of an otherwise good folder; the client may refuse it, and must not accept another manifest.
func fuzzDocument(f *testing.F, part string) {
	forge := newForge(f, "drc")
	forge.rotate(func() {})
	first := forge.files["metadata/1.root.json"]
	files := forge.next()
	path := find(files, part)
	good := files[path]
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"signed":{"_type":"timestamp","meta":{"snapshot.json":{}}},"signatures":[{"keyid":"","sig":""}]}`))
	f.Add([]byte(`{"signed":{"_type":"root","spec_version":"1.0","version":2,"keys":{"a":{}},"roles":{"root":{}}},"signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := trust.Scratch(first, trust.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Refresh(context.Background(), manifesttest.NewSource(with(files, map[string][]byte{path: append([]byte{}, data...)})), true)
		if err == nil && (m.Number != 1 || m.Fleet.Name != "drc") {
			t.Errorf("accepted %+v", m)
		}
	})
}

func FuzzRoot(f *testing.F)      { fuzzDocument(f, "2.root.json") }
func FuzzTimestamp(f *testing.F) { fuzzDocument(f, "timestamp.json") }
func FuzzSnapshot(f *testing.F)  { fuzzDocument(f, "snapshot.json") }
func FuzzTargets(f *testing.F)   { fuzzDocument(f, "targets.json") }
func FuzzFleet(f *testing.F)     { fuzzDocument(f, "fleet.json.zst") }
func FuzzSites(f *testing.F)     { fuzzDocument(f, "sites.json.zst") }

func FuzzFirstRoot(f *testing.F) {
	forge := newForge(f, "drc")
	f.Add(forge.files["metadata/1.root.json"])
	f.Add([]byte(`{"signed":{"_type":"root","spec_version":"1.0","version":1,"keys":{},"roles":{}},"signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := trust.Scratch(data, trust.Options{}); err != nil {
			return
		}
		if _, err := trust.Fingerprint(data); err != nil {
			t.Errorf("a root that is trusted has no fingerprint: %v", err)
		}
	})
}
