package manifest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func someWays() *Ways {
	d := func(s string) digest.Digest { return digest.FromString(s) }
	return &Ways{Format: 1, Fleet: "emr", Version: "1.1.0", Layers: []LayerWays{
		{DiffID: d("b"), Full: &Blob{Digest: d("b.zst"), Size: 70}, Deltas: []Delta{
			{Blob: Blob{Digest: d("large"), Size: 9}, Base: d("config"), From: "1.0.0"},
			{Blob: Blob{Digest: d("small"), Size: 5}, Base: d("config"), From: "0.9.0", Spool: 100},
		}},
		{DiffID: d("a"), Deltas: []Delta{{Blob: Blob{Digest: d("small"), Size: 5}, Base: d("config"), From: "1.0.0"}}},
	}}
}

func TestWays(t *testing.T) {
	w := someWays()
	data, err := w.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseWays(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(data) {
		t.Errorf("encoded again it is other bytes (%v)", err)
	}
	b := digest.FromString("b")
	if deltas := got.Of(b).Deltas; len(deltas) != 2 || deltas[0].Size != 5 {
		t.Errorf("deltas of b: %v, want the smallest first", deltas)
	}
	if l := got.Of(digest.FromString("z")); l.Full != nil || l.Deltas != nil {
		t.Errorf("an unknown layer has ways: %v", l)
	}
	if l := (*Ways)(nil).Of(b); !reflect.DeepEqual(l, LayerWays{DiffID: b}) {
		t.Errorf("no ways have ways: %v", l)
	}
	if n := len(got.Blobs()); n != 3 {
		t.Errorf("%d blobs, want 3: one is named twice", n)
	}
}

func TestBadWays(t *testing.T) {
	for _, test := range []struct {
		name, want string
		is         error
		spoil      func(w *Ways)
	}{
		{"twice", "it is there twice", ErrInvalid, func(w *Ways) { w.Layers[1].DiffID = w.Layers[0].DiffID }},
		{"digest", "is not a sha256 digest", ErrInvalid, func(w *Ways) { w.Layers[0].Deltas[0].Digest = "sha256:../../x" }},
		{"base", "is not a sha256 digest", ErrInvalid, func(w *Ways) { w.Layers[0].Deltas[0].Base = "md5:00" }},
		{"size", "full has -1 bytes", ErrInvalid, func(w *Ways) { w.Layers[0].Full.Size = -1 }},
		{"spool", "the spool has -5 bytes", ErrInvalid, func(w *Ways) { w.Layers[0].Deltas[1].Spool = -5 }},
		{"from", "a version looks like", ErrInvalid, func(w *Ways) { w.Layers[0].Deltas[1].From = "" }},
		{"many", "deltas, at most 64", ErrTooLarge, func(w *Ways) { w.Layers[0].Deltas = make([]Delta, 65) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := someWays()
			test.spoil(w)
			if _, err := w.Encode(); !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := ParseWays([]byte(`{"format":2}`)); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
}

func FuzzWays(f *testing.F) {
	data, err := someWays().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"layers":[{"full":{}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := ParseWays(data)
		if err != nil {
			return
		}
		out, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseWays(out); err != nil {
			t.Fatal(err)
		}
	})
}
