package manifest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func testAgent() *Agent {
	return &Agent{Format: 1, Fleet: "emr", Version: "1.4.0", Platforms: []AgentProgram{
		{
			Platform: "linux/arm/v7", Digest: digest.FromString("arm"), Size: 30 << 20,
			Full: Blob{Digest: digest.FromString("arm.zst"), Size: 8 << 20},
		},
		{
			Platform: "linux/amd64", Digest: digest.FromString("amd64"), Size: 35 << 20,
			Full: Blob{Digest: digest.FromString("amd64.zst"), Size: 9 << 20},
			Deltas: []Delta{
				{Blob: Blob{Digest: digest.FromString("b"), Size: 900_000}, Base: digest.FromString("older"), From: "1.2.0", Spool: 10},
				{Blob: Blob{Digest: digest.FromString("a"), Size: 700_000}, Base: digest.FromString("old"), From: "1.3.0", Spool: 10},
			},
		},
	}}
}

func TestAgentRoundTrip(t *testing.T) {
	data, err := testAgent().Encode()
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAgent(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Encode()
	if err != nil || !bytes.Equal(again, data) || a.Platforms[0].Platform != "linux/amd64" || a.Platforms[0].Deltas[0].From != "1.3.0" {
		t.Errorf("again: %s, %v", again, err)
	}
	p, err := a.For("linux/x86_64")
	if err != nil || p.Layer().DiffID != digest.FromString("amd64") || len(p.Ways("1.4.0", "emr").Of(p.Digest).Deltas) != 2 || len(a.Blobs()) != 4 {
		t.Errorf("%+v, %v", p, err)
	}
	want := "agent 1.4.0: not made for this platform: it is there for linux/amd64, linux/arm/v7, this computer is linux/arm64"
	if _, err := a.For("linux/arm64"); !errors.Is(err, ErrPlatform) || err.Error() != strings.Replace(want, "not made for this platform", ErrPlatform.Error(), 1) {
		t.Errorf("%v", err)
	}
	if v, ok := AgentOfPath(AgentPath("1.4.0")); v != "1.4.0" || !ok {
		t.Errorf("path: %s", v)
	}
}

func TestAgentIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*Agent){
		`agent "1.4.0": the document is invalid: it is there for no platform`:                                 func(a *Agent) { a.Platforms = nil },
		`agent "1.4.0": platform "linux/amd64": the document is invalid: it is there twice`:                   func(a *Agent) { a.Platforms[0].Platform = "linux/amd64" },
		`agent "1.4.0": platform "linux/arm/v7": the document is invalid: the program has 0 bytes`:            func(a *Agent) { a.Platforms[0].Size = 0 },
		`agent "1.4.0": platform "../x": the document is invalid: it looks like linux/amd64`:                  func(a *Agent) { a.Platforms[0].Platform = "../x" },
		`agent "1.4.0": platform "linux/amd64": the document is invalid: the spool has -1 bytes`:              func(a *Agent) { a.Platforms[1].Deltas[0].Spool = -1 },
		`agent "1.4.0": platform "linux/arm/v7": the document is invalid: digest: "x" is not a sha256 digest`: func(a *Agent) { a.Platforms[0].Digest = "x" },
	} {
		a := testAgent()
		spoil(a)
		want = strings.Replace(want, "the document is invalid", ErrInvalid.Error(), 1)
		if err := a.Validate(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := ParseAgent([]byte(`{"format": 2}`)); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
}

func TestAgentOfASite(t *testing.T) {
	f := &Fleet{Format: 2, Name: "emr", Agent: "1.4.0", Rings: map[string]Ring{
		"pilot": {Agent: "1.5.0"}, "back": {Agent: "1.3.0", AgentDowngrade: true}, "rest": {},
	}, Sites: map[string]Site{"a": {Ring: "pilot"}, "b": {Ring: "back"}, "c": {Ring: "rest"}}}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	for site, want := range map[string]Assignment{"a": {Agent: "1.5.0"}, "b": {Agent: "1.3.0", AgentDowngrade: true}, "c": {Agent: "1.4.0"}} {
		as, err := f.Assignment(site)
		if err != nil || as.Agent != want.Agent || as.AgentDowngrade != want.AgentDowngrade {
			t.Errorf("%s: %+v, %v", site, as, err)
		}
	}
	if got := f.AgentsOf(); !reflect.DeepEqual(got, []string{"1.3.0", "1.4.0", "1.5.0"}) {
		t.Errorf("%v", got)
	}
	f.Rings["rest"] = Ring{AgentDowngrade: true}
	if err := f.Validate(); err == nil {
		t.Error("a permission without a pin was taken")
	}
}

func FuzzParseAgent(f *testing.F) {
	data, err := testAgent().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"platforms":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAgent(data)
		if err != nil {
			return
		}
		once, err := a.Encode()
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if b, err := ParseAgent(once); err != nil || b.Version != a.Version {
			t.Fatalf("what was written can't be read: %v", err)
		}
	})
}
