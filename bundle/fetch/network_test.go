package fetch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
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

	inmemory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

// asked notes every request and the state of its connection; answer may replace the server's own answer.
type asked struct {
	*httptest.Server
	mu     sync.Mutex
	list   []string
	resume []bool
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func ask(t *testing.T, secure bool, inner http.Handler) *asked {
	t.Helper()
	a := &asked{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		line := r.Method + " " + r.URL.Path
		if r.Header.Get("If-None-Match") != "" {
			line += " if changed"
		}
		a.list = append(a.list, line)
		if r.TLS != nil {
			a.resume = append(a.resume, r.TLS.DidResume)
		}
		answer := a.answer
		a.mu.Unlock()
		if answer == nil || !answer(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		a.StartTLS()
	} else {
		a.Start()
	}
	t.Cleanup(a.Close)
	return a
}

func (a *asked) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// taken returns what was asked since the last call.
func (a *asked) taken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := strings.Join(a.list, ", ")
	a.list = nil
	return s
}

// pool trusts the certificate of a test server.
func (a *asked) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate())
	return pool
}

// stamp opens the source anew, as every poll does, and reads the timestamp.
func stamp(t *testing.T, n *fetch.Network, spec string) (string, error) {
	t.Helper()
	src, err := n.Open(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	data, err := src.Document(ctx, bundle.TimestampPath, 10_000)
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	return string(data), err
}

// tagged serves files with ETags that are made of their content, as web servers do by their time and size.
func tagged(dir string) http.Handler {
	inner := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain := r.Clone(r.Context())
		plain.Header = http.Header{}
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, plain)
		if rec.Code == http.StatusOK {
			w.Header().Set("ETag", `"`+digest.FromBytes(rec.Body.Bytes()).Encoded()[:16]+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(rec.Body.Bytes()))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func TestUnchangedOverTheWebIsOneQuestionOverAResumedConnection(t *testing.T) {
	p := publish(t, 1000)
	web := ask(t, true, tagged(p.dir))
	n := fetch.NewNetwork()
	n.TLS().RootCAs = web.pool()
	want := string(bundletest.Documents()[bundle.TimestampPath])
	for i := range 3 {
		got, err := stamp(t, n, web.URL)
		if err != nil || got != want {
			t.Fatalf("%q, error %v", got, err)
		}
		question := "GET /metadata/timestamp.json"
		if i > 0 {
			question += " if changed"
		}
		if got := web.taken(); got != question {
			t.Errorf("poll %d asked %s", i, got)
		}
	}
	if got := fmt.Sprint(web.resume); got != "[false true true]" {
		t.Errorf("connections resumed: %s", got)
	}
	web.set(func(w http.ResponseWriter, r *http.Request) bool {
		if got := fmt.Sprintf("%d %s %d", len(r.Header), r.UserAgent(), r.ProtoMajor); got != "3 dhow 1" {
			t.Errorf("headers %v over HTTP %d", r.Header, r.ProtoMajor)
		}
		_, _ = io.WriteString(w, "something new")
		return true
	})
	if got, err := stamp(t, n, web.URL); got != "something new" || err != nil {
		t.Errorf("%q, error %v", got, err)
	}
	web.set(nil) // the newest answer had no ETag
	if _, err := stamp(t, n, web.URL); err != nil || web.taken() != "GET /metadata/timestamp.json if changed, GET /metadata/timestamp.json" {
		t.Errorf("error %v", err)
	}
}

// TestServersThatLieAboutChanges: the worst that they reach is what they could serve anyway.
func TestServersThatLieAboutChanges(t *testing.T) {
	p := publish(t, 1000)
	web := ask(t, false, tagged(p.dir))
	n := fetch.NewNetwork()
	unchanged := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	web.set(unchanged)
	_, err := stamp(t, n, web.URL)
	if !errors.Is(err, bundle.ErrUnreachable) || !strings.HasSuffix(err.Error(), "it says that nothing changed and was not asked (HTTP 304)") {
		t.Errorf("error %v", err)
	}
	src, err := n.Open(ctx, web.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = src.Document(ctx, bundle.RootPath(1), 1000); !errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	if _, err := src.Blob(ctx, p.wants[0].Forms[0], 0); !errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	web.set(nil)
	first, err := stamp(t, n, web.URL)
	if err != nil {
		t.Fatal(err)
	}
	web.set(unchanged)
	if got, err := stamp(t, n, web.URL); got != first || err != nil {
		t.Errorf("%q, error %v", got, err)
	}
	// An ETag that can't be sent back, one that is too long, and the same one for other content.
	for _, etag := range []string{`"é"`, `"` + strings.Repeat("e", 300) + `"`, `"same"`, `"same"`} {
		web.taken()
		web.set(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header()["Etag"] = []string{etag}
			_, _ = fmt.Fprintf(w, "content %d", time.Now().UnixNano())
			return true
		})
		a, errA := stamp(t, n, web.URL)
		b, errB := stamp(t, n, web.URL)
		if a == b || errA != nil || errB != nil {
			t.Errorf("ETag %.20q: %q and %q, errors %v and %v", etag, a, b, errA, errB)
		}
	}
}

// TestKeepIsBounded: a server that names many large documents does not fill the memory of a site.
func TestKeepIsBounded(t *testing.T) {
	n := fetch.NewNetwork()
	for i := range 100 {
		web := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"1"`)
			_, _ = w.Write(bytes.Repeat([]byte{'x'}, 9_000+i))
		}))
		for range 2 {
			if _, err := stamp(t, n, web.URL); err != nil {
				t.Fatal(err)
			}
		}
		web.Close()
	}
	documents, size := n.Kept()
	if documents < 50 || size > 1<<20 {
		t.Errorf("%d documents of %d bytes are kept", documents, size)
	}
}

func TestUnchangedOverARegistryIsOneQuestion(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	memory := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	withETags := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
			memory.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		memory.ServeHTTP(rec, r)
		etag := `"` + rec.Header().Get("Docker-Content-Digest") + `"`
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	noDigest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		memory.ServeHTTP(rec, r)
		if r.UserAgent() == "dhow" {
			rec.Header().Del("Docker-Content-Digest")
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	const tag = "/v2/clinic/emr/manifests/manifest"
	for _, c := range []struct {
		name    string
		handler http.Handler
		polls   []string // the blob of the timestamp is asked for once
	}{
		{"with ETags", withETags, []string{"GET /v2/, GET " + tag + ", BLOB", "GET " + tag + " if changed", "GET " + tag + " if changed"}},
		{"without", memory, []string{"GET /v2/, GET " + tag + ", BLOB", "HEAD " + tag, "HEAD " + tag}},
		{"without digests", noDigest, []string{"GET /v2/, GET " + tag + ", BLOB", "HEAD " + tag + ", GET " + tag}},
		{"with deaf ETags", deaf(memory), []string{
			"GET /v2/, GET " + tag + ", BLOB", "GET " + tag + " if changed", "HEAD " + tag, "HEAD " + tag,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := ask(t, false, c.handler)
			spec := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/clinic/emr"
			if err := pack.PublishOCI(ctx, spec, contents(s, r), nil); err != nil {
				t.Fatal(err)
			}
			server.taken()
			n := fetch.NewNetwork()
			blob := "GET /v2/clinic/emr/blobs/" + digest.FromBytes(bundletest.Documents()[bundle.TimestampPath]).String()
			for i, want := range c.polls {
				if _, err := stamp(t, n, spec); err != nil {
					t.Fatal(err)
				}
				if got := strings.ReplaceAll(server.taken(), blob, "BLOB"); got != want {
					t.Errorf("poll %d asked %s, want %s", i, got, want)
				}
			}
			next := contents(s, r)
			next.Documents[bundle.TimestampPath] = []byte("the next one")
			if err := pack.PublishOCI(ctx, spec, next, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := stamp(t, n, spec); got != "the next one" || err != nil {
				t.Errorf("after a publish: %q, error %v", got, err)
			}
		})
	}
}

// deaf gives ETags and does not heed them.
func deaf(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		inner.ServeHTTP(w, r)
	})
}

// TestTokens: a registry that wants tokens is asked for one as seldom as they expire.
func TestTokens(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	memory := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	life, token, refuse := 3600, "first", false
	var server *asked
	server = ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprintf(w, `{"access_token": %q, "expires_in": %d}`, token, life)
		case refuse:
			w.WriteHeader(http.StatusForbidden)
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:clinic/emr:pull,push"`, server.URL))
			w.WriteHeader(http.StatusUnauthorized)
		default:
			memory.ServeHTTP(w, r)
		}
	}))
	spec := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/clinic/emr"
	if err := pack.PublishOCI(ctx, spec, contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	const tag = " /v2/clinic/emr/manifests/manifest"
	n := fetch.NewNetwork()
	poll := func(want string) {
		t.Helper()
		server.taken()
		_, err := stamp(t, n, spec)
		if got := server.taken(); got != want {
			t.Errorf("asked %s, want %s; error %v", got, want, err)
		}
	}
	if _, err := stamp(t, n, spec); err != nil {
		t.Fatal(err)
	}
	poll("HEAD" + tag)
	token = "second" // the first was revoked
	life = 1         // and this one is over when it comes
	poll("HEAD" + tag + ", GET /token, HEAD" + tag)
	poll("GET /token, HEAD" + tag) // without a question that would be refused
	n = fetch.NewNetwork()
	if _, err := stamp(t, n, spec); err != nil {
		t.Fatal(err)
	}
	poll("GET /token, HEAD" + tag)
	refuse = true
	if _, err := stamp(t, n, spec); !errors.Is(err, bundle.ErrUnreachable) || !strings.Contains(err.Error(), "access is refused (HTTP 403)") {
		t.Errorf("error %v", err)
	}
	refuse = false
	poll("GET /v2/, GET /token, HEAD" + tag) // the password may be another now
}

