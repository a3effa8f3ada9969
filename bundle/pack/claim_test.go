package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/pack"
)

// people are two publishers with claims that settle at once.
var (
	marie = pack.Publisher{By: "Marie on laptop-3", ID: "m", Settle: time.Millisecond}
	anna  = pack.Publisher{By: "Anna on desk", ID: "a", Settle: time.Millisecond}
)

func begin(t *testing.T, place string, who pack.Publisher) *pack.Claim {
	t.Helper()
	c, err := pack.Begin(ctx, place, who)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stamped is the sample with another timestamp.
func stamped(s *bundle.Store, text string) pack.Contents {
	c := contents(s)
	c.Documents[bundle.TimestampPath] = []byte(text)
	return c
}

func TestClaims(t *testing.T) {
	s, _ := bundletest.Sample(t, 1000)
	for name, place := range map[string]string{"folder": filepath.Join(t.TempDir(), "web"), "registry": newRegistry(t).spec()} {
		t.Run(name, func(t *testing.T) {
			first := begin(t, place, marie)
			_, err := pack.Begin(ctx, place, anna)
			want := "cannot publish to " + place + ": somebody else is publishing there: Marie on laptop-3, "
			if !errors.Is(err, pack.ErrClaimed) || !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("the second:\n got %v\nwant %s…", err, want)
			}
			for _, text := range []string{"one", "one", "two"} { // more than once under one claim
				if err := first.Publish(ctx, stamped(s, text), nil); err != nil {
					t.Fatal(err)
				}
			}
			first.End()
			second := begin(t, place, anna)
			if err := second.Publish(ctx, stamped(s, "three"), nil); err != nil {
				t.Fatal(err)
			}
			second.End()
			if got, err := source(t, place).Document(ctx, bundle.TimestampPath, 100); err != nil || string(got) != "three" {
				t.Errorf("published: %q, %v", got, err)
			}
		})
	}
}

func TestClaimOfAFolderLeavesNothing(t *testing.T) {
	s, _ := bundletest.Sample(t, 1000)
	dir := filepath.Join(t.TempDir(), "web")
	begin(t, dir, marie).End()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	c := begin(t, dir, marie)
	if err := c.Publish(ctx, contents(s), nil); err != nil {
		t.Fatal(err)
	}
	c.End()
	if files, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(files) > 0 {
		t.Errorf("left: %q, %v", files, err)
	}
	if err := pack.PublishDir(ctx, dir, contents(s)); err != nil {
		t.Error(err)
	}
}

