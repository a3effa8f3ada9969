package fetch

import (
	"crypto/tls"
	"testing"
	"time"
)

// TLS is the configuration of a network that has not been used.
func (n *Network) TLS() *tls.Config { return n.transport.TLSClientConfig }

// Kept counts what a network keeps.
func (n *Network) Kept() (documents, size int) { return len(n.kept.answers), n.kept.size }

// CertsIn makes a network look for certificates in a folder of a test.
func (n *Network) CertsIn(dir string) { n.certs = dir }

// HelperWait makes credential helpers be given up after d.
func HelperWait(t *testing.T, d time.Duration) {
	before := helperWait
	helperWait = d
	t.Cleanup(func() { helperWait = before })
}
