package author

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	inmemory "github.com/google/go-containerregistry/pkg/registry"

	"dhow/bundle"
	"dhow/manifest"
)

// counting is a registry in memory that counts what is asked of it.
type counting struct {
	host         string
	down         bool
	blobs, heads atomic.Int64
}

func countingRegistry(t *testing.T) *counting {
	t.Helper()
	c := &counting{}
	inner := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case c.down:
			w.WriteHeader(http.StatusNotImplemented) // the others are asked again, after a pause
			return
		case r.Method == http.MethodHead:
			c.heads.Add(1)
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/"):
			c.blobs.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c.host = strings.TrimPrefix(server.URL, "http://")
	return c
}

// TestMirrorGivesBytesAndNoNames: an image comes from the mirror when that has the very image which the registry names, and else from the
// registry, at the cost of a question.
func TestMirrorGivesBytesAndNoNames(t *testing.T) {
	registry, mirror := countingRegistry(t), countingRegistry(t)
	right := image(t, imageSpec{content: []string{"base", "right"}})
	old := image(t, imageSpec{content: []string{"base", "old"}})
	push(t, registry.host+"/app:1", right)
	config, err := right.ConfigName()
	check(t, err)
	digest, err := right.Digest()
	check(t, err)
	m, err := manifest.ParseMirror(registry.host, "http://"+mirror.host+"/hub")
	check(t, err)
	create := func(ref string) (*manifest.Release, error) {
		dir := write(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: " + registry.host + "/app" + ref + "\n"})
		r, _, err := Create(t.Context(), Options{
			Version: "1.0.0", Fleet: "f", Project: "p", Files: []string{filepath.Join(dir, "compose.yaml")},
			Images: Registry{Mirrors: []manifest.Mirror{m}}, Store: openStore(t), Now: now,
		})
		return r, err
	}
	for _, c := range []struct {
		name     string
		prepare  func()
		ref      string
		fromHere bool
	}{
		{"the mirror has nothing", func() {}, ":1", false},
		{"the mirror is behind", func() { push(t, mirror.host+"/hub/app:1", old) }, ":1", false},
		{"the mirror has it under another tag", func() { push(t, mirror.host+"/hub/app:2", right) }, ":1", true},
		{"by digest", func() {}, "@" + digest.String(), true},
		{"the mirror is down", func() { mirror.down = true }, ":1", false},
	} {
		c.prepare()
		registry.blobs.Store(0)
		mirror.blobs.Store(0)
		r, err := create(c.ref)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := r.Images[0].Platforms[0].Config.Digest.String(); got != config.String() {
			t.Errorf("%s: another image is pinned", c.name)
		}
		if (registry.blobs.Load() == 0) != c.fromHere || (mirror.blobs.Load() > 0) != c.fromHere {
			t.Errorf("%s: %d blobs from the registry and %d from the mirror", c.name, registry.blobs.Load(), mirror.blobs.Load())
		}
	}
	mirror.down, registry.down = false, true // then nobody can say what the tag means
	if _, err := create(":1"); err == nil {
		t.Error("the tag of a mirror was believed")
	} else {
		isError(t, err, bundle.ErrUnreachable)
	}
	if _, err := create("@" + digest.String()); err != nil {
		t.Errorf("by digest: %v", err)
	}
}
