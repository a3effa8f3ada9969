package pack_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/pack"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// listed returns the layers of an artifact, none when there is no such tag.
func listed(t *testing.T, reg *registry, tag string) (all []digest.Digest) {
	t.Helper()
	resp, err := http.Head(reg.URL + "/v2/clinic/emr/manifests/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	var a struct {
		Layers []struct{ Digest digest.Digest }
	}
	manifestAt(t, reg.spec(), tag, bundle.OCIManifestMediaType, &a)
	for _, l := range a.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// Each publication has other ways to a release, and the registry dies at every request of one in turn, the publication that follows is a third.
// The tags name at all times what sites that read the newest manifest, or the one before it, may ask for.
func TestTagsNameWhatSitesFetch(t *testing.T) {
	s, r, w := led(t)
	reg := newRegistry(t)
	deltas := map[string]digest.Digest{}
	publish := func(text string) error {
		b := bundletest.Put(t, s, []byte("delta of "+text))
		deltas[text] = b.Digest
		other := *w
		other.Layers = []manifest.LayerWays{{DiffID: w.Layers[0].DiffID, Deltas: []manifest.Delta{{Blob: b, Base: digest.FromString("x"), From: "1.0.0"}}}}
		c, err := pack.Begin(ctx, reg.spec(), marie)
		if err != nil {
			return err
		}
		defer c.End()
		all := contents(s, r)
		all.Documents[bundle.TimestampPath] = []byte(text)
		all.Ways = []*manifest.Ways{&other}
		return c.Publish(ctx, all, nil)
	}
	read := func() string {
		text, err := source(t, reg.spec()).Document(ctx, bundle.TimestampPath, 100)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	last, newest := "", ""
	look := func(when string) {
		t.Helper()
		if now := read(); now != newest {
			last, newest = newest, now
		}
		tag := bundle.BlobsTag(r.Version)
		all := append(listed(t, reg, tag), listed(t, reg, tag+bundle.BeforeSuffix)...)
		if !slices.Contains(all, deltas[newest]) {
			t.Fatalf("%s: no tag names the delta of %s, which sites read", when, newest)
		}
		if last != "" && !slices.Contains(all, deltas[last]) {
			t.Fatalf("%s: no tag names the delta of %s, which sites read before %s", when, last, newest)
		}
	}
	for n := range 2 {
		if err := publish(fmt.Sprint("first ", n)); err != nil {
			t.Fatal(err)
		}
		look("at first")
	}
	for n := 0; ; n++ {
		dying(reg, n)
		err := publish(fmt.Sprint("cut ", n))
		reg.lives()
		if err == nil {
			look("not cut")
			break
		}
		last = "" // the swap after next has begun
		look(fmt.Sprintf("cut at request %d", n))
		dying(reg, n+2)
		_ = publish(fmt.Sprint("again ", n))
		reg.lives()
		last = ""
		look(fmt.Sprintf("cut at request %d, and again", n))
		if err := publish(fmt.Sprint("whole ", n)); err != nil {
			t.Fatal(err)
		}
		look(fmt.Sprintf("after request %d", n))
	}
	// What was never read does not stay for ever.
	for n := range 2 {
		if err := publish(fmt.Sprint("last ", n)); err != nil {
			t.Fatal(err)
		}
		look("at last")
	}
	tag := bundle.BlobsTag(r.Version)
	if now, before := listed(t, reg, tag), listed(t, reg, tag+bundle.BeforeSuffix); len(now) != len(before) || slices.Equal(now, before) {
		t.Errorf("%d blobs are listed now, and %d before", len(now), len(before))
	}
	// The same once more may only add: its lists could be those of another computer, which has other bytes.
	all := contents(s, r)
	all.Documents[bundle.TimestampPath] = []byte("last 1")
	if err := pack.PublishOCI(ctx, reg.spec(), all, nil); err != nil {
		t.Fatal(err)
	}
	look("without ways")
}