// Where locks do not reach, the last look tells.
func TestOvertaken(t *testing.T) {
	s, _ := bundletest.Sample(t, 1000)
	dir, reg := t.TempDir(), newRegistry(t)
	for _, place := range []string{dir, reg.spec()} {
		c := begin(t, place, marie)
		if place == dir {
			stamp := filepath.Join(dir, filepath.FromSlash(bundle.TimestampPath))
			if err := os.MkdirAll(filepath.Dir(stamp), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(stamp, []byte("anna"), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if err := pack.PublishOCI(ctx, place, stamped(s, "anna"), nil); err != nil {
			t.Fatal(err)
		}
		err := c.Publish(ctx, stamped(s, "marie"), nil)
		want := "cannot publish to " + place + ": somebody else has published there meanwhile"
		if !errors.Is(err, pack.ErrOvertaken) || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
		c.End()
		if got, err := source(t, place).Document(ctx, bundle.TimestampPath, 100); err != nil || string(got) != "anna" {
			t.Errorf("published: %q, %v", got, err)
		}
	}
}

// putTag writes a tag by hand.
func putTag(t *testing.T, reg *registry, tag, kind string, data []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, reg.URL+"/v2/clinic/emr/manifests/"+tag, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestClaimOfAnotherInARegistry(t *testing.T) {
	s, _ := bundletest.Sample(t, 1000)
	claim := func(id, until string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"annotations":{"dhow.publisher":"Anna\u001b[2J","dhow.publisher.id":%q,`+
			`"dhow.nonce":"x","dhow.until":%q}}`, bundle.OCIManifestMediaType, bundle.ClaimArtifactType, id, until)
	}
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	over := marie
	over.TakeOver = true
	for _, test := range []struct {
		name, tag string
		who       pack.Publisher
		want      string // of the error
	}{
		{"standing", claim("a", in(time.Minute)), marie, ": somebody else is publishing there: Anna[2J, who may go on until "},
		{"taken over", claim("a", in(time.Minute)), over, ""},
		{"of a computer that died", claim("a", in(-time.Minute)), marie, ""},
		{"left by this repository", claim("m", in(time.Minute)), marie, ""},
		{"for ever", claim("a", in(1000*time.Hour)), marie, ""},
		{"without an end", claim("a", ""), marie, ""},
		{"not a claim", `{"schemaVersion":2}`, marie, ""},
		{"no JSON", `hello`, marie, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			reg := newRegistry(t)
			putTag(t, reg, bundle.ClaimTag, bundle.OCIManifestMediaType, []byte(test.tag))
			c, err := pack.Begin(ctx, reg.spec(), test.who)
			if test.want != "" {
				if !errors.Is(err, pack.ErrClaimed) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("\n got %v\nwant %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// She comes back to life, and claims again.
			putTag(t, reg, bundle.ClaimTag, bundle.OCIManifestMediaType, []byte(claim("a", in(time.Minute))))
			if err := c.Publish(ctx, contents(s), nil); !errors.Is(err, pack.ErrClaimed) {
				t.Errorf("with a lost claim: %v", err)
			}
			c.End()
			if _, err := pack.Begin(ctx, reg.spec(), marie); !errors.Is(err, pack.ErrClaimed) {
				t.Errorf("the end of a lost claim took away the other's: %v", err)
			}
			if n := reg.count("PUT", "/manifests/manifest"); n > 0 {
				t.Errorf("%d times published", n)
			}
		})
	}
}

// dying is a registry that answers nothing any more from the nth request on.
func dying(reg *registry, n int) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.refuse = func(*http.Request) int {
		reg.mu.Lock()
		defer reg.mu.Unlock()
		if n--; n < 0 {
			return http.StatusForbidden // others are tried again for a while
		}
		return 0
	}
}

func (r *registry) lives() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = nil
}

// TestRegistryThatDies lets the registry die at every request of a publication in turn. Sites see the old or the new one, whole, and the
// publication is simply repeated.
func TestRegistryThatDies(t *testing.T) {
	s, r := bundletest.Sample(t, 5000)
	reg := newRegistry(t)
	publish := func(text string) error {
		c, err := pack.Begin(ctx, reg.spec(), marie)
		if err != nil {
			return err
		}
		defer c.End()
		all := contents(s, r)
		all.Documents[bundle.TimestampPath] = []byte(text)
		all.Documents["metadata/"+text+".targets.json"] = []byte(text + " targets")
		return c.Publish(ctx, all, nil)
	}
	read := func() string {
		src := source(t, reg.spec())
		text, err := src.Document(ctx, bundle.TimestampPath, 100)
		if err != nil {
			t.Fatal(err)
		}
		got, err := src.Document(ctx, "metadata/"+string(text)+".targets.json", 100)
		if err != nil || string(got) != string(text)+" targets" {
			t.Fatalf("half a publication: %q, %v", got, err)
		}
		return string(text)
	}
	if err := publish("0"); err != nil {
		t.Fatal(err)
	}
	cut := 0
	for n := 0; ; n++ {
		before, next := read(), fmt.Sprint(n+1)
		dying(reg, n)
		err := publish(next)
		reg.lives()
		now := read()
		if err != nil && now != before && now != next || err == nil && now != next {
			t.Fatalf("request %d: %v; published is %s", n, err, now)
		}
		if err == nil {
			break
		}
		cut++
		if err := publish(next); err != nil || read() != next {
			t.Fatalf("request %d: repeated: %v", n, err)
		}
	}
	if cut < 20 {
		t.Errorf("it died at %d requests only", cut)
	}
}

// What the newest manifest replaced stays readable, and named by a tag.
func TestBeforeStays(t *testing.T) {
	s, _ := bundletest.Sample(t, 1000)
	reg := newRegistry(t)
	var old []byte
	for n := range 3 {
		c := begin(t, reg.spec(), marie)
		if err := c.Publish(ctx, stamped(s, fmt.Sprint(n)), nil); err != nil {
			t.Fatal(err)
		}
		c.End()
		tag := func(name string) []byte {
			resp, err := http.Get(reg.URL + "/v2/clinic/emr/manifests/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		if n > 0 && !bytes.Equal(tag("manifest-before"), old) {
			t.Errorf("%d: the tag manifest-before is not what was published before", n)
		}
		old = tag("manifest")
	}
}
