package fetch

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dhow/bundle"
)

// Clock tells what the computer says of the time, a moment that has certainly passed, and whether the computer is therefore certainly
// wrong. It must not wait: it is asked in the middle of a request.
type Clock func() (now, floor time.Time, wrong bool)

// WithClock makes n follow a clock; it is called once, before n is used.
//
// A server's certificate is good for a window of time, and a computer whose clock has lost the time would reach no server any more. While
// the clock is certainly wrong, and only then, a chain of certificates is taken that is whole, for the right host, from a known authority,
// and good at some moment that is not before the floor: the present is such a moment, but nobody knows which. One that had ended before the
// floor is refused, as everything else that is refused with a right clock.
func (n *Network) WithClock(clock Clock) *Network {
	n.clock = clock
	n.transport.TLSClientConfig.Time = func() time.Time {
		now, _, _ := clock()
		return now
	}
	return n
}

// maxLost bounds the transports of lost; servers may send us to other hosts.
const maxLost = 16

// route is the transport for a request of an owner (see own; without one the host is): the ordinary one, or while the clock is certainly
// wrong one that belongs to the host.
func (n *Network) route(owner string, to *url.URL) (*http.Transport, error) {
	ordinary := n.transport
	if to.Scheme == "https" {
		var err error
		if ordinary, err = n.own(cmp.Or(owner, to.Host)); err != nil || n.clock == nil {
			return ordinary, err
		}
		if _, _, wrong := n.clock(); wrong {
			return n.unclocked(ordinary, to.Hostname()), nil
		}
	}
	return ordinary, nil
}

// lost is for which host, and beside which ordinary transport, a transport is that does not ask the clock.
type lost struct {
	ordinary *http.Transport
	host     string
}

func (n *Network) unclocked(ordinary *http.Transport, host string) *http.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.lost[lost{ordinary, host}]; t != nil {
		return t
	}
	if len(n.lost) >= maxLost {
		for _, t := range n.lost {
			t.CloseIdleConnections()
		}
		clear(n.lost)
	}
	t := ordinary.Clone()
	c := t.TLSClientConfig
	c.ServerName = host
	c.InsecureSkipVerify = true // VerifyConnection does it, also when a session is resumed
	c.VerifyConnection = func(s tls.ConnectionState) error {
		_, floor, wrong := n.clock()
		if !wrong {
			return fmt.Errorf("%w: the clock was set meanwhile", bundle.ErrUnreachable)
		}
		return verifyLost(s.PeerCertificates, host, c.RootCAs, floor)
	}
	if n.lost == nil {
		n.lost = map[lost]*http.Transport{}
	}
	n.lost[lost{ordinary, host}] = t
	return t
}

// maxChain bounds how many certificates of a server are looked at.
const maxChain = 10

// verifyLost verifies a server's chain without knowing the time: at the earliest moments from floor on at which it may be good.
func verifyLost(chain []*x509.Certificate, host string, roots *x509.CertPool, floor time.Time) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("the server sent %d certificates", len(chain))
	}
	leaf := chain[0]
	first := floor
	if leaf.NotBefore.After(first) {
		first = leaf.NotBefore
	}
	moments, others := []time.Time{first}, x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
		if c.NotBefore.After(first) { // an authority may be renewed while its servers keep their certificates
			moments = append(moments, c.NotBefore)
		}
	}
	if leaf.NotAfter.After(first) {
		moments = append(moments, leaf.NotAfter)
	}
	var refused error
	for _, at := range moments {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: others, CurrentTime: at})
		if err == nil {
			return nil
		}
		if refused == nil {
			refused = err
		}
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: refused}
}

// tlsError says in words why a server's certificate is refused, and where to put the authority of an own one.
func (n *Network) tlsError(owner string, to *url.URL, err error) error {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var bad x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		place := filepath.Join(n.certs, cmp.Or(owner, to.Host), "ca.crt")
		return fmt.Errorf("%w: the certificate of %s is signed by an unknown authority%s: a login page of the network, or an authority of your own, "+
			"whose certificate belongs to %s", bundle.ErrUnreachable, to.Host, issuer(unknown.Cert), place)
	case errors.As(err, &other):
		return fmt.Errorf("%w: the certificate is not for %s but for %s (a login page of the network?)", bundle.ErrUnreachable, other.Host, namesIn(other.Certificate))
	case errors.As(err, &bad) && bad.Reason == x509.Expired && bad.Cert != nil:
		return n.untimely(bad.Cert)
	}
	return err
}

func issuer(c *x509.Certificate) string {
	if c == nil || c.Issuer.CommonName == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", oneLine(c.Issuer.CommonName))
}

// namesIn lists some of the names of a certificate, which a stranger has chosen.
func namesIn(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	if len(names) > 3 {
		names = append(names[:3], "others")
	}
	return oneLine(strings.Join(names, ", "))
}

// untimely says that a certificate is refused for its time, and by which clock.
func (n *Network) untimely(c *x509.Certificate) error {
	good := fmt.Sprintf("the server's certificate is good from %s to %s", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	now, floor, wrong := time.Now(), time.Time{}, false
	if n.clock != nil {
		now, floor, wrong = n.clock()
	}
	if wrong {
		return fmt.Errorf("%w: %s, and it is at least %s", bundle.ErrUnreachable, good, floor.UTC().Format(time.DateOnly))
	}
	return fmt.Errorf("%w: %s, and by this computer's clock it is %s: is the clock right?", bundle.ErrUnreachable, good, now.UTC().Format(time.DateOnly))
}

// Said is what time it is by a server. Nobody has signed that.
type Said struct {
	Server string
	Time   time.Time
}

// Heard is what time it is now by the server that answered last; its zero value means that none has.
func (n *Network) Heard() Said {
	n.mu.Lock()
	defer n.mu.Unlock()
	said := n.said
	if said.Server != "" {
		said.Time = said.Time.Add(time.Since(n.heard))
	}
	return said
}

// hear notes the date of an answer that comes from the server itself, and not from a cache.
func (n *Network) hear(resp *http.Response) {
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.Header.Get("Age") != "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said, n.heard = Said{resp.Request.URL.Hostname(), at}, time.Now()
}
