package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"dhow/bundle"
	"dhow/manifest"
)

// web is a folder with the layout behind an ordinary web server.
type web struct {
	net  *Network
	name string
	base *url.URL
	get  getter
}

func (n *Network) openWeb(spec string) (bundle.Source, error) {
	u, err := url.Parse(spec)
	if err != nil {
		return nil, errors.New("it is not a web address")
	}
	if u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it must look like https://HOST/PATH")
	}
	client := &http.Client{Transport: n.via(u.Host, strings.EqualFold(u.Scheme, "http")), CheckRedirect: mayRedirect}
	return &web{net: n, name: u.Redacted(), base: u, get: getter{client}}, nil
}

func (w *web) Name() string { return w.name }

func (w *web) Close() error {
	w.net.Close()
	return nil
}

func (w *web) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !bundle.IsDocument(path) {
		return nil, fmt.Errorf("%s: %s: %w", w.name, path, bundle.ErrUnsafePath)
	}
	data, err := w.document(ctx, path, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read %s: %w", w.name, path, err)
	}
	return data, nil
}

// document asks caches on the way to look whether they are behind, except for what never changes under its name.
func (w *web) document(ctx context.Context, path string, limit int64) ([]byte, error) {
	address, header := w.base.JoinPath(path).String(), http.Header{"Cache-Control": {"no-cache"}}
	switch {
	case path == bundle.TimestampPath:
		return w.net.whenChanged(ctx, &w.get, address, header, limit)
	case strings.HasPrefix(path, bundle.TargetsDir+"/"):
		header = nil
	}
	data, err := w.get.small(ctx, address, header, limit)
	if errors.Is(err, errPage) && strings.HasSuffix(path, ".root.json") {
		// Whether there is a newer root is found out by asking for it. A server that answers with a page for what it does not have, and
		// says that all is well, has none: a login page would have come before, in place of the timestamp.
		err = absent("a web page stands in its place")
	}
	return data, err
}

func (w *web) Blob(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	body, start, err := w.openAt(ctx, b, offset)
	if err != nil {
		return nil, err
	}
	return discardTo(body, offset-start)
}

func (w *web) openAt(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, int64, error) {
	path := bundle.BlobPath(b.Digest)
	if path == "" {
		return nil, 0, fmt.Errorf("%q is not a SHA-256 digest", b.Digest)
	}
	body, start, err := w.get.blob(ctx, w.base.JoinPath(path).String(), b, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read blob %s: %w", b.Digest, err)
	}
	return body, start, nil
}
