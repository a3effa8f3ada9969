package guard

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/site"
)

func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if c, err := KnownCertificate(dir, site.Page{}); c != nil || err != nil {
		t.Errorf("before there is one: %v, %v", c, err)
	}
	get := func(p site.Page) *tls.Certificate {
		t.Helper()
		c, err := Certificate(dir, p)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	page := site.Page{Hosts: []string{"emr.local", "10.0.0.5"}}
	c := get(page)
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve.Params().Name != "P-256" {
		t.Errorf("the key is %T", c.PrivateKey)
	}
	for file, want := range map[string]os.FileMode{keyFile: 0o600, certFile: 0o644} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	// A computer that has lost its clock, and one that is far ahead, show one that holds.
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	for _, year := range []int{2021, 2026, 2090} {
		for _, host := range page.Hosts {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
				t.Errorf("%s in %d: %v", host, year, err)
			}
		}
	}
	print := Fingerprint(c)
	if parts := strings.Split(print, ":"); len(parts) != 32 || print != strings.ToUpper(print) {
		t.Errorf("the fingerprint is %s", print)
	}
	if again := Fingerprint(get(site.Page{Hosts: []string{"emr.local"}})); again != print {
		t.Error("another certificate is made although this one names all hosts")
	}
	if known, err := KnownCertificate(dir, page); err != nil || Fingerprint(known) != print {
		t.Errorf("it is not known: %v", err)
	}
	other := get(site.Page{Hosts: []string{"clinic.local"}})
	if Fingerprint(other) == print || !other.PrivateKey.(*ecdsa.PrivateKey).Equal(key) {
		t.Error("a new host gets no new certificate, or one of another key")
	}
	for file, text := range map[string]string{certFile: "damaged", keyFile: ""} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		get(page)
		if info, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("after a damaged %s the key has the mode %v, %v", file, info.Mode(), err)
		}
	}
}

// TestMetricsOfTheirOwn: at an address of their own there are metrics and nothing else.
func TestMetricsOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := openWith(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "dhow_up 1\n") }), func(c *site.Config, port string) {
		c.Metrics = "127.0.0.4:" + port
	})
	at := "http://127.0.0.4:" + h.port
	await(t, "the metrics", func() bool { return reach("127.0.0.4:" + h.port) })
	get := func(address string) (int, string) {
		resp, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		sealed(t, resp)
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	if status, body := get(at + "/metrics"); status != http.StatusOK || body != "dhow_up 1\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(at + "/"); status != http.StatusNotFound || strings.Contains(body, "needs=") {
		t.Errorf("the page there: %d %s", status, body)
	}
	here := "http://127.0.0.1:" + h.port + "/metrics"
	if _, body := get(here); !strings.HasPrefix(body, "GET /metrics needs=") {
		t.Errorf("metrics at the page's address: %s", body)
	}
	h.set(func(c *site.Config) { c.Metrics = "true" })
	await(t, "the end of their own address", func() bool { return !reach("127.0.0.4:" + h.port) })
	if status, body := get(here); status != http.StatusOK || body != "dhow_up 1\n" {
		t.Errorf("at the page's address: %d %s", status, body)
	}
}
