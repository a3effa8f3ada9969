package fetch_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"

	inmemory "github.com/google/go-containerregistry/pkg/registry"
)

// guarded is a registry that lets in who has a token, and its server of tokens, which gives one to who knows the password.
type guarded struct {
	*asked
	published
	token *asked

	lock     sync.Mutex
	valid    string // the token that is taken
	made     int
	user     string // with its password; empty lets everybody in
	password string
	refresh  string   // an identity token that is taken in place of the password
	leaks    []string // requests with a login that belongs elsewhere
}

// guard publishes a release in a registry of its own. blobs, which may be nil, answers requests for blobs once they are let in.
func guard(t *testing.T, size int, blobs http.HandlerFunc) *guarded {
	t.Helper()
	g := &guarded{valid: "none yet"}
	memory := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	plain := httptest.NewServer(memory)
	t.Cleanup(plain.Close)
	s, r := bundletest.Sample(t, size)
	if err := pack.PublishOCI(ctx, "oci://"+strings.TrimPrefix(plain.URL, "http://")+"/clinic/emr", contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	wants, err := fetch.Wants(nil, r, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	g.published = published{store: s, release: r, wants: wants}
	g.token = ask(t, false, http.HandlerFunc(g.give))
	g.asked = ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.lock.Lock()
		in := r.Header.Get("Authorization") == "Bearer "+g.valid
		g.lock.Unlock()
		switch {
		case !in:
			// The server of tokens is called by another name, as it is in a LAN where each has its own address.
			w.Header().Set("WWW-Authenticate", `Basic realm="x y", Bearer realm="`+strings.Replace(g.token.URL, "127.0.0.1", "localhost", 1)+`/token?a=b",service="emr \"1\""`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/blobs/") && blobs != nil:
			blobs(w, r)
		default:
			memory.ServeHTTP(w, r)
		}
	}))
	return g
}

func (g *guarded) give(w http.ResponseWriter, r *http.Request) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if got := r.FormValue("scope"); got != "repository:clinic/emr:pull" {
		g.leaks = append(g.leaks, "scope "+got)
	}
	if got := r.FormValue("service"); got != `emr "1"` {
		g.leaks = append(g.leaks, "service "+got)
	}
	user, password, _ := r.BasicAuth()
	if r.Method == http.MethodPost {
		if g.refresh == "" {
			http.NotFound(w, r)
			return
		}
		user, password = g.user, g.password
		if r.FormValue("refresh_token") != g.refresh || r.FormValue("grant_type") != "refresh_token" {
			user = ""
		}
	}
	if g.user != "" && (user != g.user || password != g.password) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.made++
	g.valid = fmt.Sprint("token-", g.made)
	_, _ = fmt.Fprintf(w, `{"token": %q, "expires_in": 3600}`, g.valid)
}

func (g *guarded) revoke() {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.valid = "another"
}

func (g *guarded) host() string { return strings.TrimPrefix(g.URL, "http://") }

func (g *guarded) spec() string { return "oci://" + g.host() + "/clinic/emr" }

// TestTokenThatEndsInTheMiddle: the blob goes on at its byte with a new token, and none of it crosses the line again.
func TestTokenThatEndsInTheMiddle(t *testing.T) {
	var g *guarded
	served := 0
	g = guard(t, 400_000, func(w http.ResponseWriter, r *http.Request) {
		f := &faulty{ResponseWriter: w, cut: 50_000}
		rec := r.Clone(r.Context())
		data := contentAt(t, g.store, r.URL.Path)
		http.ServeContent(f, rec, "", bundletest.Made, strings.NewReader(string(data)))
		served += f.n
		if f.broken {
			g.revoke() // each connection breaks, and then the token is over
			panic(http.ErrAbortHandler)
		}
	})
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, g.spec())}, g.wants, quick)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, g.wants)
	if want := fetch.Size(g.wants); moved.Bytes != want || int64(served) != want {
		t.Errorf("%d bytes came and %d were sent, of %d", moved.Bytes, served, want)
	}
	pings := strings.Count(g.taken(), "GET /v2/,")
	if g.made < 8 || pings != 1 || len(g.leaks) > 0 {
		t.Errorf("%d tokens, %d questions how to log in, %v", g.made, pings, g.leaks)
	}
}

