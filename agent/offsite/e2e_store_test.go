//go:build e2e

package offsite

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// store is a real S3 server (versitygw over a folder) with the bucket "backups", for the time of one test.
type store struct {
	host  string
	dir   string
	roots *x509.CertPool // with TLS
}

const (
	goodAccess = "tester"
	goodSecret = "not a real secret"
)

func newStore(t *testing.T, secure bool) *store {
	t.Helper()
	program := os.Getenv("DHOW_E2E_S3")
	if program == "" {
		t.Fatal("this test needs an S3 server: run it with ./scripts/test, or set DHOW_E2E_S3 to the program versitygw")
	}
	// Between the look for a free port and its use another test may take it: then there is another one.
	var said string
	for range 5 {
		s, text := tryStore(t, program, secure)
		if s != nil {
			return s
		}
		said = text
	}
	t.Fatalf("the S3 server does not start: %s", said)
	return nil
}

// tryStore starts the server on a port that is free, and returns what it has said when it ends instead of answering.
func tryStore(t *testing.T, program string, secure bool) (*store, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &store{host: l.Addr().String(), dir: t.TempDir()}
	_ = l.Close()
	if err := os.Mkdir(filepath.Join(s.dir, "backups"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"--port", s.host, "--quiet"}
	address := "http://" + s.host
	if secure {
		cert, key := s.certificate(t)
		args = append(args, "--cert", cert, "--key", key)
		address = "https://" + s.host
	}
	cmd := exec.Command(program, append(args, "posix", s.dir)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+goodAccess, "ROOT_SECRET_KEY="+goodSecret)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	for end := time.Now().Add(20 * time.Second); ; {
		// A connection alone may be somebody else's, who has just had the port.
		if resp, err := client.Get(address); err == nil {
			_ = resp.Body.Close()
			return s, ""
		}
		select {
		case err := <-ended:
			ended <- err
			return nil, log.String()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			err := <-ended
			ended <- err
			t.Fatalf("the S3 server does not answer: %s", log.String())
		}
	}
}

// certificate makes one for 127.0.0.1 that only s.roots trusts.
func (s *store) certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(
		os.WriteFile(cert, certPEM, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(certPEM)
	return cert, key
}