// TestPause: what a server that has too much to do asks for is heard, within bounds.
func TestPause(t *testing.T) {
	now := time.Date(2015, 10, 21, 7, 28, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		after  string
		want   time.Duration
	}{
		{503, "120", 2 * time.Minute},
		{429, "120", 2 * time.Minute},
		{500, "120", 0},
		{200, "120", 0},
		{503, "", 0},
		{503, "-5", 0},
		{503, "soon", 0},
		{503, "99999999", 6 * time.Hour},
		{503, now.Add(time.Hour).Format(http.TimeFormat), time.Hour},
		{503, now.Add(-time.Hour).Format(http.TimeFormat), 0},
	} {
		n := fetch.NewNetwork()
		web := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.WriteHeader(c.status)
		}))
		line := overLine(web.URL)
		for _, spec := range []string{line, web.URL} {
			_, _ = stamp(t, n, spec)
			want := c.want
			if spec == web.URL { // a neighbour is heard for minutes only
				want = min(want, 5*time.Minute)
			}
			if got := n.Pause([]string{spec}); got > want || got < want-10*time.Second {
				t.Errorf("%s: %d with %q: %v, want %v", spec, c.status, c.after, got, want)
			}
		}
		if n.Pause([]string{line, "https://example.org/emr"}) != 0 || n.Pause([]string{line, "/media/usb"}) != 0 || n.Pause(nil) != 0 {
			t.Error("one source keeps a site from all")
		}
		if got := n.Pause([]string{line, web.URL}); got > min(c.want, 5*time.Minute) {
			t.Errorf("the shortest pause of two is %v", got)
		}
	}
}

