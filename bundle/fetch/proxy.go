package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"dhow/bundle"

	"golang.org/x/net/http/httpproxy"
)

// errProxyPassword is a proxy that does not know us.
var errProxyPassword = asIfAway("the proxy wants a name and a password (HTTP 407): they stand in HTTP_PROXY or HTTPS_PROXY, as http://NAME:PASSWORD@HOST:PORT")

// environmentProxy is what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say now. A proxy that can't be understood is an error that does not show
// it: it may hold a password.
func environmentProxy() func(*http.Request) (*url.URL, error) {
	config := httpproxy.FromEnvironment()
	choose := config.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		name, value := "HTTPS_PROXY", config.HTTPSProxy
		if req.URL.Scheme == "http" {
			name, value = "HTTP_PROXY", config.HTTPProxy
		}
		if value != "" && !isProxy(value) {
			return nil, fmt.Errorf("%w: %s is not the address of a proxy: write it like http://HOST:PORT", bundle.ErrUnreachable, name)
		}
		return choose(req.URL)
	}
}

// isProxy reports whether a value is understood as the address of a proxy; without a scheme it is http.
func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

// refusedByProxy says in words what a proxy answers to CONNECT when it is not yes.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return errProxyPassword
	}
	return fmt.Errorf("%w: the proxy %s does not let us through (HTTP %d %s)",
		bundle.ErrUnreachable, proxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
}

// proxyError says of a failure that it is the proxy which can't be reached.
func (n *Network) proxyError(req *http.Request, err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "proxyconnect" {
		return err
	}
	proxy, perr := n.transport.Proxy(req)
	if perr != nil || proxy == nil {
		return err
	}
	cause := strings.TrimPrefix(op.Err.Error(), "dial tcp ")
	return fmt.Errorf("%w: the proxy %s can't be reached: %s", bundle.ErrUnreachable, proxy.Host, cause)
}
