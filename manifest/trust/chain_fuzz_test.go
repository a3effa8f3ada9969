package trust_test

import (
	"context"
	"testing"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// FuzzChain offers any bytes as the second of two roots: a chain never holds what the first has not signed.
func FuzzChain(f *testing.F) {
	forge := newForge(f, "drc")
	first := forge.files["metadata/1.root.json"]
	forge.rotate(func() {})
	second := forge.files["metadata/2.root.json"]
	f.Add(second)
	f.Add(first)
	f.Add(second[:len(second)/2])
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := map[string][]byte{"metadata/1.root.json": first, "metadata/2.root.json": data}
		chain, err := trust.SourceRoots(context.Background(), manifesttest.NewSource(files))
		if err != nil || len(chain) > 2 || len(chain) == 2 && !trust.SameRoot(chain[1], second) {
			t.Errorf("%d roots, %v", len(chain), err)
		}
	})
}

// FuzzFingerprint reads what people may write down.
func FuzzFingerprint(f *testing.F) {
	for _, s := range []string{"7731-0482-9955-1206", "7731 0482 9955 1206", "", "7731–0482–9955–1206", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := trust.ReadFingerprint(s)
		if err != nil {
			return
		}
		if again, err := trust.ReadFingerprint(got); err != nil || again != got || len(got) != 19 {
			t.Errorf("%q became %q, then %q, %v", s, got, again, err)
		}
	})
}