// overLine is the address of a server of this computer that no name calls a neighbour.
func overLine(address string) string { return strings.Replace(address, "127.0.0.1", "0.0.0.0", 1) }

// TestPauseOfAnother: whoever a source sends us to is heard for minutes only, under the name of the source.
func TestPauseOfAnother(t *testing.T) {
	busy := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20000")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	web := ask(t, false, http.RedirectHandler(overLine(busy.URL)+"/x", http.StatusFound))
	n := fetch.NewNetwork()
	spec := overLine(web.URL)
	if _, err := stamp(t, n, spec); !errors.Is(err, fetch.ErrBusy) {
		t.Fatalf("error %v", err)
	}
	if got := n.Pause([]string{spec}); got > 5*time.Minute || got < 4*time.Minute {
		t.Errorf("pause %v", got)
	}
	if got := n.Pause([]string{overLine(busy.URL)}); got != 0 {
		t.Errorf("pause of the other %v", got)
	}
}

// TestRedirectOutOfTheBuilding: bytes of a neighbour are free, those of a line are not.
func TestRedirectOutOfTheBuilding(t *testing.T) {
	p := publish(t, 1000)
	far := files(t, p)
	near := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, overLine(far.URL)+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	n := fetch.NewNetwork()
	for _, spec := range []string{near.URL, "oci://" + strings.TrimPrefix(near.URL, "http://") + "/emr"} {
		src, err := n.Open(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
		want := "it is in the local network and sends us on to " + strings.TrimPrefix(overLine(far.URL), "http://") + ", which is not"
		if !errors.Is(err, bundle.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", spec, err)
		}
	}
	if line, _ := n.Traffic(); line != 0 || far.count("") != 0 {
		t.Errorf("%d bytes over the line, %d requests", line, far.count(""))
	}
}

// TestOldServers: without X25519 or TLS 1.3 it takes more bytes, and works.
func TestOldServers(t *testing.T) {
	p := publish(t, 1000)
	for _, config := range []*tls.Config{
		{MaxVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{tls.CurveP256}},
		{CurvePreferences: []tls.CurveID{tls.CurveP384}},
	} {
		web := httptest.NewUnstartedServer(tagged(p.dir))
		web.TLS = config
		web.StartTLS()
		t.Cleanup(web.Close)
		n := fetch.NewNetwork()
		n.TLS().RootCAs = (&asked{Server: web}).pool()
		for range 2 {
			if _, err := stamp(t, n, web.URL); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNetworkIsSharedByManySources(t *testing.T) {
	p := publish(t, 50_000)
	web := ask(t, true, tagged(p.dir))
	n := fetch.NewNetwork()
	n.TLS().RootCAs = web.pool()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			src, err := n.Open(context.Background(), web.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer src.Close()
			if _, err := src.Document(ctx, bundle.TimestampPath, 10_000); err != nil {
				t.Error(err)
			}
			if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// TestDocumentsByDigest: what has its digest in its path is found without a list of everything.
func TestDocumentsByDigest(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	server := ask(t, false, inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0))))
	spec := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/clinic/emr"
	next := contents(s, r)
	text := []byte("many sites")
	d := digest.FromBytes(text)
	path := "targets/sites/" + d.Encoded() + ".json.zst"
	next.Documents[path] = text
	if err := pack.PublishOCI(ctx, spec, next, nil); err != nil {
		t.Fatal(err)
	}
	src := open(t, spec)
	if got, err := src.Document(ctx, path, 100); err != nil || string(got) != string(text) {
		t.Errorf("%q, error %v", got, err)
	}
	if _, err := src.Document(ctx, path, 3); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	gone := "targets/" + digest.FromString("x").Encoded() + ".y"
	if _, err := src.Document(ctx, gone, 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	server.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/clinic/emr/manifests/manifest" {
			return false
		}
		_, _ = io.WriteString(w, "another")
		return true
	})
	if _, err := src.Document(ctx, path, 100); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	server.set(nil)
	for tag, listed := range map[string]bool{bundle.ManifestTag: false, bundle.DocumentsTag: true} {
		resp, err := http.Get(server.URL + "/v2/clinic/emr/manifests/" + tag)
		if err != nil {
			t.Fatal(err)
		}
		list, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || strings.Contains(string(list), path) != listed {
			t.Errorf("the tag %s lists it: %v, error %v", tag, !listed, err)
		}
	}
}
