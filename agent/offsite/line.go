package offsite

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// quietTime is how long a line may stand still before it counts as cut.
const quietTime = 2 * time.Minute

// sendBuffer bounds what the system takes from us ahead of a thin line: what waits in it must go within the quiet time.
const sendBuffer = 128 << 10

// maxAnswer bounds an answer that is not an object: such a one is read into memory.
const maxAnswer = 16 << 20

// newLine makes the connections to a bucket.
func newLine(quiet time.Duration) *http.Transport {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetWriteBuffer(sendBuffer)
			}
			return &lively{Conn: c, quiet: quiet}, nil
		},
		MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 30 * time.Second, DisableCompression: true,
	}
}

// lively is a connection on which something must move: each byte in either direction gives it another quiet time.
type lively struct {
	net.Conn
	quiet time.Duration
}

func (l *lively) Read(p []byte) (int, error) {
	l.push()
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.push()
	}
	return n, err
}

func (l *lively) Write(p []byte) (int, error) {
	l.push()
	n, err := l.Conn.Write(p)
	if n > 0 {
		l.push()
	}
	return n, err
}

func (l *lively) push() { _ = l.SetDeadline(time.Now().Add(l.quiet)) }

// bounded cuts answers short that would be read into memory: lists, and everything that is not an object's content.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil && (req.URL.RawQuery != "" || req.Method != http.MethodGet || resp.StatusCode >= 300) {
		resp.Body = &limited{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body}
	}
	return resp, err
}

type limited struct {
	io.Reader
	io.Closer
}
