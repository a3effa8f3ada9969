package main

import (
	"encoding/json"
	"runtime/debug"
	"testing"
)

func TestBill(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Settings:  []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "-ldflags", Value: "-s"}},
		Deps: []*debug.Module{
			{Path: "example.org/a", Version: "v1.0.0+incompatible", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
			{Path: "example.org/b", Version: "v2.0.0", Replace: &debug.Module{Path: "example.org/c", Version: "v3.0.0"}},
		},
	}
	data, err := json.Marshal(bill("dhow", "1.2.0", "2026-11-21T00:00:00Z", info))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"$schema":"http://cyclonedx.org/schema/bom-1.5.schema.json","bomFormat":"CycloneDX","specVersion":"1.5","version":1,` +
		`"metadata":{"timestamp":"2026-11-21T00:00:00Z","component":{"bom-ref":"dhow@1.2.0","type":"application","name":"dhow","version":"1.2.0",` +
		`"licenses":[{"license":{"id":"Apache-2.0"}}],"properties":[{"name":"cdx:gomod:build:env:GOOS","value":"linux"}]}},` +
		`"components":[{"bom-ref":"std","type":"library","name":"std","version":"go1.26.8","purl":"pkg:golang/std@1.26.8"},` +
		`{"bom-ref":"pkg:golang/example.org/a@v1.0.0%2Bincompatible","type":"library","name":"example.org/a","version":"v1.0.0+incompatible",` +
		`"hashes":[{"alg":"SHA-256","content":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}],` +
		`"purl":"pkg:golang/example.org/a@v1.0.0%2Bincompatible"},` +
		`{"bom-ref":"pkg:golang/example.org/c@v3.0.0","type":"library","name":"example.org/c","version":"v3.0.0","purl":"pkg:golang/example.org/c@v3.0.0"}],` +
		`"dependencies":[{"ref":"dhow@1.2.0","dependsOn":["std","pkg:golang/example.org/a@v1.0.0%2Bincompatible","pkg:golang/example.org/c@v3.0.0"]}]}`
	if string(data) != want {
		t.Errorf("the bill is\n%s\nwant\n%s", data, want)
	}
}
