package fetch

import (
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// environmentProxy is HTTP_PROXY, HTTPS_PROXY and NO_PROXY as they are now.
func environmentProxy() func(*http.Request) (*url.URL, error) {
	choose := httpproxy.FromEnvironment().ProxyFunc()
	return func(req *http.Request) (*url.URL, error) { return choose(req.URL) }
}
