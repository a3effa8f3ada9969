package fetch_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"

	"github.com/opencontainers/go-digest"
)

func TestReach(t *testing.T) {
	for spec, want := range map[string]fetch.Distance{
		t.TempDir() + "/x.tgz":                    fetch.Local,
		"http://127.0.0.1:8911":                   fetch.LAN,
		"http://192.168.7.2:8911/emr":             fetch.LAN,
		"https://u:p@clinic-2.local/a":            fetch.LAN,
		"oci://server:5000/emr":                   fetch.LAN,
		"oci://[fe80::1]:5000/emr":                fetch.LAN,
		"https://registry.example.org/emr":        fetch.Line,
		"oci://registry.example.org:5000/emr":     fetch.Line,
		"oci://8.8.8.8/emr":                       fetch.Line,
		"oci://registry.example.org/emr?insecure": fetch.Line,
	} {
		src := bundle.Source(named{name: spec})
		if got := fetch.Reach(src); got != want {
			t.Errorf("%s: %v by its name", spec, got)
		}
		if want == fetch.Local {
			continue
		}
		if got := fetch.Reach(open(t, spec)); got != want {
			t.Errorf("%s: %v", spec, got)
		}
	}
}

// named is a source of another package.
type named struct {
	bundle.Source
	name string
}

func (n named) Name() string { return n.name }

func names(sources []bundle.Source) string {
	var list []string
	for _, s := range sources {
		list = append(list, s.Name())
	}
	return strings.Join(list, " ")
}

func TestOpenAllSortsByReachAndPutsMirrorsIn(t *testing.T) {
	dir := publish(t, 10).dir
	mirrors := map[string]string{}
	n := fetch.NewNetwork().WithMirrors(func() map[string]string { return mirrors })
	specs := []string{
		"oci://docker.io/team/emr", "https://registry.example.org/emr", "http://10.0.0.7:8911", "/no/stick/here", dir, "oci://ghcr.io/team/emr",
		"oci://server:5000/emr",
	}
	for _, c := range []struct {
		mirrors   map[string]string
		near, far string
	}{
		{
			nil, "DIR http://10.0.0.7:8911 oci://server:5000/emr oci://index.docker.io/team/emr https://registry.example.org/emr oci://ghcr.io/team/emr",
			"oci://index.docker.io/team/emr https://registry.example.org/emr oci://ghcr.io/team/emr http://10.0.0.7:8911 oci://server:5000/emr DIR",
		},
		{
			map[string]string{"docker.io": "http://registry.local:5000", "ghcr.io": "cache.example.org/hub", "quay.io": "cache.example.org"},
			"DIR oci://registry.local:5000/team/emr http://10.0.0.7:8911 oci://server:5000/emr oci://cache.example.org/hub/team/emr " +
				"oci://index.docker.io/team/emr https://registry.example.org/emr oci://ghcr.io/team/emr",
			"oci://index.docker.io/team/emr https://registry.example.org/emr oci://ghcr.io/team/emr oci://cache.example.org/hub/team/emr " +
				"oci://registry.local:5000/team/emr http://10.0.0.7:8911 oci://server:5000/emr DIR",
		},
	} {
		mirrors = c.mirrors
		open, err := n.OpenAll(ctx, specs)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(names(open), dir, "DIR"); got != c.near {
			t.Errorf("bytes are asked of %s, want %s", got, c.near)
		}
		if got := strings.ReplaceAll(names(fetch.FarFirst(open)), dir, "DIR"); got != c.far {
			t.Errorf("documents are asked of %s, want %s", got, c.far)
		}
	}
	if open, err := n.OpenAll(ctx, []string{"ftp://a", "/no/stick/here"}); len(open) != 0 || !errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("%s, error %v", names(open), err)
	}
	if open, err := n.OpenAll(ctx, nil); len(open) != 0 || err != nil {
		t.Errorf("%s, error %v", names(open), err)
	}
}

func TestTrafficCountsWhatCrosses(t *testing.T) {
	p := publish(t, 200_000)
	web := ask(t, true, tagged(p.dir))
	n := fetch.NewNetwork()
	n.TLS().RootCAs = web.pool()
	src, err := n.Open(ctx, web.URL)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
	if err != nil {
		t.Fatal(err)
	}
	line, lan := n.Traffic()
	if line != 0 || lan < moved.Bytes+1500 || lan > moved.Bytes+moved.Bytes/10+6000 { // one handshake and its certificate, heads, the frames of TLS
		t.Errorf("%d bytes of blobs are %d on the line and %d in the building", moved.Bytes, line, lan)
	}
}

// TestTrafficThroughAProxyIsLine: the proxy stands in the building, what it brings does not.
func TestTrafficThroughAProxyIsLine(t *testing.T) {
	p := publish(t, 1000)
	proxy := httptest.NewServer(tagged(p.dir))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	n := fetch.NewNetwork()
	if _, err := stamp(t, n, "http://registry.example.org"); err != nil {
		t.Fatal(err)
	}
	if line, lan := n.Traffic(); line < 200 || lan != 0 {
		t.Errorf("%d bytes on the line and %d in the building", line, lan)
	}
}

// TestMirrors: one that has everything spares the registry all blobs; one that lies, is behind, has broken or is gone costs a step.
func TestMirrors(t *testing.T) {
	registry := guard(t, 50_000, nil)
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, blob []byte) bool
		spared bool
	}{
		{"good", nil, true},
		{"lies", func(w http.ResponseWriter, _ *http.Request, blob []byte) bool {
			_, _ = w.Write(bytes.Repeat([]byte{'x'}, len(blob)))
			return true
		}, false},
		{"another length", func(w http.ResponseWriter, _ *http.Request, blob []byte) bool { _, _ = w.Write(blob[1:]); return true }, false},
		{"behind", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, false},
		{"wants a login", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, false},
		{"busy", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mirror := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				d := digest.Digest(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
				blob, err := os.ReadFile(filepath.Join(registry.store.Dir(), "blobs", "sha256", d.Encoded()))
				if err != nil { // another form of a layer
					http.NotFound(w, r)
					return
				}
				if c.answer == nil || !c.answer(w, r, blob) {
					http.ServeContent(w, r, "", bundletest.Made, bytes.NewReader(blob))
				}
			}))
			n := fetch.NewNetwork().WithMirrors(func() map[string]string {
				return map[string]string{registry.host(): "http://" + strings.TrimPrefix(mirror.URL, "http://") + "/hub"}
			})
			sources, err := n.OpenAll(ctx, []string{registry.spec()})
			if err != nil || len(sources) != 2 {
				t.Fatalf("%s, error %v", names(sources), err)
			}
			registry.taken()
			site := bundletest.Store(t)
			if _, err := fetch.Blobs(ctx, site, sources, registry.wants, quick); err != nil {
				t.Fatal(err)
			}
			all(t, site, registry.wants)
			if got := strings.Contains(registry.taken(), "/blobs/"); got == c.spared {
				t.Errorf("the registry gave blobs: %v", got)
			}
			if asked := mirror.taken(); !strings.Contains(asked, "GET /v2/hub/clinic/emr/blobs/sha256:") {
				t.Errorf("the mirror was asked %s", asked)
			}
		})
	}
}
