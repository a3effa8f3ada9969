package fetch

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/manifest"
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

// Window are options with another time for which speed is measured.
func Window(o Options, d time.Duration) Options {
	o.window = d
	return o
}

// Archive is an archive that open gives, of docker save or of a bundle.
func Archive(ctx context.Context, name string, open func() (io.ReadCloser, int64, error)) (bundle.Source, error) {
	a := &archive{path: name, open: open}
	return a, a.readHead(func(visit func(entry) error) error { return a.walk(ctx, visit) })
}

// At is a source at another distance.
func At(src bundle.Source, d Distance) bundle.Source { return away{src, d} }

type away struct {
	bundle.Source
	distance Distance
}

func (a away) Distance() Distance { return a.distance }

func (a away) openAt(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, int64, error) {
	return openAt(ctx, a.Source, b, offset)
}
