package trust_test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	inmemory "github.com/google/go-containerregistry/pkg/registry"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
)

// TestBadRegistry offers a site what a registry, or something in its place, may do wrong.
func TestBadRegistry(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, login)
		return true
	}
	at := func(part string, do func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, part) && do(w, r)
		}
	}
	text := func(s string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, s); return true }
	}
	for _, c := range []struct {
		name  string
		serve func(w http.ResponseWriter, r *http.Request) bool
		kind  error
		want  string
	}{
		{"a captive portal", page, bundle.ErrUnreachable, `a web page came instead of the content (a login page of the network?)`},
		{"a page for the manifest", at("/manifests/", page), bundle.ErrUnreachable, `a web page came instead of the content (a login page of the network?)`},
		{"nothing there", at("/manifests/", func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }), bundle.ErrNoMetadata, `the repository holds no signed manifest: it has no tag "manifest"`},
		{"a tag that is an image", at("/manifests/", text(`{"schemaVersion":2,"config":{"digest":"sha256:00"},"layers":[]}`)), bundle.ErrNoMetadata, `the repository holds no signed manifest: its tag "manifest" is something else`},
		{"a tag that is a list", at("/manifests/", text(`[]`)), bundle.ErrDamaged, `the tag "manifest" is damaged: it is no list of documents`},
		{"deeply nested", at("/manifests/", text(strings.Repeat(`{"a":`, 5000))), bundle.ErrDamaged, `the tag "manifest" is damaged: larger than allowed: nested more than 8 deep`},
		{"a key that stands twice", at("/manifests/", text(`{"layers":[],"layers":[]}`)), bundle.ErrDamaged, `the tag "manifest" is damaged: not valid: the key "layers" stands twice in one object`},
		{"a document outside", at("/manifests/", text(`{"artifactType":"application/vnd.dhow.manifest.v1","layers":[{"annotations":{"org.opencontainers.image.title":"../x"}}]}`)), bundle.ErrUnsafePath, `the tag "manifest" names "../x": path outside its folder`},
		{"endless data", at("/manifests/", func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 65536)); err != nil {
					return true
				}
			}
			return true
		}), bundle.ErrTooLarge, `larger than allowed: more than 4194304 bytes`},
		{"another file", at("/blobs/", text(`{"signed":{}}`)), bundle.ErrDamaged, `cannot read blob sha256:…: blob sha256:… is damaged: the server has 13 bytes, not 508`},
		{"a redirect to a login page", func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/login":
				return page(w, r)
			case strings.Contains(r.URL.Path, "/blobs/"):
				http.Redirect(w, r, "/login", http.StatusFound)
				return true
			}
			return false
		}, bundle.ErrUnreachable, `cannot read blob sha256:…: a web page came instead of the content (a login page of the network?)`},
		{"no entry", at("/manifests/", func(w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, "who are you?", http.StatusForbidden)
			return true
		}), bundle.ErrUnreachable, `source does not answer: access is refused (HTTP 403); nobody has logged in to HOST here (docker login HOST)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t, "drc")
			first := f.files["metadata/1.root.json"]
			before := f.next()
			inner, bad := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0))), false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !bad || !c.serve(w, r) {
					inner.ServeHTTP(w, r)
				}
			}))
			defer server.Close()
			place := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/drc"
			if err := pack.PublishOCI(context.Background(), place, pack.Contents{Documents: f.next()}, nil); err != nil {
				t.Fatal(err)
			}
			s := newSite(t, first)
			s.must(before, false)
			disk := s.disk()
			bad = true
			src, err := fetch.Open(context.Background(), place)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Refresh(context.Background(), src, false)
			_ = src.Close()
			if err == nil {
				t.Fatal("it was accepted")
			}
			got := variable.ReplaceAllString(strings.ReplaceAll(err.Error(), place, "SOURCE"), "…")
			got = strings.ReplaceAll(got, strings.TrimPrefix(server.URL, "http://"), "HOST")
			if want := "SOURCE: cannot read metadata/timestamp.json: " + c.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !errors.Is(err, c.kind) {
				t.Errorf("%v is not of the kind %v", err, c.kind)
			}
			if s.number() != 1 || !maps.Equal(s.disk(), disk) {
				t.Error("the state has changed")
			}
			bad = false
			if src, err = fetch.Open(context.Background(), place); err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if m, err := s.Refresh(context.Background(), src, false); err != nil || m.Number != 2 {
				t.Errorf("afterwards: %v %v", m, err)
			}
		})
	}
}