// TestTokenThatIsNeverTaken: a registry that refuses each token it has ordered is asked once more, and not for ever.
func TestTokenThatIsNeverTaken(t *testing.T) {
	g := guard(t, 1000, nil)
	g.asked.set(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+g.token.URL+`/token",service="emr \"1\""`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	_, err := stamp(t, fetch.NewNetwork(), g.spec())
	want := g.spec() + ": cannot read metadata/timestamp.json: source does not answer: access is refused (HTTP 401); nobody has logged in to " +
		g.host() + " here (docker login " + g.host() + ")"
	if err == nil || err.Error() != want || !errors.Is(err, bundle.ErrUnreachable) || g.made != 2 {
		t.Errorf("%d tokens, error %v", g.made, err)
	}
}

// dockerLogin makes a configuration of Docker for a test.
func dockerLogin(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	return filepath.Join(dir, "config.json")
}

func TestLoginOfDocker(t *testing.T) {
	const secret = "tr0mbone"
	for _, c := range []struct{ name, config, refresh, refused string }{
		{"in the file", `{"auths": {"HOST": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`, "", ""}, // anna:tr0mbone
		{"as it was written long ago", `{"auths": {"https://HOST/v1/": {"username": "anna", "password": "tr0mbone"}}}`, "", ""},
		{"of one repository", `{"auths": {"HOST": {"auth": "YW5uYTpvbGQ="}, "HOST/clinic/emr": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`, "", ""},
		{"an identity token", `{"auths": {"HOST": {"identitytoken": "tr0mbone"}}}`, secret, ""},
		{
			"an identity token that is over", `{"auths": {"HOST": {"identitytoken": "tr0mbone-2"}}}`, secret,
			"no token from TOKENS: source does not answer: access is refused (HTTP 401)",
		},
		{
			"another password", `{"auths": {"HOST": {"auth": "YW5uYTpvbGQ="}}}`, "", // anna:old
			"no token from TOKENS: source does not answer: access is refused (HTTP 401)",
		},
		{
			"nobody", `{"auths": {"registry.example.org": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`, "",
			"no token from TOKENS: source does not answer: access is refused (HTTP 401); nobody has logged in to HOST here (docker login HOST)",
		},
		{
			"not base64", `{"auths": {"HOST": {"auth": "tr0mbone!"}}}`, "",
			"no token from TOKENS: source does not answer: access is refused (HTTP 401); the login for HOST in CONFIG can't be read: docker login HOST writes it anew",
		},
		{
			"no JSON", `{"auths": {"HOST": {"password": "tr0mbone",}}}`, "",
			"no token from TOKENS: source does not answer: access is refused (HTTP 401); CONFIG is no JSON: there is a mistake at byte BYTE",
		},
		{
			"of another form", `{"auths": ["tr0mbone"]}`, "",
			"no token from TOKENS: source does not answer: access is refused (HTTP 401); CONFIG is no configuration of Docker",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := guard(t, 1000, nil)
			g.user, g.password, g.refresh = "anna", secret, c.refresh
			text := strings.ReplaceAll(c.config, "HOST", g.host())
			path := dockerLogin(t, text)
			_, err := stamp(t, fetch.NewNetwork(), g.spec())
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := strings.NewReplacer("HOST", g.host(), "CONFIG", path, "BYTE", fmt.Sprint(strings.Index(text, ",}")+2),
				"TOKENS", strings.Replace(strings.TrimPrefix(g.token.URL, "http://"), "127.0.0.1", "localhost", 1)).Replace(c.refused)
			if want = g.spec() + ": cannot read metadata/timestamp.json: " + want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the password is shown")
			}
		})
	}
	t.Run("a registry without tokens", func(t *testing.T) {
		p := publish(t, 1000)
		var in bool
		server := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if in = user == "anna" && password == secret; !in {
				w.Header().Set("WWW-Authenticate", `Basic realm="clinic"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(contentOf(t, p.store, p.wants[0].Forms[0]))
		}))
		host := strings.TrimPrefix(server.URL, "http://")
		dockerLogin(t, `{"auths": {"`+host+`": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`)
		if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, "oci://"+host+"/a")}, p.wants[:1], quick); err != nil || !in {
			t.Error(err)
		}
		if got := server.taken(); strings.Count(got, "GET") != 2 {
			t.Errorf("asked %s", got)
		}
	})
}
