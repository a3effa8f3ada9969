package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/site"
	"dhow/bundle/fetch"
)

// TestDoctorSeesCertificatesEnd asks servers whose certificates have ended, end soon, and are good for long. The authorities of the system are read once in
// the life of a process, so another one asks.
func TestDoctorSeesCertificatesEnd(t *testing.T) {
	if urls := os.Getenv("DHOW_TEST_SERVERS"); urls != "" {
		p := &patient{config: &site.Config{Sources: strings.Fields(urls)}, network: fetch.NewNetwork()}
		list := checkCertificates(t.Context(), p)
		if got, want := ids(list), []string{"bad tls.distrusted", "warning tls.soon"}; !slices.Equal(got, want) || len(list) != 3 {
			t.Fatalf("%q, want %q (%+v)", got, want, list)
		}
		list[1].fill()
		if want := " expires on " + time.Now().AddDate(0, 0, 3).UTC().Format(time.DateOnly); !strings.HasSuffix(list[1].Text, want) || list[1].Remedy == "" {
			t.Errorf("%+v, want %q", list[1], want)
		}
		return
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var authority *x509.Certificate
	issue := func(end time.Time) []byte {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(end.UnixNano()), Subject: pkix.Name{CommonName: end.String()}, NotBefore: end.AddDate(-2, 0, 0), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			IsCA: authority == nil, BasicConstraintsValid: true,
		}
		by := c
		if authority != nil {
			by = authority
		}
		der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	root := issue(time.Now().AddDate(1, 0, 0))
	if authority, err = x509.ParseCertificate(root); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), 0o600); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, days := range []int{-1, 3, 90} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{issue(time.Now().AddDate(0, 0, days))}, PrivateKey: key}}}
		server.StartTLS()
		defer server.Close()
		urls = append(urls, server.URL)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDoctorSeesCertificatesEnd$")
	cmd.Env = append(os.Environ(), "DHOW_TEST_SERVERS="+strings.Join(urls, " "), "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
