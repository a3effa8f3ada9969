//go:build e2e

package pack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"

	"golang.org/x/crypto/bcrypt"
)

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s (these tests need a Docker Engine and the docker command)", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestDockerLoad loads bundles with nothing but docker load: the images get the pinned IDs.
func TestDockerLoad(t *testing.T) {
	for _, end := range []string{".tar", ".tgz"} {
		t.Run(end, func(t *testing.T) {
			s := bundletest.Store(t)
			base := bundletest.Layer(t, s, bundle.Gzip, bundletest.Tar(t, map[string]string{"etc/": "", "etc/base": "base"}))
			top := bundletest.Layer(t, s, bundle.Plain, bundletest.Tar(t, map[string]string{"top": end}))
			refs := []string{"dhow-bundle-e2e/web:1.0", "dhow-bundle-e2e/db"}
			r := bundletest.Release(t, s, "1.0.0",
				bundletest.Image(t, s, refs[0], "linux/amd64", base, top), bundletest.Image(t, s, refs[1], "linux/amd64", base))
			out := filepath.Join(t.TempDir(), "emr"+end)
			if _, err := pack.Write(ctx, out, contents(s, r)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				c, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				_ = exec.CommandContext(c, "docker", append([]string{"image", "rm", "-f"}, refs...)...).Run()
			})
			docker(t, "load", "-i", out)
			for n, i := range r.Images {
				if got := docker(t, "image", "inspect", "-f", "{{.Id}}", refs[n]); got != i.Platforms[0].Config.Digest.String() {
					t.Errorf("%s is %s, pinned is %s", refs[n], got, i.Platforms[0].Config.Digest)
				}
			}
			// And back: docker save feeds the bytes of the release.
			saved := filepath.Join(t.TempDir(), "saved.tgz")
			raw, err := exec.CommandContext(ctx, "docker", append([]string{"save"}, refs...)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(saved, bundletest.Compress(t, bundle.Gzip, raw), 0o644); err != nil {
				t.Fatal(err)
			}
			site := bundletest.Store(t)
			wants := wantsOf(t, r)[1:] // all but the compose file
			if _, err := fetch.Blobs(ctx, site, []bundle.Source{source(t, saved)}, wants, quick); err != nil {
				t.Fatal(err)
			}
			for _, i := range r.Images {
				if err := site.VerifyImage(ctx, i.Platforms[0]); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// startRegistry starts Debian's docker-registry on a free port of this computer.
func startRegistry(t *testing.T) string {
	t.Helper()
	address, _ := startRegistryIn(t, "")
	return address
}

// startRegistryIn returns its configuration as well, to which more is added.
func startRegistryIn(t *testing.T, more string) (address, config string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config = filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), address) + more
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("docker-registry", "serve", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (this test needs Debian's package docker-registry)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("registry: %s", log.Bytes()[max(0, log.Len()-2000):])
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return address, config
		}
		if time.Now().After(deadline) {
			t.Fatalf("docker-registry does not answer: %v: %s", err, log.String())
		}
	}
	return "", ""
}

// TestDebianRegistryKeepsWhatSitesFetch collects garbage in a registry as people run it: what sites may still ask for is there after it.
func TestDebianRegistryKeepsWhatSitesFetch(t *testing.T) {
	for _, args := range [][]string{{"garbage-collect"}, {"garbage-collect", "-m"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) { keeps(t, args) })
	}
}

func keeps(t *testing.T, collect []string) {
	address, config := startRegistryIn(t, "")
	spec := "oci://" + address + "/clinic/emr"
	s, r, w := led(t)
	stray := bundletest.Put(t, s, []byte("stray"))
	older := *w
	older.Layers = w.Layers[1:]
	for n, ways := range []*manifest.Ways{&older, w} { // more ways are added to a release that is there
		c := contents(s, r)
		c.Documents["metadata/timestamp.json"] = []byte{byte(n)}
		c.Ways = []*manifest.Ways{ways}
		c.Extra = []manifest.Blob{stray} // no tag leads to it
		if err := pack.PublishOCI(ctx, spec, c, nil); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(ctx, "docker-registry", append(collect, config)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	site := bundletest.Store(t)
	wants := wantsOf(t, r)
	for _, b := range w.Blobs() {
		wants = append(wants, fetch.Want{Forms: []manifest.Blob{b}})
	}
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{source(t, spec)}, wants, quick); err != nil {
		t.Error(err)
	}
	for _, b := range w.Blobs() {
		if !site.Has(b) {
			t.Errorf("%s is gone", b.Digest)
		}
	}
	if _, err := source(t, spec).Blob(ctx, stray, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing was collected: %v", err)
	}
}

// TestDebianRegistryWithALogin publishes and fetches with a password that a credential helper knows, and without one finds out why not.
func TestDebianRegistryWithALogin(t *testing.T) {
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("tr0mbone"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(dir, "users")
	address, _ := startRegistryIn(t, fmt.Sprintf("auth: {htpasswd: {realm: clinic, path: %q}}\n", users))
	spec := "oci://" + address + "/clinic/emr"
	for path, text := range map[string]string{
		users: "anna:" + string(hash) + "\n",
		filepath.Join(dir, "docker-credential-clinic"): "#!/bin/sh\ntest \"$(cat)\" = " + address +
			" && echo '{\"Username\":\"anna\",\"Secret\":\"tr0mbone\"}'\n",
		filepath.Join(dir, "config.json"): `{"credsStore": "clinic"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, r := bundletest.Sample(t, 300_000)
	t.Setenv("DOCKER_CONFIG", dir)
	want := "is not on the PATH"
	if err := pack.PublishOCI(ctx, spec, contents(s, r), nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without the helper: %v", err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := pack.PublishOCI(ctx, spec, contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	site := bundletest.Store(t)
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{source(t, spec)}, wantsOf(t, r), quick); err != nil {
		t.Error(err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{source(t, spec)}, wantsOf(t, r), quick)
	want = "access is refused (HTTP 401); nobody has logged in to " + address + " here (docker login " + address + ")"
	if !errors.Is(err, bundle.ErrUnreachable) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("without a login: %v", err)
	}
}

// TestDebianRegistry publishes to and fetches from a registry as people run it.
func TestDebianRegistry(t *testing.T) {
	spec := "oci://" + startRegistry(t) + "/clinic/emr"
	s, r := bundletest.Sample(t, 3_000_000)
	zstd := bundletest.Layer(t, s, bundle.Zstd, bundletest.Tar(t, map[string]string{"z": "z"}))
	next := bundletest.Release(t, s, "1.1.0+b2", r.Images[0], bundletest.Image(t, s, "clinic/z:1", "linux/amd64", zstd))
	for n := range 2 {
		c := contents(s, r)
		if n == 1 {
			c = contents(s, r, next)
			c.Documents["metadata/timestamp.json"] = []byte("second")
		}
		if err := pack.PublishOCI(ctx, spec, c, nil); err != nil {
			t.Fatal(err)
		}
	}
	src := source(t, spec)
	if got, err := src.Document(ctx, bundle.TimestampPath, 100); err != nil || string(got) != "second" {
		t.Errorf("%q, error %v", got, err)
	}
	site := bundletest.Store(t)
	wants := append(wantsOf(t, r), wantsOf(t, next)...)
	last := wants[len(wantsOf(t, r))-1].Forms[0]
	p, err := site.Partial(ctx, last)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Read(last, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(data[:2_000_000]); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{src}, wants, quick)
	if err != nil {
		t.Fatal(err)
	}
	missing, err := fetch.Wants(site, r, "linux/amd64")
	if err != nil || len(missing) != 0 {
		t.Errorf("%d blobs are missing, error %v", len(missing), err)
	}
	all := fetch.Size(wantsOf(t, r)) + fetch.Size(wantsOf(t, next)) - shared(wantsOf(t, r), wantsOf(t, next))
	if moved.Bytes != all-2_000_000 {
		t.Errorf("moved %d bytes, want %d", moved, all-2_000_000)
	}
	for _, i := range append(r.Images, next.Images...) {
		if err := site.VerifyImage(ctx, i.Platforms[0]); err != nil {
			t.Error(err)
		}
	}
	for _, tag := range []string{"release-1.0.0", "release-1.1.0_b2"} {
		url := "http://" + strings.Replace(strings.TrimPrefix(spec, "oci://"), "/", "/v2/", 1) + "/manifests/" + tag
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", bundle.OCIIndexMediaType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", tag, resp.Status)
		}
	}
	if _, err := source(t, spec+"-other").Document(ctx, bundle.TimestampPath, 100); !errors.Is(err, bundle.ErrNoMetadata) {
		t.Errorf("error %v", err)
	}
}

func shared(a, b []fetch.Want) (n int64) {
	for _, x := range a {
		for _, y := range b {
			if x.Forms[0].Digest == y.Forms[0].Digest {
				n += x.Forms[0].Size
			}
		}
	}
	return n
}

// TestDebianRegistryUnderPolls publishes to a registry as people run it, while sites poll without a pause.
func TestDebianRegistryUnderPolls(t *testing.T) {
	spec := "oci://" + startRegistry(t) + "/clinic/emr"
	pollDuring(t, spec, spec, 15)
}
