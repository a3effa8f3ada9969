package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/bundletest"
)

// TestThousandConnections: a crowd that says nothing keeps nobody out for long, and what is more than the bound is closed at once.
func TestThousandConnections(t *testing.T) {
	p := newPlace(t)
	address := listen(t, p.handler())
	open := 0
	for range 1000 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); isTimeout(err) {
			open++
		}
	}
	if open > 3*maxOfOne { // a connection that the server has not looked at yet seems open
		t.Errorf("%d of 1000 connections stayed open", open)
	}
	deadline := time.Now().Add(3 * headTime)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		resp, err := http.Get("http://" + address + "/metadata/timestamp.json")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody else comes in: %v", err)
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// withBig is the handler of a place that has 32 MiB more.
func (p *place) withBig() (h *Handler, big digest.Digest) {
	p.t.Helper()
	b := bundletest.Layer(p.t, p.store, bundle.Plain, bundletest.Tar(p.t, map[string]string{"big": string(bundletest.Bytes(7, 32*megabyte))}))
	shelf := Site(p.store, p.client).(*site)
	shelf.named, shelf.when = nil, time.Now()
	if _, err := shelf.find(context.Background(), p.db().Digest); err != nil {
		p.t.Fatal(err)
	}
	shelf.named[b.Digest] = b.Blob
	return NewHandler(shelf, nil), b.Digest
}

// TestTrickle: who takes each piece just in time does not keep a place until the end.
func TestTrickle(t *testing.T) {
	p := newPlace(t)
	h, big := p.withBig()
	h.slowest, h.least = 4*time.Second, 8*megabyte
	conn, err := net.Dial("tcp", listen(t, h))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", bundle.BlobPath(big))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	had := false
	for began := time.Now(); ; <-tick.C {
		if _, err := io.CopyN(io.Discard, conn, 64<<10); err != nil {
			t.Fatalf("it ended before the place was free: %v", err)
		}
		h.streams.mu.Lock()
		in := h.streams.in
		h.streams.mu.Unlock()
		had = had || in > 0
		if had && in == 0 {
			return
		}
		if time.Since(began) > 12*time.Second {
			t.Fatal("the place is still taken")
		}
	}
}

// TestSlowReaders take their places for so long as they read, the next one is told to come again, and those who do not read at all lose theirs.
func TestSlowReaders(t *testing.T) {
	p := newPlace(t)
	h, big := p.withBig()
	h.patience, h.slowest = 50*time.Millisecond, 500*time.Millisecond
	address := listen(t, h)
	for range maxStreams {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", bundle.BlobPath(big))
		if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || line == "" {
			t.Fatalf("%q %v", line, err)
		}
	}
	get := func() (int, string) {
		resp, err := http.Get("http://" + address + "/" + bundle.BlobPath(p.db().Digest))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	if status, again := get(); status != 503 || again != comeAgain {
		t.Errorf("one too many: %d, Retry-After %q", status, again)
	}
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for status, _ := get(); status != 200; status, _ = get() {
		<-tick.C
		if time.Now().After(deadline) {
			t.Fatal("those who do not read keep their places")
		}
	}
}

// TestRawRequests are not what a client library sends.
func TestRawRequests(t *testing.T) {
	p := newPlace(t)
	address := listen(t, p.handler())
	db := bundle.BlobPath(p.db().Digest)
	for request, want := range map[string]string{
		"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n":                                      "404",
		"GET http://elsewhere/" + db + " HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n":        "206",
		"GET /" + db + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel":                    "400",
		"GET /" + db + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n":              "400",
		"POST /" + db + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n":              "405",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                  "405",
		"CONNECT db:3306 HTTP/1.1\r\nHost: x\r\n\r\n":                                            "405",
		"GET /" + db + " HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n":  "431",
		"GET /" + strings.Repeat("a/", 10_000) + " HTTP/1.1\r\nHost: x\r\n\r\n":                  "431",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is no HTTP\r\n\r\n":                        "400",
		"GET /" + db + " HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\nRange: bytes=1-1\r\n\r\n":    "200",
		"GET /" + db + " HTTP/1.1\r\nHost: x\r\nIf-Range: \"other\"\r\nRange: bytes=0-0\r\n\r\n": "200",
		"HEAD /metadata/%2e%2e%2f%2e%2e%2fjournal.db HTTP/1.1\r\nHost: x\r\n\r\n":                "404",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, request)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		if !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%.80q: %q, want %s", request, line, want)
		}
	}
}

// TestGateIsFair: one address leaves room for another.
func TestGateIsFair(t *testing.T) {
	g := newGate(4, 3)
	var leave []func()
	for range 3 {
		out, _ := g.try("a")
		leave = append(leave, out)
	}
	if out, _ := g.try("a"); out != nil {
		t.Error("one address takes all places")
	}
	if out, _ := g.try("b"); out == nil {
		t.Error("another address finds no place")
	}
	if out, _ := g.try("c"); out != nil {
		t.Error("more than all")
	}
	done := make(chan error, 1)
	go func() {
		_, err := g.enter(context.Background(), "c", time.Minute)
		done <- err
	}()
	leave[0]()
	leave[0]() // twice is once
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := g.enter(context.Background(), "c", time.Millisecond); err != errBusy {
		t.Errorf("%v", err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"/metadata/timestamp.json", "/blobs/sha256/" + strings.Repeat("a", 64), "/metadata/../x", "//", "/targets/releases/a.b", "/metadata/%2e%2e",
		"/targets/\\..\\x", "/blobs/sha256/../sha256/x", "*", "",
	} {
		f.Add(s, "bytes=0-1", `"x"`)
		f.Add(s, "bytes=-0", "*")
	}
	f.Add("/targets/private.txt", "", "")
	f.Add("/metadata/root-1.key", "", "")
	source := openGenerous(f)
	f.Add("/metadata/x", "bytes=9223372036854775807-9223372036854775807", "W/")
	f.Fuzz(func(t *testing.T, path, ranges, tag string) {
		s := &strict{t: t}
		r := &http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{"Range": {ranges}, "If-Range": {tag}}, RemoteAddr: "x"}
		w := httptest.NewRecorder()
		NewHandler(s, nil).ServeHTTP(w, r)
		if w.Code == 200 || w.Code == 206 {
			if !s.asked {
				t.Errorf("%q was answered by nobody", path)
			}
			if n := w.Header().Get("Content-Length"); n != fmt.Sprint(w.Body.Len()) {
				t.Errorf("Content-Length %s of %d bytes", n, w.Body.Len())
			}
		}
		w = httptest.NewRecorder()
		NewHandler(source, nil).ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), private) {
			t.Errorf("%q is given away, and nobody has signed it", path)
		}
	})
}
