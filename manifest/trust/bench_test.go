package trust_test

import (
	"context"
	"testing"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func BenchmarkRefreshNew(b *testing.B) {
	f := newForge(b, "drc")
	files := f.next()
	for b.Loop() {
		c, err := trust.Scratch(f.files["metadata/1.root.json"], trust.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Refresh(context.Background(), manifesttest.NewSource(files), true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRefreshUnchanged(b *testing.B) {
	f := newForge(b, "drc")
	src := manifesttest.NewSource(f.next())
	c, err := trust.Scratch(f.files["metadata/1.root.json"], trust.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Refresh(context.Background(), src, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	f := newForge(b, "drc")
	for b.Loop() {
		if _, err := trust.Fingerprint(f.files["metadata/1.root.json"]); err != nil {
			b.Fatal(err)
		}
	}
}
