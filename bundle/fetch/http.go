package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dhow/bundle"
	"dhow/manifest"
)

// stallTimeout is how long a line may be silent before it counts as gone.
const stallTimeout = 60 * time.Second

// errBadRange says that a server can't go on where the part ends: the part has to be fetched anew.
var errBadRange = errors.New("the server does not go on where it was asked to")

// maxExcuse is how much of the page is read with which a server says that it has not what it is asked for, in bytes.
const maxExcuse = 4 << 10

// ErrRefused says that a server does not let us in. It is bundle.ErrUnreachable, too.
var ErrRefused = errors.New("access is refused")

// errStalled is the cause of a transfer that was given up.
var errStalled = errors.New("the line went silent")

// Transport returns what HTTP requests of Dhow go through: the proxy of the environment, the authorities of Docker's certs.d, bounded waits,
// and plain http for hosts of the same building only, unless plain is set. wait bounds the time between a request and the head of its
// answer. Answers come as they are, never unpacked on the way.
func Transport(plain bool, wait time.Duration) http.RoundTripper {
	n := NewNetwork()
	n.transport.ResponseHeaderTimeout = wait
	return n.via("", plain)
}

func newTransport(wait time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  environmentProxy(),
		OnProxyConnectResponse: refusedByProxy,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    30 * time.Second,
		ResponseHeaderTimeout:  wait,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           8,
		MaxIdleConnsPerHost:    4, // as many as blobs come at once
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
	}
}

// guard stops a fall-back or a redirect to plain http, on which passwords would be readable.
type guard struct {
	*http.Transport
	plain bool
}

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.plain && !manifest.LocalHost(req.URL.Host) {
		return nil, fmt.Errorf("plain http to %s is not allowed", req.URL.Host)
	}
	return g.Transport.RoundTrip(req)
}

// getter makes requests and checks the answers. Its errors name the cause; callers add the source's name.
type getter struct {
	client *http.Client
}

// maxRedirects is how often in a row a server may send us on.
const maxRedirects = 5

// mayRedirect stops what leads in circles, from https to plain http, or out of the building: what a neighbour gives costs nothing, and is not
// held back by quiet hours or a budget.
func mayRedirect(req *http.Request, via []*http.Request) error {
	switch from := via[len(via)-1].URL; {
	case len(via) > maxRedirects:
		return fmt.Errorf("it sends us on more than %d times", maxRedirects)
	case from.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("it sends us on from https to plain http at %s (a login page of the network?)", req.URL.Host)
	case hostDistance(via[0].URL.Host) <= LAN && hostDistance(req.URL.Host) > LAN:
		return fmt.Errorf("it is in the local network and sends us on to %s, which is not", req.URL.Host)
	}
	return nil
}

