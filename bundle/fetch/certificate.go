package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"dhow/bundle"
)

// Certificate asks a host, HOST[:PORT], over TLS, as a source there is asked, and returns the certificate with which it has proved who it is. What
// keeps it from being believed is the error. What the host then answers is of no matter.
func (n *Network) Certificate(ctx context.Context, host string) (*x509.Certificate, error) {
	to := &url.URL{Scheme: "https", Host: host, Path: "/"}
	t, err := n.route("", to)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, to.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, n.tlsError("", to, n.proxyError(req, err))
	}
	_ = resp.Body.Close()
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		return nil, errors.New("the server has shown no certificate")
	}
	return resp.TLS.PeerCertificates[0], nil
}

// Distrusted reports whether err is about a certificate, and not about the way to its server.
func Distrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var bad x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &other) || errors.As(err, &bad)
}

// ProxyOf is the proxy of the environment for an address, nil when it is asked directly.
func ProxyOf(address *url.URL) (*url.URL, error) {
	return environmentProxy()(&http.Request{URL: address})
}
