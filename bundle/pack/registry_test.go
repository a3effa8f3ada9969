package pack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"

	inmemory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

// registry is an in-memory registry that notes what it is asked, and may cut or refuse.
type registry struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	cut      int
	refuse   func(*http.Request) int
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	inner := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		cut, refuse := r.cut, r.refuse
		r.mu.Unlock()
		if refuse != nil {
			if code := refuse(req); code != 0 {
				w.WriteHeader(code)
				return
			}
		}
		if cut == 0 || req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/blobs/") {
			inner.ServeHTTP(w, req)
			return
		}
		c := &cutter{ResponseWriter: w, left: cut}
		inner.ServeHTTP(c, req)
		if c.left < 0 {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		n, _ := c.ResponseWriter.Write(p[:max(0, c.left)])
		c.left = -1
		return n, io.ErrShortWrite
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func (r *registry) spec() string {
	return "oci://" + strings.TrimPrefix(r.URL, "http://") + "/clinic/emr"
}

func (r *registry) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

func (r *registry) count(prefix, part string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if strings.HasPrefix(q, prefix) && strings.Contains(q, part) {
			n++
		}
	}
	return n
}

func source(t *testing.T, spec string) bundle.Source {
	t.Helper()
	src, err := fetch.Open(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func wantsOf(t *testing.T, r *manifest.Release) []fetch.Want {
	t.Helper()
	wants, err := fetch.Wants(nil, r, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	return wants
}

func TestPublishOCI(t *testing.T) {
	s, r := bundletest.Sample(t, 100_000)
	reg := newRegistry(t)
	var done, total int64
	err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), func(d, of int64) { done, total = d, of })
	if err != nil {
		t.Fatal(err)
	}
	if done != total || total != fetch.Size(wantsOf(t, r)) {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	reg.mu.Lock()
	last := ""
	for _, q := range reg.requests {
		if !strings.HasPrefix(q, http.MethodGet) && !strings.HasPrefix(q, http.MethodHead) {
			last = q
		}
	}
	if last != "PUT /v2/clinic/emr/manifests/manifest" {
		t.Errorf("the last thing put was %s", last)
	}
	reg.mu.Unlock()

	reg.forget()
	src := source(t, reg.spec())
	for path, want := range bundletest.Documents() {
		if got, err := src.Document(ctx, path, 1000); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, error %v", path, got, err)
		}
	}
	if _, err := src.Document(ctx, "metadata/2.root.json", 1000); err == nil || !strings.HasSuffix(err.Error(), "it is not there") {
		t.Errorf("error %v", err)
	}
	if _, err := src.Document(ctx, bundle.TimestampPath, 3); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if n := reg.count("GET", "/manifests/manifest"); n != 1 {
		t.Errorf("the tag was asked for %d times", n)
	}
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{src}, wantsOf(t, r), quick)
	if err != nil || moved.Bytes != fetch.Size(wantsOf(t, r)) {
		t.Errorf("moved %d, error %v", moved, err)
	}
	for _, i := range r.Images {
		if err := site.VerifyImage(ctx, i.Platforms[0]); err != nil {
			t.Error(err)
		}
	}
}

// TestPublishAgain: what the registry has is not sent again.
func TestPublishAgain(t *testing.T) {
	s, r := bundletest.Sample(t, 10_000)
	reg := newRegistry(t)
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	reg.forget()
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	if n := reg.count("POST", "") + reg.count("PATCH", "") + reg.count("PUT", ""); n != 0 {
		t.Errorf("%d things were sent again", n)
	}
	next := bundletest.Release(t, s, "1.1.0", r.Images[0],
		bundletest.Image(t, s, "clinic/db:1.1", "linux/amd64", r.Images[0].Platforms[0].Layers[0]))
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r, next), nil); err != nil {
		t.Fatal(err)
	}
	if n := reg.count("PATCH", "/blobs/"); n != 2 { // the compose file and the config; documents are the same
		t.Errorf("%d blobs were sent", n)
	}
	if n := reg.count("PUT", "/manifests/release-1.1.0"); n != 1 {
		t.Errorf("the new release was tagged %d times", n)
	}
}

