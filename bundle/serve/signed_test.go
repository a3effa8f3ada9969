package serve

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
)

// TestOnlySigned: a folder holds more than what is signed, and what is signed may change.
func TestOnlySigned(t *testing.T) {
	p := newPlace(t)
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "folder")
	c := pack.Contents{Documents: p.published, Releases: []*manifest.Release{p.release}, Store: p.store, AsHere: true}
	if _, err := pack.Write(ctx, dir, c); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(path)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	others := []string{"targets/private.txt", "targets/releases/note.txt", "metadata/root-1.key", "metadata/2.root.json.bak", "metadata/7.snapshot.json"}
	for _, path := range others {
		write(path, "a note of the centre")
	}
	src, err := fetch.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	s, err := OpenSource(ctx, src, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHandler(s, nil)
	status := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+path, nil))
		return w.Code
	}
	for _, path := range others {
		if got := status(path); got != http.StatusNotFound {
			t.Errorf("%s, which nobody has signed: %d", path, got)
		}
	}
	for path := range p.published {
		if got := status(path); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
	write(bundle.TimestampPath, "something else")
	if got := status(bundle.TimestampPath); got != http.StatusNotFound {
		t.Errorf("a document that is something else now: %d", got)
	}
}
