package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"dhow/bundle/fetch"
)

// hostOf is the host of a source, HOST[:PORT], "" for a path of this computer.
func hostOf(spec string) string {
	_, rest, ok := strings.Cut(spec, "://")
	if !ok || strings.HasPrefix(spec, "file:") {
		return ""
	}
	u, err := url.Parse("https://" + rest)
	if err != nil {
		return ""
	}
	return u.Host
}

// peer is a server that the site asks.
type peer struct {
	host  string // HOST[:PORT]
	plain bool   // without TLS
	path  string // of a repository; "" for a web server
	proxy *url.URL
	err   error // of the proxy's address
}

// peers lists the servers of the sources and mirrors, each once.
func (p *patient) peers() (list []peer) {
	if p.config == nil {
		return nil
	}
	specs := slices.Clone(p.config.Sources)
	for _, m := range p.config.Mirrors {
		if !strings.Contains(m, "://") {
			m = "oci://" + m
		}
		specs = append(specs, m)
	}
	for _, spec := range specs {
		host := hostOf(spec)
		if host == "" || slices.ContainsFunc(list, func(o peer) bool { return o.host == host }) {
			continue
		}
		q := peer{host: host, plain: strings.HasPrefix(spec, "http://")}
		if strings.HasPrefix(spec, "oci://") {
			if repo, plain, err := fetch.Repository(spec); err == nil {
				q.host, q.plain, q.path = repo.RegistryStr(), plain, repo.RepositoryStr()
			}
		}
		address := &url.URL{Scheme: "https", Host: q.host}
		if q.plain {
			address.Scheme = "http"
		}
		q.proxy, q.err = fetch.ProxyOf(address)
		list = append(list, q)
	}
	return list
}

// checkNames looks the servers up, or the proxies that are asked in their place.
func checkNames(ctx context.Context, p *patient) (list []finding) {
	seen := map[string]bool{}
	for _, q := range p.peers() {
		host := (&url.URL{Host: q.host}).Hostname()
		if q.proxy != nil {
			host = q.proxy.Hostname()
		}
		if seen[host] || host == "" || net.ParseIP(host) != nil {
			continue
		}
		seen[host] = true
		ask, cancel := context.WithTimeout(ctx, 8*time.Second)
		addresses, err := net.DefaultResolver.LookupHost(ask, host)
		cancel()
		var unknown *net.DNSError
		switch {
		case err == nil:
			list = append(list, good("doctor.dns.good", "host", host, "address", addresses[0])...)
		case errors.As(err, &unknown) && unknown.IsNotFound:
			list = append(list, bad("doctor.dns.unknown", "doctor.dns.address", "host", host)...)
		default:
			list = append(list, bad("doctor.dns.silent", "doctor.dns.line", "host", host)...)
		}
	}
	return list
}

// checkProxy reaches for the proxies of the environment. That of the agent may be another one: the service has an environment of its own.
func checkProxy(ctx context.Context, p *patient) (list []finding) {
	seen := map[string]bool{}
	for _, q := range p.peers() {
		if q.err != nil {
			return said(isBad, "proxy.address", strings.TrimPrefix(q.err.Error(), "source does not answer: "), "doctor.proxy.write")
		}
		if q.proxy == nil || seen[q.proxy.Host] {
			continue
		}
		seen[q.proxy.Host] = true
		address := q.proxy.Host
		if q.proxy.Port() == "" {
			address = net.JoinHostPort(q.proxy.Hostname(), map[string]string{"http": "80", "https": "443"}[q.proxy.Scheme])
		}
		dial, cancel := context.WithTimeout(ctx, 8*time.Second)
		conn, err := (&net.Dialer{}).DialContext(dial, "tcp", address)
		cancel()
		if err != nil {
			list = append(list, bad("doctor.proxy.away", "doctor.proxy.look", "proxy", q.proxy.Host)...)
			continue
		}
		_ = conn.Close()
		list = append(list, good("doctor.proxy.good", "proxy", q.proxy.Host)...)
	}
	return list
}

// soonExpired is how long before its end a certificate is worth a word.
const soonExpired = 14 * 24 * time.Hour

func checkCertificates(ctx context.Context, p *patient) (list []finding) {
	for _, q := range p.peers() {
		if q.plain || q.err != nil {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		c, err := p.network.Certificate(ask, q.host)
		cancel()
		if err != nil {
			if strings.Contains(err.Error(), "certificate") {
				list = append(list, said(isBad, "tls.distrusted", about(q.host, err), "doctor.tls.look", "host", q.host)...)
			}
			continue // the check of the sources says why nobody answers
		}
		now := time.Now()
		if p.trust != nil {
			now = p.trust.Time()
		}
		until := c.NotAfter.Format(time.DateOnly)
		if left := c.NotAfter.Sub(now); left < soonExpired {
			list = append(list, warn("doctor.tls.soon", "doctor.tls.renew", "host", q.host, "until", until, "n", int(left.Hours()/24))...)
			continue
		}
		list = append(list, good("doctor.tls.good", "host", q.host, "until", until)...)
	}
	return list
}

// checkLogins looks up how the site logs in to its registries. Whether they let it in is seen with the sources.
func checkLogins(ctx context.Context, p *patient) (list []finding) {
	for _, q := range p.peers() {
		if q.path == "" {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, 22*time.Second)
		c, err := fetch.CredentialOf(ask, q.host, q.path)
		cancel()
		switch {
		case err != nil:
			list = append(list, said(isBad, "login.broken", about(q.host, err), "doctor.login.again", "host", q.host)...)
		case c.Anonymous():
			list = append(list, good("doctor.login.nobody", "host", q.host)...)
		default:
			list = append(list, good("doctor.login.good", "host", q.host)...)
		}
	}
	return list
}
