package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dhow/manifest/trust"
)

// web is a repository on a web server: a trust.Source with an address for documents and one for files.
type web struct {
	metadata, targets string
	client            *http.Client
}

func newWeb() web {
	// Every request is made once, on a line of its own, and its answer is taken as it comes: the suite counts requests.
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, Proxy: http.ProxyFromEnvironment}
	return web{client: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// Document reads what a published folder has at path, at most limit bytes and one more.
func (w web) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	dir, name, _ := strings.Cut(path, "/")
	base := w.metadata
	if dir == "targets" {
		base = w.targets
		parts := strings.Split(name, "/")
		for i, part := range parts {
			parts[i] = trust.Quote(part)
		}
		name = strings.Join(parts, "/")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/"+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(resp.Body, limit+1))
	case http.StatusNotFound, http.StatusForbidden: // some stores hide what is absent
		return nil, fmt.Errorf("%s: %s: %w", req.URL, resp.Status, fs.ErrNotExist)
	}
	return nil, fmt.Errorf("%s: %s", req.URL, resp.Status)
}

// unquote undoes trust.Quote; what Quote would not write is not a name.
func unquote(quoted string) (string, bool) {
	name, err := url.PathUnescape(quoted)
	return name, err == nil && trust.Quote(name) == quoted
}
