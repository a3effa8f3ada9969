package fetch

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// traffic counts the bytes of all connections of a Network: below TLS, in both directions.
type traffic struct {
	line, lan atomic.Int64
	proxies   sync.Map // "HOST:PORT" of the proxies that were used: what goes through them leaves the building
}

// Traffic returns how many bytes have crossed connections since the start, headers and TLS included, both directions: line those that may
// cost something, lan those of hosts in the same building. What goes through a proxy is counted as line.
func (n *Network) Traffic() (line, lan int64) { return n.traffic.line.Load(), n.traffic.lan.Load() }

// watch makes t count.
func (c *traffic) watch(t *http.Transport) {
	proxy := t.Proxy
	t.Proxy = func(req *http.Request) (*url.URL, error) {
		u, err := proxy(req)
		if u != nil {
			c.proxies.Store(withPort(u), true)
		}
		return u, err
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		count := &c.line
		if _, proxied := c.proxies.Load(address); !proxied && hostDistance(address) <= LAN {
			count = &c.lan
		}
		return &countedConn{conn, count}, nil
	}
}

// withPort is HOST:PORT as a transport dials it.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

type countedConn struct {
	net.Conn
	count *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.count.Add(int64(n))
	return n, err
}

var dialer = net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
