package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// fake answers like an engine as far as images go.
type fake struct {
	containerd bool   // IDs are manifest digests
	lies       bool   // a load ends without an error and without an image
	picky      bool   // refuses archives with layers left out
	says       string // error inside the body of a load
	ghost      Image  // an image whose layers the engine claims to have
	images     map[string]fakeImage
	loads      []map[string][]byte
}

type fakeImage struct {
	id     string
	layers []string
}

var ghostID = digest.FromString("ghost").String()

func (f *fake) start(t *testing.T) *Engine {
	t.Helper()
	f.images = map[string]fakeImage{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.48")
		w.Header().Set("Content-Type", "application/json")
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case r.URL.Path == "/_ping":
		case path == "images/json":
			list := []map[string]string{}
			for ref, i := range f.images {
				if i.id == "" || r.FormValue("filters") != "" && !strings.HasPrefix(ref, "dhow.local/") {
					continue
				}
				list = append(list, map[string]string{"Id": i.id})
			}
			if f.ghost.Tag != "" {
				list = append(list, map[string]string{"Id": ghostID})
			}
			reply(w, 200, list)
		case path == "images/load":
			f.load(t, w, r)
		case strings.HasSuffix(path, "/tag"):
			ref := strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/tag")
			f.images[r.FormValue("repo")+":"+r.FormValue("tag")] = f.find(ref)
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodDelete:
			delete(f.images, strings.TrimPrefix(path, "images/"))
			reply(w, 200, []any{})
		case strings.HasPrefix(path, "images/"):
			ref := strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json")
			i := f.find(ref)
			if i.id == "" {
				reply(w, 404, map[string]string{"message": "No such image: " + ref})
				return
			}
			in := map[string]any{"Id": i.id, "RootFS": map[string]any{"Type": "layers", "Layers": i.layers}}
			if f.containerd {
				in["Descriptor"] = map[string]any{"digest": i.id}
			}
			reply(w, 200, in)
		default:
			t.Errorf("unexpected call %s %s", r.Method, r.URL)
		}
	}))
	t.Cleanup(s.Close)
	e, err := Connect("tcp://" + strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func (f *fake) find(ref string) fakeImage {
	if ref == ghostID {
		return fakeImage{id: ref, layers: f.ghost.diffIDs()}
	}
	for name, i := range f.images {
		if name == ref || i.id == ref {
			return i
		}
	}
	return fakeImage{}
}

func (f *fake) load(t *testing.T, w http.ResponseWriter, r *http.Request) {
	got := files(t, r.Body)
	f.loads = append(f.loads, got)
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(got["manifest.json"], &list); err != nil || len(list) != 1 {
		t.Errorf("manifest.json: %v", err)
		return
	}
	says := f.says
	for _, l := range list[0].Layers {
		if got[l] == nil && f.picky {
			says = "open /tmp/" + l + ": no such file or directory"
		}
	}
	if says != "" {
		fmt.Fprintf(w, `{"stream":"Loading"}{"errorDetail":{"message":%q},"error":"x"}`, says)
		return
	}
	if f.lies {
		return
	}
	ids, err := configDiffIDs(got[list[0].Config])
	if err != nil {
		t.Error(err)
	}
	i := fakeImage{id: digest.FromBytes(got[list[0].Config]).String(), layers: ids}
	if f.containerd {
		var index struct {
			Manifests []struct{ Digest string }
		}
		if err := json.Unmarshal(got["index.json"], &index); err != nil {
			t.Error(err)
		}
		i.id = index.Manifests[0].Digest
	}
	f.images[list[0].RepoTags[0]] = i
	fmt.Fprint(w, `{"stream":"Loaded image"}`)
}

func reply(w http.ResponseWriter, code int, v any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func TestLoad(t *testing.T) {
	_, base := layerOf(t, "base", []byte("base"))
	_, top := layerOf(t, "top", []byte("top"))
	img := imageOf(t, "x", "1", base, top)
	ghost := imageOf(t, "ghost", "2", base)
	for name, tt := range map[string]struct {
		fake  fake
		want  string // error
		loads int
	}{
		"classic":             {fake{}, "", 1},
		"layer left out":      {fake{ghost: ghost}, "", 1},
		"it was needed":       {fake{ghost: ghost, picky: true}, "", 2},
		"containerd store":    {fake{containerd: true}, "", 1},
		"error in the body":   {fake{says: "invalid tar header"}, "cannot load " + img.Tag + ": the engine says: invalid tar header", 1},
		"no error, no image":  {fake{lies: true}, "cannot load " + img.Tag + ": the engine did not take the image: it reported no error, but image " + short(img.ConfigDigest) + " is not there (is its disk full?)", 1},
		"full disk, once":     {fake{ghost: ghost, says: "write: no space left on device"}, "cannot load " + img.Tag + ": the engine says: write: no space left on device (no space left on device)", 1},
		"refused, both times": {fake{ghost: ghost, says: "no"}, "cannot load " + img.Tag + ": the engine says: no", 2},
	} {
		t.Run(name, func(t *testing.T) {
			f, ctx := &tt.fake, context.Background()
			e := f.start(t)
			err := e.Load(ctx, img, nil)
			if got := errText(err); got != tt.want {
				t.Fatalf("%q, want %q", got, tt.want)
			}
			if len(f.loads) != tt.loads {
				t.Errorf("%d loads, want %d", len(f.loads), tt.loads)
			}
			if f.ghost.Tag != "" && f.loads[0][blobPath(base.DiffID)] != nil {
				t.Error("a layer was sent that the engine has")
			}
			tagged, err := e.Tagged(ctx, img.Tag)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				if tagged != "" {
					t.Errorf("a failed load left the tag on %s", tagged)
				}
				return
			}
			if tagged != img.ConfigDigest {
				t.Errorf("the tag names %s, want %s", tagged, img.ConfigDigest)
			}
			if ok, err := e.HasImage(ctx, img.ConfigDigest); !ok || err != nil {
				t.Errorf("the image is not found: %v", err)
			}
			if err := e.Load(ctx, img, nil); err != nil || len(f.loads) != tt.loads {
				t.Errorf("a second load sends again: %v", err)
			}
			if err := errors.Join(e.Untag(ctx, img.Tag), e.Untag(ctx, img.Tag)); err != nil {
				t.Error(err)
			}
			if tagged, err := e.Tagged(ctx, img.Tag); tagged != "" || err != nil {
				t.Errorf("still tagged %s: %v", tagged, err)
			}
		})
	}
}

func TestLoadStopsAtABadLayer(t *testing.T) {
	_, base := layerOf(t, "base", []byte("base"))
	base.DiffSize += 512
	img := imageOf(t, "x", "1", base)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case r.URL.Path == "/_ping":
		case strings.HasSuffix(r.URL.Path, "/images/json"):
			reply(w, 200, []any{})
		case strings.HasSuffix(r.URL.Path, "/images/load"):
			buf := make([]byte, 1<<20)
			for {
				if _, err := r.Body.Read(buf); err != nil {
					break
				}
			}
			reply(w, 500, map[string]string{"message": "unexpected EOF"})
		default:
			reply(w, 404, map[string]string{"message": "no"})
		}
	}))
	defer s.Close()
	e, err := Connect("tcp://" + strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	want := "cannot load " + img.Tag + ": layer " + short(base.DiffID) + " is 512 bytes shorter than declared"
	if err := e.Load(context.Background(), img, nil); errText(err) != want {
		t.Errorf("%q, want %q", errText(err), want)
	}
}

func TestNoEngine(t *testing.T) {
	e, err := Connect("unix://" + t.TempDir() + "/no.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Info(context.Background()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v is not ErrNotRunning", err)
	}
	if _, err := e.Containers(context.Background(), "x"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v is not ErrNotRunning", err)
	}
	if _, err := Connect("nonsense"); err == nil {
		t.Error("a bad host is accepted")
	}
}