// TestReleaseTag: any OCI tool can copy a release whole, because its index leads to everything.
func TestReleaseTag(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	reg := newRegistry(t)
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	get := func(what string) []byte {
		resp, err := http.Get(reg.URL + "/v2/clinic/emr/manifests/" + what)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, error %v", what, resp.Status, err)
		}
		return data
	}
	type document struct {
		ArtifactType string
		Manifests    []manifest.Blob
		Config       manifest.Blob
		Layers       []manifest.Blob
	}
	parse := func(data []byte) (d document) {
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	found := map[digest.Digest]bool{}
	for _, m := range parse(get("release-1.0.0")).Manifests {
		d := parse(get(m.Digest.String()))
		for _, b := range append(d.Layers, d.Config) {
			found[b.Digest] = true
		}
	}
	for _, w := range wantsOf(t, r) {
		if !found[w.Forms[0].Digest] {
			t.Errorf("the tag does not lead to %s", w.Forms[0].Digest)
		}
	}
	if got := parse(get("manifest")).ArtifactType; got != bundle.ManifestArtifactType {
		t.Errorf("the manifest is a %q", got)
	}
}

func TestFetchOverACutLine(t *testing.T) {
	s, r := bundletest.Sample(t, 200_000)
	reg := newRegistry(t)
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	reg.cut = 50_000
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{source(t, reg.spec())}, wantsOf(t, r), quick)
	if err != nil || moved.Bytes != fetch.Size(wantsOf(t, r)) {
		t.Errorf("moved %d of %d, error %v", moved, fetch.Size(wantsOf(t, r)), err)
	}
}

func TestRegistriesThatAnswerWrongly(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	full := newRegistry(t)
	if err := pack.PublishOCI(ctx, full.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Please log in</html>")
	}))
	defer html.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"layers":[]}`)
	}))
	defer other.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	repo := func(url string) string { return "oci://" + strings.TrimPrefix(url, "http://") + "/clinic/emr" }
	for _, c := range []struct {
		name, spec string
		kind       error
		want       string
	}{
		{"nothing published", newRegistry(t).spec(), bundle.ErrNoMetadata, `the repository holds no signed manifest: it has no tag "manifest"`},
		{"login page", repo(html.URL), bundle.ErrUnreachable, "a login page of the network?"},
		{"something else", repo(other.URL), bundle.ErrNoMetadata, `its tag "manifest" is something else`},
		{"nobody", repo(gone.URL), bundle.ErrUnreachable, "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := source(t, c.spec).Document(ctx, bundle.TimestampPath, 1000)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.spec) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	for code, kind := range map[int]error{401: bundle.ErrUnreachable, 403: bundle.ErrUnreachable, 500: bundle.ErrUnreachable, 429: bundle.ErrUnreachable} {
		full.mu.Lock()
		full.refuse = func(req *http.Request) int {
			if strings.Contains(req.URL.Path, "/blobs/") {
				return code
			}
			return 0
		}
		full.mu.Unlock()
		_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{source(t, full.spec())}, wantsOf(t, r), quick)
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("HTTP %d: error %v", code, err)
		}
	}
}

// TestLoginWithToken: a registry that sends sites to a token server first.
func TestLoginWithToken(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	reg := newRegistry(t)
	if err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	var tokens int
	reg.mu.Lock()
	reg.refuse = func(req *http.Request) int {
		if req.Header.Get("Authorization") != "Bearer good" {
			return http.StatusUnauthorized
		}
		return 0
	}
	reg.mu.Unlock()
	var front *httptest.Server
	front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			tokens++
			if got := req.URL.Query().Get("scope"); got != "repository:clinic/emr:pull" {
				t.Errorf("scope %q", got)
			}
			_, _ = io.WriteString(w, `{"token":"good"}`)
		case req.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+front.URL+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			reg.Config.Handler.ServeHTTP(w, req)
		}
	}))
	defer front.Close()
	spec := "oci://" + strings.TrimPrefix(front.URL, "http://") + "/clinic/emr"
	src := source(t, spec)
	if _, err := src.Document(ctx, bundle.TimestampPath, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, wantsOf(t, r), quick); err != nil {
		t.Error(err)
	}
	if tokens != 1 {
		t.Errorf("asked for %d tokens", tokens)
	}
}

func TestPublishFails(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	reg := newRegistry(t)
	reg.refuse = func(req *http.Request) int {
		if req.Method == http.MethodPost {
			return http.StatusForbidden
		}
		return 0
	}
	err := pack.PublishOCI(ctx, reg.spec(), contents(s, r), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot publish to "+reg.spec()+": blob sha256:") || !strings.Contains(err.Error(), "403") {
		t.Errorf("error %v", err)
	}
	if n := reg.count("PUT", "/manifests/"); n != 0 {
		t.Errorf("%d manifests were put", n)
	}
}

var quick = fetch.Options{Pause: time.Millisecond}
