package trust_test

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

const login = "<!DOCTYPE html><html><title>Hotel Wi-Fi</title>Please log in</html>"

// bad is one thing that a source may do wrong. The site has accepted manifest 1 before, and then is offered this.
type bad struct {
	name string
	// make changes the fleet before it publishes manifest 2, or files after that.
	make  func(f *forge)
	files func(f *forge, files map[string][]byte)
	// serve answers in place of an ordinary web server when it returns true.
	serve func(w http.ResponseWriter, r *http.Request) bool
	want  string // the whole message, without the address of the source
	stick string // the message of a stick where it is another one
	kind  error  // nil: the source counts as one that does not answer
	// ahead: what came before the bad document was good, and stays noted against going back.
	ahead bool
	good  bool // no fault: the site gets manifest 2
}

// variable is what is different in every run: fingerprints and digests.
var variable = regexp.MustCompile(`\d{4}-\d{4}-\d{4}-\d{4}|[0-9a-f]{64}`)

func replace(path string, data string) func(*forge, map[string][]byte) {
	return func(_ *forge, files map[string][]byte) { files[path] = []byte(data) }
}

const stampPath, listPath = "metadata/timestamp.json", "metadata/2.targets.json"

func signedEdit(path string, change func(signed map[string]any)) func(*forge, map[string][]byte) {
	return func(f *forge, files map[string][]byte) { files[path] = edit(f.t, files[path], change) }
}