// do sends a request and classifies the failure to get an answer at all. It waits for a server that is busy for a moment.
func (g *getter) do(ctx context.Context, method, address string, header http.Header, form url.Values) (*http.Response, error) {
	begin := time.Now()
	for tries := 1; ; tries++ {
		req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, fmt.Errorf("internal error: %w", err)
		}
		for k, v := range header {
			req.Header[k] = v
		}
		if form == nil {
			req.Body, req.ContentLength = nil, 0
		} else {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := g.client.Do(req)
		if err != nil {
			return nil, unreachable(ctx, err)
		}
		wait, busy := retryAfter(resp, time.Now())
		if !busy {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxExcuse)
		_ = resp.Body.Close()
		wait = max(wait, time.Second)
		if tries == attempts || time.Since(begin)+wait > patience {
			return nil, &busyError{resp.StatusCode, wait}
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// unreachable classifies an error of the network. The end of ctx is not one.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the answer broke off before its end", bundle.ErrUnreachable)
	}
	var known *url.Error
	if errors.As(err, &known) { // callers name the address already
		if err = known.Err; errors.Is(err, bundle.ErrUnreachable) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
}

// status classifies an answer that is not the content.
func status(resp *http.Response) error {
	code := resp.StatusCode
	if sentBy := resp.Request.Response; sentBy != nil && code >= 400 && code != http.StatusNotFound && code != http.StatusGone {
		// An address that a registry gives for a store of objects is good for some minutes: asked again, it gives another.
		return fmt.Errorf("%w: %s, to which it sends us, answers HTTP %d %s", bundle.ErrUnreachable, resp.Request.URL.Host, code, http.StatusText(code))
	}
	switch code {
	case http.StatusOK, http.StatusPartialContent:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return absent(fmt.Sprintf("it is not there (HTTP %d)", code))
	case http.StatusProxyAuthRequired:
		return errProxyPassword
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w (HTTP %d)", bundle.ErrUnreachable, ErrRefused, code)
	case http.StatusRequestedRangeNotSatisfiable:
		return errBadRange
	case http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", bundle.ErrUnreachable, errFailed)
	default:
		return fmt.Errorf("%w: HTTP %d %s", bundle.ErrUnreachable, code, http.StatusText(code))
	}
}

// errFailed is a server that could not answer this time.
var errFailed = errors.New("HTTP 500 Internal Server Error")

// isPage reports whether the answer is a web page.
func isPage(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html"
}

var errPage = asIfAway("a web page came instead of the content (a login page of the network?)")

// asIfAway is what is no answer of the source, though something has answered: it counts as bundle.ErrUnreachable.
type asIfAway string

func (a asIfAway) Error() string { return string(a) }

func (a asIfAway) Is(target error) bool { return target == bundle.ErrUnreachable }

// errPacked is an answer that somebody on the way has changed: no document is packed with gzip, and none was asked for so.
var errPacked = asIfAway("the answer was packed (gzip) on the way and nobody asked for that (a proxy?)")

// small reads an answer of at most limit bytes as a whole.
func (g *getter) small(ctx context.Context, address string, header http.Header, limit int64) ([]byte, error) {
	resp, data, err := g.ask(ctx, http.MethodGet, address, header, nil, limit)
	if err == nil && resp.StatusCode == http.StatusNotModified {
		err = errNotAsked
	}
	return data, err
}

// errNotAsked is an answer to a question that nobody asked.
var errNotAsked = fmt.Errorf("%w: it says that nothing changed and was not asked (HTTP 304)", bundle.ErrUnreachable)

// ask is small for any method, and also hands on that nothing has changed (HTTP 304, no data).
func (g *getter) ask(
	ctx context.Context, method, address string, header http.Header, form url.Values, limit int64,
) (*http.Response, []byte, error) {
	ctx, stop, alive := stallContext(ctx, stallTimeout)
	defer stop()
	resp, err := g.do(ctx, method, address, header, form)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return resp, nil, nil
	}
	if err := status(resp); err != nil {
		_, _ = io.CopyN(io.Discard, resp.Body, maxExcuse) // read to its end, the connection can be used again
		return nil, nil, err
	}
	if isPage(resp) {
		return nil, nil, errPage
	}
	if resp.ContentLength > limit {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", bundle.ErrTooLarge, resp.ContentLength, limit)
	}
	data, err := readLimited(aliveReader{resp.Body, alive}, limit)
	switch {
	case errors.Is(err, bundle.ErrTooLarge):
	case err != nil:
		err = unreachable(ctx, err)
	case bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n\ufeff"), []byte("<")): // no document begins like this, whatever its type is called
		return nil, nil, errPage
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return nil, nil, errPacked
	}
	return resp, data, err
}

// head asks for what a server says of a document.
func (g *getter) head(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	ctx, stop, _ := stallContext(ctx, stallTimeout)
	defer stop()
	resp, err := g.do(ctx, http.MethodHead, address, header, nil)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// blob opens content from offset on, and says where the answer really begins: a server that can't resume sends everything.
func (g *getter) blob(ctx context.Context, address string, b manifest.Blob, offset int64) (body io.ReadCloser, start int64, err error) {
	body, start, err = g.blobFrom(ctx, address, b, offset)
	if errors.Is(err, errBadRange) && offset > 0 {
		// It may have less than we think, or not understand the question. Its whole answer will tell; what is here stays until then.
		body, start, err = g.blobFrom(ctx, address, b, 0)
	}
	return body, start, err
}

func (g *getter) blobFrom(ctx context.Context, address string, b manifest.Blob, offset int64) (body io.ReadCloser, start int64, err error) {
	header := http.Header{"Accept-Encoding": {"identity"}}
	if offset > 0 { // with its end: some registries don't understand an open range
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, b.Size-1))
	}
	resp, err := g.do(ctx, http.MethodGet, address, header, nil)
	if err != nil {
		return nil, 0, err
	}
	start, err = checkBlob(resp, b, offset)
	if err != nil {
		_, _ = io.CopyN(io.Discard, resp.Body, maxExcuse)
		_ = resp.Body.Close()
		return nil, 0, err
	}
	return &bodyReader{ctx, resp.Body}, start, nil
}

