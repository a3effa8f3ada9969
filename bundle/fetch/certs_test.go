package fetch_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
)

// authorityOf makes an authority whose certificates are good now.
func authorityOf(t *testing.T) *authority {
	t.Helper()
	a, _ := (*authority)(nil).issue(t, -300, 3000, func(c *x509.Certificate) { isAuthority(c); c.Subject.CommonName = "Clinic CA" })
	return a
}

func encoded(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func put(t *testing.T, data []byte, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPrivateAuthority: the error names the place for its certificate, and once it is there the same agent goes on without a restart, for the
// registry, for the server of its tokens and for the store to which it sends us, and for nobody else.
func TestPrivateAuthority(t *testing.T) {
	root := authorityOf(t)
	_, chain := root.issue(t, -1, 1000, forLoopback)
	store := secured(t, chain, said)
	token := secured(t, chain, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"yes"}`)) }))
	registry := secured(t, chain, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer yes":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+token.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != "/v2/":
			http.Redirect(w, r, store.URL, http.StatusFound)
		}
	}))
	host := strings.TrimPrefix(registry.URL, "https://")
	for _, clock := range []*lostClock{nil, {day(-20000), day(50)}} {
		certs := t.TempDir()
		n := fetch.NewNetwork()
		if clock != nil {
			n.WithClock(clock.read)
		}
		n.CertsIn(certs)
		refused := func() {
			t.Helper()
			_, err := stamp(t, n, "oci://"+host+"/emr")
			want := fmt.Sprintf(`oci://%s/emr: cannot read metadata/timestamp.json: source does not answer: the certificate of %s is signed by an unknown authority ("Clinic CA"): `+
				"a login page of the network, or an authority of your own, whose certificate belongs to %s/ca.crt", host, host, filepath.Join(certs, host))
			if err == nil || err.Error() != want || !errors.Is(err, bundle.ErrUnreachable) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
		refused()
		put(t, encoded(root.cert), certs, "registry.example.org", "ca.crt")
		refused()
		put(t, encoded(root.cert), certs, host, "ca.crt")
		asked := len(store.resume)
		_, err := stamp(t, n, "oci://"+host+"/emr")
		if err == nil || !strings.Contains(err.Error(), `its tag "manifest" is something else`) || len(store.resume) == asked {
			t.Errorf("error %v", err)
		}
		if _, err := stamp(t, n, store.URL); err == nil || !strings.Contains(err.Error(), "signed by an unknown authority") {
			t.Errorf("another host: error %v", err)
		}
		if err := os.Remove(filepath.Join(certs, host, "ca.crt")); err != nil {
			t.Fatal(err)
		}
		n.Close()
		refused()
		put(t, []byte("a letter"), certs, host, "ca.crt")
		want := filepath.Join(certs, host, "ca.crt") + " holds no certificate (PEM)"
		if _, err := stamp(t, n, "oci://"+host+"/emr"); err == nil || !strings.HasSuffix(err.Error(), want) || !errors.Is(err, bundle.ErrUnreachable) {
			t.Errorf("error %v", err)
		}
	}
}

// TestClientCertificate: a server that asks who we are is shown what lies beside its authority.
func TestClientCertificate(t *testing.T) {
	root := authorityOf(t)
	_, chain := root.issue(t, -1, 1000, forLoopback)
	_, mine := root.issue(t, -1, 1000, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	server := secured(t, chain, said)
	server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	server.TLS.ClientCAs.AddCert(root.cert)
	host, certs := strings.TrimPrefix(server.URL, "https://"), t.TempDir()
	n := fetch.NewNetwork()
	n.CertsIn(certs)
	put(t, encoded(root.cert), certs, host, "ca.crt")
	if _, err := stamp(t, n, server.URL); err == nil {
		t.Error("a stranger is let in")
	}
	put(t, encoded(mine.Leaf), certs, host, "client.cert")
	if _, err := stamp(t, n, server.URL); err == nil || !strings.Contains(err.Error(), "client.key: no such file") {
		t.Errorf("without a key: %v", err)
	}
	put(t, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"), certs, host, "client.key")
	if _, err := stamp(t, n, server.URL); err == nil || !strings.HasSuffix(err.Error(), "client.cert and the .key beside it are not a certificate and its key (PEM)") {
		t.Errorf("with another key: %v", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(mine.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	put(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), certs, host, "client.key")
	if _, err := stamp(t, n, server.URL); err != nil {
		t.Error(err)
	}
}

// TestRefusedCertificates says which of them it is.
func TestRefusedCertificates(t *testing.T) {
	root := authorityOf(t)
	certs := t.TempDir()
	now := time.Now()
	for _, c := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"expired", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(-200), day(-100) }, "the server's certificate is good from 2026-02-13 to 2026-05-24, and by this computer's clock it is " +
			now.UTC().Format(time.DateOnly) + ": is the clock right?"},
		{"of others", func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"login.hotel.example", "a.example", "b.example", "c.example"}, nil
		}, "the certificate is not for 127.0.0.1 but for login.hotel.example, a.example, b.example, others (a login page of the network?)"},
		{"of nobody", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }, "the certificate is not for 127.0.0.1 but for no host (a login page of the network?)"},
	} {
		_, chain := root.issue(t, -1, 1000, func(x *x509.Certificate) { forLoopback(x); c.change(x) })
		server := secured(t, chain, said)
		n := fetch.NewNetwork()
		n.CertsIn(certs)
		put(t, encoded(root.cert), certs, strings.TrimPrefix(server.URL, "https://"), "ca.crt")
		_, err := stamp(t, n, server.URL)
		if want := server.URL + ": cannot read metadata/timestamp.json: source does not answer: " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, want)
		}
	}
}

// TestAuthoritiesOfTheSystem: SSL_CERT_FILE counts. It is read once in the life of a process, so this is another one.
func TestAuthoritiesOfTheSystem(t *testing.T) {
	if url := os.Getenv("DHOW_TEST_SERVER"); url != "" {
		n := fetch.NewNetwork()
		if _, err := stamp(t, n, url); err != nil {
			t.Error(err)
		}
		return
	}
	root := authorityOf(t)
	_, chain := root.issue(t, -1, 1000, forLoopback)
	server := secured(t, chain, said)
	file := filepath.Join(t.TempDir(), "ca.pem")
	put(t, encoded(root.cert), file)
	for _, c := range []struct {
		set string
		ok  bool
	}{{file, true}, {os.DevNull, false}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAuthoritiesOfTheSystem$")
		cmd.Env = append(os.Environ(), "DHOW_TEST_SERVER="+server.URL, "SSL_CERT_FILE="+c.set)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.ok {
			t.Errorf("SSL_CERT_FILE=%s: %v\n%s", c.set, err, out)
		}
	}
}