var badInput = []bad{
	{
		name: "expired", make: func(f *forge) { f.expires[timestamp] = start.Add(-time.Hour) }, kind: trust.ErrExpired,
		want: "the manifest expired on 2026-11-21; by this computer's clock it is 2026-11-21, by what was signed last at least 2026-11-21: if the clock is ahead, set it",
	},
	{
		name: "unsigned", files: func(_ *forge, files map[string][]byte) {
			text := string(files[stampPath])
			files[stampPath] = []byte(text[:strings.Index(text, `"signatures":`)] + `"signatures":[]` + text[strings.Index(text, `,"signed"`):])
		}, kind: trust.ErrForged,
		want: "metadata/timestamp.json is not signed by the fleet's keys: nobody has signed it",
	},
	{
		name: "half-signed", make: func(f *forge) {
			f.rotate(func() {
				f.keys[targets] = append(f.keys[targets], newKey(f.t))
				f.least[targets] = 2
			})
			f.keys[targets] = f.keys[targets][:1]
		}, kind: trust.ErrForged, ahead: true,
		want: "metadata/2.targets.json is not signed by the fleet's keys: it has 1 of the 2 signatures that root 2 asks for",
	},
	{
		name: "a revoked key", make: func(f *forge) {
			old := f.keys[targets]
			f.rotate(func() { f.keys[targets] = []ed25519.PrivateKey{newKey(f.t)} })
			f.keys[targets] = old
		}, kind: trust.ErrForged, ahead: true,
		want: "metadata/2.targets.json is not signed by the fleet's keys: no key that root 2 names for it has signed it (a key that was replaced, or somebody else's, does not count)",
	},
	{
		name: "a root that skips a number", make: func(f *forge) { f.rotate(func() {}); f.rotate(func() {}) },
		files: func(_ *forge, files map[string][]byte) {
			files["metadata/2.root.json"] = files["metadata/3.root.json"]
			delete(files, "metadata/3.root.json")
		}, kind: trust.ErrDamaged,
		want: "metadata/2.root.json is damaged: it is root 3, and after root 1 only root 2 can come",
	},
	{
		name: "too large", files: replace(stampPath, `{"signed":"`+strings.Repeat("a", 20_000)+`"}`), kind: bundle.ErrTooLarge, want: "SOURCE: cannot read metadata/timestamp.json: larger than allowed: more than 16384 bytes",
		stick: "SOURCE: metadata/timestamp.json is larger than allowed: 20013 bytes, at most 16384",
	},
	{
		name: "a key that stands twice", files: func(_ *forge, files map[string][]byte) {
			files[stampPath] = []byte(strings.Replace(string(files[stampPath]), `"signed":{`, `"signed":{"version":9,`, 1))
		}, kind: trust.ErrDamaged, want: `metadata/timestamp.json is damaged: not valid: the key "version" stands twice in one object`,
	},
	{name: "deeply nested", files: replace(stampPath, strings.Repeat("[", 5000)), kind: trust.ErrDamaged, want: "metadata/timestamp.json is damaged: larger than allowed: nested more than 12 deep"},
	{
		name: "a number that is a text", files: signedEdit(stampPath, func(s map[string]any) { s["version"] = "2" }), kind: trust.ErrDamaged,
		want: "metadata/timestamp.json is damaged: signed.version in it can't be of the kind string",
	},
	{
		name: "another kind of document", files: func(_ *forge, files map[string][]byte) { files[stampPath] = files["metadata/2.snapshot.json"] },
		kind: trust.ErrDamaged, want: "metadata/timestamp.json is damaged: it is a document of the kind snapshot, not timestamp",
	},
	{
		name: "a list instead of an object", files: replace(stampPath, `[]`), kind: trust.ErrDamaged, want: "metadata/timestamp.json is damaged: it is not a signed document, but JSON of another kind (array)",
	},
	{
		name: "null", files: replace(stampPath, `{"signatures":null,"signed":null}`), kind: trust.ErrDamaged, want: "metadata/timestamp.json is damaged: not valid: null at byte 18",
	},
	{name: "empty", files: replace(stampPath, ""), kind: trust.ErrDamaged, want: "metadata/timestamp.json is damaged: it is empty"},
	{
		name: "cut short at the publisher", files: func(_ *forge, files map[string][]byte) { files[stampPath] = files[stampPath][:200] }, kind: trust.ErrDamaged,
		want: "metadata/timestamp.json is damaged: not valid: not JSON at byte 97",
	},
	{
		name: "another file", files: func(f *forge, files map[string][]byte) { files[listPath] = f.files["metadata/1.root.json"] },
		kind: bundle.ErrTooLarge, ahead: true, want: "SOURCE: cannot read metadata/2.targets.json: larger than allowed: more than 576 bytes",
		stick: "SOURCE: metadata/2.targets.json is larger than allowed: 2519 bytes, at most 576",
	},
	{
		name: "the document of another fleet", files: func(f *forge, files map[string][]byte) {
			maps.Copy(files, newForge(f.t, "other").next())
		}, kind: trust.ErrOtherFleet, want: "the manifest is signed by another fleet: its root is …, this site trusts …",
	},
	{
		name: "an older document", files: func(f *forge, files map[string][]byte) { files[listPath] = files["metadata/1.targets.json"] },
		kind: trust.ErrDamaged, ahead: true, want: "metadata/2.targets.json is damaged: it is not what the signed list says",
	},
	{
		name: "the fleet document of another place", files: func(f *forge, files map[string][]byte) {
			for path := range files {
				if strings.HasSuffix(path, ".fleet.json.zst") {
					files[path] = []byte("(\xb5/\xfd")
				}
			}
		}, make: func(f *forge) { f.fleet.Policy.Keep = 9 }, kind: trust.ErrDamaged, ahead: true, want: "targets/….fleet.json.zst is damaged: it is not what the signed list says",
	},
	{
		name: "a captive portal", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, login)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: a web page came instead of the content (a login page of the network?)",
	},
	{
		name: "a redirect to a login page", serve: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return true
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, login)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: a web page came instead of the content (a login page of the network?)",
	},
	{
		name: "a page under another type", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "\n"+login)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: a web page came instead of the content (a login page of the network?)",
	},
	{
		name: "a page and 200 for what is not there", serve: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "root.json") {
				return false
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Nothing here, but how are you?</html>")
			return true
		}, good: true,
	},
	{
		name: "a page for one document", serve: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "targets.json") {
				return false
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, login)
			return true
		}, ahead: true, want: "SOURCE: cannot read metadata/2.targets.json: a web page came instead of the content (a login page of the network?)",
	},
	{
		name: "endless data", serve: func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return true
				}
			}
			return true
		}, kind: bundle.ErrTooLarge, want: "SOURCE: cannot read metadata/timestamp.json: larger than allowed: more than 16384 bytes",
	},
	{
		name: "packed by a proxy", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, `{"signed":{}}`)
			_ = z.Close()
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: the answer was packed (gzip) on the way and nobody asked for that (a proxy?)",
	},
	{
		name: "cut short on the way", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"signed":`)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: source does not answer: the answer broke off before its end",
	},
	{
		name: "a server in trouble", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "oh", http.StatusBadGateway)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: source does not answer: HTTP 502 Bad Gateway",
	},
	{
		name: "a server that wants a password", serve: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return true
		}, want: "SOURCE: cannot read metadata/timestamp.json: source does not answer: access is refused (HTTP 401)",
	},
	{
		name: "nothing at all", serve: func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }, kind: fs.ErrNotExist, want: "SOURCE: cannot read metadata/timestamp.json: it is not there (HTTP 404)",
	},
}

// TestBadInput offers a site whatever a source may do wrong, over HTTP and, where it is a matter of files, on a stick. Each has a message of
// its own, and the site stays as it is.
func TestBadInput(t *testing.T) {
	for _, c := range badInput {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t, "drc")
			first := f.files["metadata/1.root.json"]
			before := f.next()
			if c.make != nil {
				c.make(f)
			}
			files := f.next()
			files["metadata/1.targets.json"] = before["metadata/1.targets.json"]
			if c.files != nil {
				c.files(f, files)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.serve != nil && c.serve(w, r) {
					return
				}
				data, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
				if !ok {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write(data)
			}))
			defer server.Close()
			places := []string{server.URL}
			if c.serve == nil {
				dir := t.TempDir()
				for path, data := range files {
					path = filepath.Join(dir, filepath.FromSlash(path))
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				places = append(places, dir)
			}
			for _, place := range places {
				stick := place != server.URL
				if stick && errors.Is(c.kind, trust.ErrExpired) {
					continue // on a stick this is a warning
				}
				s := newSite(t, first)
				s.must(before, false)
				disk := s.disk()
				src, err := fetch.Open(context.Background(), place)
				if err != nil {
					t.Fatal(err)
				}
				m, err := s.Refresh(context.Background(), src, stick)
				_ = src.Close()
				if c.good {
					if err != nil || m.Number != 2 {
						t.Fatalf("%v %v", m, err)
					}
					continue
				}
				if err == nil {
					t.Fatalf("%s: manifest %d was accepted", place, m.Number)
				}
				got := variable.ReplaceAllString(strings.ReplaceAll(err.Error(), place, "SOURCE"), "…")
				want := c.want
				if stick && c.stick != "" {
					want = c.stick
				}
				if got != want {
					t.Errorf("%s says\n%s\nwant\n%s", place, got, want)
				}
				if kind := cmp.Or(c.kind, bundle.ErrUnreachable); !errors.Is(err, kind) {
					t.Errorf("%s: %v is not of the kind %v", place, err, kind)
				}
				if s.number() != 1 {
					t.Errorf("the site has manifest %d", s.number())
				}
				if (stick || !c.ahead) && !maps.Equal(s.disk(), disk) {
					t.Errorf("%s: the state has changed", place)
				}
			}
		})
	}
}
