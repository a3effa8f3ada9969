package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"

	"github.com/klauspost/compress/gzip"
)

// TestPartsSurviveWhatStandsInTheWay: half of a blob is here when something else answers in place of the server. Nothing of it is taken,
// what is here stays, and the next answer of the server brings only the rest.
func TestPartsSurviveWhatStandsInTheWay(t *testing.T) {
	p := publish(t, 200_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	half := len(data) / 2
	page := []byte("<html><body>Please log in</body></html>")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(data[half:])
	_ = z.Close()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(page)
	}))
	t.Cleanup(portal.Close)
	blob := func(s string) string { return fmt.Sprintf("blob %s is damaged: %s", w.Forms[0].Digest, s) }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"a login page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(page)
		}, "a web page came instead of the content (a login page of the network?)"},
		{"a login page behind a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, portal.URL, http.StatusFound)
		}, "a web page came instead of the content (a login page of the network?)"},
		{"a login page that is called data", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(page)
		}, blob("the server has 39 bytes, not " + strconv.Itoa(len(data)))},
		{"a login page with a wrong length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(page)
		}, "a web page came instead of the content (a login page of the network?)"},
		{"a redirect in circles", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, "source does not answer: it sends us on more than 5 times"},
		{"packed on the way", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Range", rangeHeader(half, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(packed.Bytes())
		}, "the answer was packed (gzip) on the way and nobody asked for that (a proxy?)"},
		{"a shorter file", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data[:half-10]))
		}, blob(fmt.Sprintf("the server has %d bytes, not %d", half-10, len(data)))},
		{"a longer file", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(bytes.Clone(data), 'x')))
		}, blob(fmt.Sprintf("the server has %d bytes, not %d", len(data)+1, len(data)))},
		{"busy for long", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "it has too much to do (HTTP 429) and asks to come back in 10 minutes"},
		{"broken", status(http.StatusBadGateway), "source does not answer: HTTP 502 Bad Gateway"},
		{"too slow for a gateway", status(http.StatusRequestTimeout), "source does not answer: HTTP 408 Request Timeout"},
		{"gone", status(http.StatusNotFound), "it is not there (HTTP 404)"},
		{"forbidden", status(http.StatusForbidden), "source does not answer: access is refused (HTTP 403)"},
		{"no range at all", status(http.StatusRequestedRangeNotSatisfiable), "the server does not go on where it was asked to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := tagged(p.dir)
			bad := true
			web := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if bad {
					c.answer(w, r)
					return
				}
				inner.ServeHTTP(w, r)
			}))
			site := bundletest.Store(t)
			part(t, site, w.Forms[0], data[:half])
			moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
			if want := "cannot read blob " + w.Forms[0].Digest.String() + ": " + c.want; err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got  %v\nwant …%s", err, want)
			}
			if n := len(strings.Split(web.taken(), ", ")); n > 3*6 {
				t.Errorf("asked %d times", n)
			}
			if got := site.PartialSize(w.Forms[0]); got != int64(half) || moved.Bytes != 0 {
				t.Errorf("%d bytes of %d are left, %d moved", got, half, moved.Bytes)
			}
			bad = false
			moved, err = fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
			if err != nil || moved.Bytes != int64(len(data)-half) {
				t.Errorf("afterwards %d bytes, error %v", moved.Bytes, err)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestLoginPageOfTheRightLength is taken for the blob until its end. Then the blob is fetched whole, from whoever has it.
func TestLoginPageOfTheRightLength(t *testing.T) {
	p := publish(t, 50_000)
	w := largest(p.wants)
	fake := bytes.Repeat([]byte("<p>Please log in</p>"), int(w.Forms[0].Size)/20+1)[:w.Forms[0].Size]
	portal := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "login.html", time.Time{}, bytes.NewReader(fake))
	}))
	site := bundletest.Store(t)
	good := files(t, p)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, portal.URL), open(t, good.URL)}, []fetch.Want{w}, quick)
	if err != nil || moved.Bytes != 2*w.Forms[0].Size {
		t.Errorf("%d bytes, error %v", moved.Bytes, err)
	}
	all(t, site, []fetch.Want{w})
}

// TestBusyForAMoment is waited for, in seconds and as a date, and the blob comes whole.
func TestBusyForAMoment(t *testing.T) {
	p := publish(t, 1000)
	for _, c := range []struct {
		code  int
		after func(now time.Time) string
	}{
		{http.StatusTooManyRequests, func(time.Time) string { return "1" }},
		{http.StatusServiceUnavailable, func(now time.Time) string { return now.Add(time.Second).Format(http.TimeFormat) }},
		{http.StatusServiceUnavailable, func(now time.Time) string { return now.Add(-time.Hour).Format(http.TimeFormat) }},
	} {
		busy := 2
		inner := tagged(p.dir)
		web := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if busy--; busy >= 0 {
				now := time.Now().UTC().AddDate(-30, 0, 0) // its own clock counts
				w.Header().Set("Date", now.Format(http.TimeFormat))
				w.Header().Set("Retry-After", c.after(now))
				w.WriteHeader(c.code)
				return
			}
			inner.ServeHTTP(w, r)
		}))
		begin := time.Now()
		site := bundletest.Store(t)
		if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, p.wants[:1], quick); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 1900*time.Millisecond || took > 20*time.Second || len(strings.Split(web.taken(), ", ")) != 3 {
			t.Errorf("%d: after %v", c.code, took)
		}
	}
}

