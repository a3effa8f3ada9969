//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// A centre makes two releases of the clinic, and publishes them with what it has made small; all of it can be had from the registry by what
// was signed, and nobody has to know that there are deltas.
func TestCentreMakesDeltas(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, clinicStack)
	centre.deltas = true
	begin, made := time.Now(), centre.spent
	first := centre.release(t, "1.0.0", "1.0.0")
	whole, work := time.Since(begin), centre.spent-made
	begin = time.Now()
	second := centre.release(t, "1.1.0", "1.1.0")
	figure(t, "release create of the clinic: %.0f s for the first, with whole layers; %.0f s for the second, with deltas", whole.Seconds(), time.Since(begin).Seconds())
	for n, text := range []string{first, second} {
		want := []string{`Release 1\.0\.0 written: [0-9.]+ MB to a new site\.\n$`, `Release 1\.1\.0 written: [0-9]+ kB from 1\.0\.0 \([0-9.]+ MB to a new site\)\.\n$`}[n]
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("said %q, want %s", text, want)
		}
		_, said, _ := strings.Cut(strings.TrimSpace(text), "written: ")
		figure(t, "clinic %s: %s", []string{"1.0.0", "1.1.0"}[n], said)
	}
	source := "oci://" + world.registry + "/dhow-e2e/" + filepath.Base(filepath.Dir(centre.dir))
	centre.must(t, "pin", "1.1.0", "--ring", "pilot")
	text := centre.must(t, "publish", "--to", source)
	if !strings.Contains(text, "releases 1.0.0, 1.1.0, ") {
		t.Error(text)
	}

	ctx := context.Background()
	src, err := fetch.Open(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	root, err := os.ReadFile(centre.root())
	if err != nil {
		t.Fatal(err)
	}
	client, err := trust.Scratch(root, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Refresh(ctx, src, false); err != nil {
		t.Fatal(err)
	}
	store, err := bundle.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var wants []fetch.Want
	for _, v := range []string{"1.0.0", "1.1.0"} {
		w, err := client.Ways(ctx, src, v)
		if err != nil {
			t.Fatal(err)
		}
		if (v == "1.1.0") != strings.HasPrefix(w.Text(), "from 1.0.0 (") {
			t.Errorf("ways to %s: %s", v, w.Text())
		}
		for _, b := range w.Blobs() {
			wants = append(wants, fetch.Want{Forms: []manifest.Blob{b}})
		}
	}
	if _, err := fetch.Blobs(ctx, store, []bundle.Source{src}, wants, fetch.Options{}); err != nil {
		t.Error(err)
	}

	// Nothing is made a second time: neither by publish, nor by a release create that is repeated.
	made = centre.spent
	centre.must(t, "publish", "--to", source)
	centre.release(t, "1.1.0", "1.1.0")
	if again := centre.spent - made; again > work/2 {
		t.Errorf("repeating takes %s of a processor, the first time took %s", again, work)
	}
	var shown struct{ Ways *manifest.Ways }
	if err := json.Unmarshal([]byte(centre.must(t, "release", "show", "1.1.0", "--json")), &shown); err != nil || shown.Ways == nil {
		t.Errorf("%+v, %v", shown, err)
	}
	repo, err := sign.Open(centre.dir)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := repo.Ways("1.1.0"); err != nil || w.Text() != shown.Ways.Text() {
		t.Errorf("%v, %v", w, err)
	}
}