// checkBlob judges an answer by its head. What is refused here costs nothing: what is here already stays.
func checkBlob(resp *http.Response, b manifest.Blob, offset int64) (start int64, err error) {
	if err := status(resp); err != nil {
		return 0, err
	}
	if code := resp.Header.Get("Content-Encoding"); code != "" && !strings.EqualFold(code, "identity") {
		return 0, errPacked
	}
	length := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if offset == 0 || !ok || first != offset {
			return 0, errBadRange
		}
		if total < 0 { // "*": the server doesn't say
			total = max(b.Size, last+1)
		}
		start, length = first, total
	}
	if isPage(resp) && length != b.Size { // a file of a release may be a web page, too
		return 0, errPage
	}
	if length >= 0 && length != b.Size {
		return 0, fmt.Errorf("blob %s is %w: the server has %d bytes, not %d", b.Digest, bundle.ErrDamaged, length, b.Size)
	}
	return start, nil
}

// contentRange reads "bytes 5-9/10". total is -1 for "*".
func contentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, of, ok2 := strings.Cut(s, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, false
	}
	total = -1
	var err error
	if of != "*" {
		if total, err = strconv.ParseInt(of, 10, 64); err != nil || total < 0 {
			return 0, 0, 0, false
		}
	}
	first, err = strconv.ParseInt(from, 10, 64)
	if err != nil || first < 0 {
		return 0, 0, 0, false
	}
	last, err = strconv.ParseInt(to, 10, 64)
	if err != nil || last < first || total >= 0 && last >= total {
		return 0, 0, 0, false
	}
	return first, last, total, true
}

// bodyReader classifies the errors of a connection that breaks.
type bodyReader struct {
	ctx  context.Context
	body io.ReadCloser
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		err = unreachable(b.ctx, err)
	}
	return n, err
}

func (b *bodyReader) Close() error { return b.body.Close() }

// stallContext returns a context that ends with errStalled unless alive is called at least every d.
func stallContext(parent context.Context, d time.Duration) (ctx context.Context, stop, alive func()) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(d, func() {
		cancel(fmt.Errorf("%w: %w: nothing came for %v", bundle.ErrUnreachable, errStalled, d))
	})
	return ctx, func() { timer.Stop(); cancel(nil) }, func() { timer.Reset(d) }
}

// aliveReader calls alive for every piece that comes.
type aliveReader struct {
	r     io.Reader
	alive func()
}

func (a aliveReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		a.alive()
	}
	return n, err
}

// discardTo reads away what stands before offset.
func discardTo(r io.ReadCloser, n int64) (io.ReadCloser, error) {
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		_ = r.Close()
		if err == io.EOF {
			err = fmt.Errorf("%w: it ended early", bundle.ErrUnreachable)
		}
		return nil, err
	}
	return r, nil
}

// kinded is an error that is of a further kind.
type kinded struct {
	error
	kind error
}

func (k *kinded) Unwrap() []error { return []error{k.error, k.kind} }