// TestBusyForLong ends at once with the moment to come back, which schedules heed, and the next source is asked.
func TestBusyForLong(t *testing.T) {
	p := publish(t, 1000)
	web := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7300")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	n, spec := fetch.NewNetwork(), overLine(web.URL)
	busy, err := n.Open(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{busy}, p.wants, quick)
	if !errors.Is(err, fetch.ErrBusy) || !errors.Is(err, bundle.ErrUnreachable) ||
		!strings.HasSuffix(err.Error(), ": it has too much to do (HTTP 503) and asks to come back in 2 hours") {
		t.Errorf("error %v", err)
	}
	if got := web.taken(); strings.Contains(got, ",") || n.Pause([]string{spec}) < 7200*time.Second {
		t.Errorf("asked %s, pause %v", got, n.Pause([]string{spec}))
	}
	site := bundletest.Store(t)
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{busy, open(t, p.dir)}, p.wants, quick); err != nil {
		t.Error(err)
	}
	all(t, site, p.wants)
}

// TestBusyNeighbour: it is waited for longer than others, because its bytes are free.
func TestBusyNeighbour(t *testing.T) {
	p := publish(t, 1000)
	inner := http.FileServer(http.Dir(p.dir))
	asked := 0
	near := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked <= 4 { // once more than one question waits for
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	line := files(t, p)
	sources := []bundle.Source{open(t, near.URL), fetch.At(open(t, line.URL), fetch.Line)}
	if _, err := fetch.Blobs(ctx, bundletest.Store(t), sources, p.wants, quick); err != nil {
		t.Fatal(err)
	}
	if n := line.count("/blobs/"); n != 0 {
		t.Errorf("%d blobs came over the line", n)
	}
}

// TestAddressesThatExpire: a registry sends us to a store of objects, whose addresses are good for one question. The store never sees the
// login, and the registry is asked anew.
func TestAddressesThatExpire(t *testing.T) {
	var g *guarded
	signed := map[string]bool{}
	number := 0
	store := ask(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("the store is shown %v", r.Header)
		}
		if !signed[r.URL.RawQuery] {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
			return
		}
		delete(signed, r.URL.RawQuery)
		f := &faulty{ResponseWriter: w, cut: 40_000}
		http.ServeContent(f, r, "", bundletest.Made, bytes.NewReader(contentAt(t, g.store, r.URL.Path)))
		if f.broken {
			panic(http.ErrAbortHandler)
		}
	}))
	g = guard(t, 200_000, func(w http.ResponseWriter, r *http.Request) {
		number++
		query := fmt.Sprint("signature=", number)
		signed[query] = number%3 != 0 // each third one is over when it comes
		if !signed[query] {
			delete(signed, query)
		}
		http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", "localhost", 1)+r.URL.Path+"?"+query, http.StatusTemporaryRedirect)
	})
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, g.spec())}, g.wants, quick)
	if want := fetch.Size(g.wants); err != nil || moved.Bytes != want || g.made != 1 {
		t.Errorf("%d bytes of %d, %d tokens, error %v", moved.Bytes, want, g.made, err)
	}
	all(t, site, g.wants)
	store.set(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
	_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, g.spec())}, g.wants[:1], quick)
	want := strings.Replace(strings.TrimPrefix(store.URL, "http://"), "127.0.0.1", "localhost", 1) + ", to which it sends us, answers HTTP 403 Forbidden"
	if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "signature") {
		t.Errorf("error %v", err)
	}
}

// TestRedirectFromTLS to plain http is refused, whoever asks for it and wherever it leads.
func TestRedirectFromTLS(t *testing.T) {
	p := publish(t, 1000)
	plain := files(t, p)
	web := ask(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
	}))
	n := fetch.NewNetwork()
	n.TLS().RootCAs = web.pool()
	for _, spec := range []string{web.URL, "oci://" + strings.TrimPrefix(web.URL, "https://") + "/emr"} {
		_, err := stamp(t, n, spec)
		want := "source does not answer: it sends us on from https to plain http at " + strings.TrimPrefix(plain.URL, "http://") + " (a login page of the network?)"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: error %v", spec, err)
		}
	}
	if n := plain.count(""); n != 0 {
		t.Errorf("%d requests over plain http", n)
	}
}

// TestConnectionsAreUsedAgain: all blobs of a release come over one connection, with one handshake.
func TestConnectionsAreUsedAgain(t *testing.T) {
	p := publish(t, 100_000)
	web := ask(t, true, tagged(p.dir))
	n := fetch.NewNetwork()
	n.TLS().RootCAs = web.pool()
	src, err := n.Open(ctx, web.URL)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]bool{}
	web.set(func(_ http.ResponseWriter, r *http.Request) bool { hosts[r.RemoteAddr] = true; return false })
	if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick); err != nil {
		t.Fatal(err)
	}
	if len(p.wants) < 6 || len(hosts) != 1 {
		t.Errorf("%d blobs came over %d connections", len(p.wants), len(hosts))
	}
}
