package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dhow/agent/site"
	"dhow/bundle/durable"
)

const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

// The time of the agent's own certificate. A computer here may have lost its clock, and people compare the fingerprint, once: an end would teach them to
// accept whatever comes.
var (
	validFrom = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	validTo   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // "no end", by RFC 5280
)

// Certificate returns what the page shows to the network: the files that are configured, or the agent's own in dir, which is made when it is
// not there or does not name all hosts.
func Certificate(dir string, p site.Page) (*tls.Certificate, error) {
	if p.Cert != "" {
		c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot use %s with %s: %w", p.Cert, p.Key, err)
		}
		return &c, nil
	}
	if c := ownCertificate(dir); c != nil && covers(c.Leaf, p.Hosts) {
		return c, nil
	}
	if err := makeCertificate(dir, p.Hosts); err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	c := ownCertificate(dir)
	if c == nil {
		return nil, errors.New("internal error: the certificate that was made can't be read")
	}
	return c, nil
}

// KnownCertificate is Certificate, but makes none: nil when there is none yet.
func KnownCertificate(dir string, p site.Page) (*tls.Certificate, error) {
	if p.Cert != "" {
		return Certificate(dir, p)
	}
	if _, err := os.Stat(filepath.Join(dir, certFile)); errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return ownCertificate(dir), nil
}

// Fingerprint is the SHA-256 of a certificate as browsers show it: AB:CD:…
func Fingerprint(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	var b strings.Builder
	for i, x := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", x)
	}
	return b.String()
}

func ownCertificate(dir string) *tls.Certificate {
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil
	}
	return &c
}

func covers(c *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

// makeCertificate makes one with the key that is there, if it is.
func makeCertificate(dir string, hosts []string) error {
	key, err := ownKey(filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	name := "dhow"
	if len(hosts) > 0 {
		name = hosts[0]
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Dhow at this site"}},
		NotBefore: validFrom, NotAfter: validTo,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func ownKey(path string) (*ecdsa.PrivateKey, error) {
	if data, err := os.ReadFile(path); err == nil {
		if block, _ := pem.Decode(data); block != nil {
			if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				if key, ok := k.(*ecdsa.PrivateKey); ok {
					return key, os.Chmod(path, 0o600)
				}
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
