//go:build e2e

package offsite

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func secrets(access, secret string) func(string) string {
	return func(name string) string { return map[string]string{AccessKey: access, SecretKey: secret}[name] }
}

var goodKeys = secrets(goodAccess, goodSecret)

// open marks and opens a place at host.
func open(t *testing.T, spec string) Place {
	t.Helper()
	ctx := context.Background()
	if err := Init(ctx, spec, goodKeys); err != nil {
		t.Fatal(err)
	}
	p, err := OpenPlace(ctx, spec, goodKeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestE2EBucket(t *testing.T) {
	t.Parallel()
	s := newStore(t, false)
	ctx := context.Background()
	spec := "s3://" + s.host + "/backups?insecure"
	if _, err := OpenPlace(ctx, spec, goodKeys); !errors.Is(err, ErrNoPlace) || !strings.HasSuffix(err.Error(), ": it has no dhow-place.json") {
		t.Errorf("not marked: %v", err)
	}
	conform(t, open(t, "s3://"+s.host+"/backups/some/folder?insecure"), true)
	for name, test := range map[string]struct {
		spec   string
		secret func(string) string
		kind   error
		text   string
	}{
		"access key": {spec, secrets("nobody", goodSecret), ErrDenied, "the access key or the secret key is wrong"},
		"secret key": {spec, secrets(goodAccess, "wrong"), ErrDenied, "the access key or the secret key is wrong"},
		"bucket":     {"s3://" + s.host + "/nothing?insecure", goodKeys, ErrNoPlace, "there is no bucket nothing"},
		"no server":  {"s3://127.0.0.1:1/backups?insecure", goodKeys, ErrUnreachable, "connection refused"},
		"no TLS":     {"s3://" + s.host + "/backups", goodKeys, ErrUnreachable, "HTTP response to HTTPS client"},
	} {
		for _, err := range []error{second(OpenPlace(ctx, test.spec, test.secret)), Init(ctx, test.spec, test.secret)} {
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) || Hint(err) == "" || strings.Contains(err.Error(), goodSecret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	p := open(t, spec)
	a, b := newArchive(), newArchive()
	a.add("b1", map[string]int{"p1": 300_000, "p2": 0})
	b.add("b1", map[string]int{"p1": 400_000})
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	if n := mustSend(t, p, "b1", a, to); n != 0 {
		t.Errorf("the second time %d bytes are sent", n)
	}
	if _, err := Send(ctx, p, "kin-002", "b1", b, to, nil); err != nil {
		t.Fatal(err)
	}
	a.add("b2", map[string]int{"p2": 0, "p3": 100_000})
	if n := mustSend(t, p, "b2", a, to); n < 100_000 || n > 104_000 {
		t.Errorf("%d bytes are sent for 100000 new ones", n)
	}
	whole2(t, p, "b1", "b2")
	if dropped, err := Drop(ctx, p, site, []string{"b1", "b2"}, nil); err != nil || !slices.Equal(dropped, []string{"b1"}) {
		t.Errorf("dropped %v, %v", dropped, err)
	}
	whole2(t, p, "b2")
	mustFetch(t, p, "b2", a, ids)
	if got, err := List(ctx, p, "kin-002"); err != nil || !slices.Equal(got, []string{"b1"}) {
		t.Errorf("whole copies of the other site: %v, %v", got, err)
	}
}

func second(_ Place, err error) error { return err }

// line is a proxy in front of a server: it counts, and cuts or goes silent when budget bytes have gone either way.
type line struct {
	net.Listener
	to     string
	up     atomic.Int64 // bytes from the client
	budget atomic.Int64 // bytes that still go through, from either side
	silent atomic.Bool
	pace   atomic.Int64 // nanoseconds that each 4 KiB take
}

func newLineTo(t *testing.T, host string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{Listener: l, to: host}
	p.budget.Store(1 << 40)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
			go p.serve(c)
		}
	}()
	return p
}

func (p *line) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = c.Close()
		return
	}
	end := func() { _, _ = c.Close(), s.Close() }
	pipe := func(from, to net.Conn, count *atomic.Int64) {
		defer end()
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			if pace := p.pace.Load(); pace > 0 {
				<-time.After(time.Duration(pace))
			}
			if p.budget.Add(-int64(n)) < 0 {
				if p.silent.Load() {
					continue
				}
				return
			}
			if count != nil {
				count.Add(int64(n))
			}
			if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
				return
			}
		}
	}
	go pipe(c, s, &p.up)
	pipe(s, c, nil)
}

// A line that breaks in the middle of an object: what arrived stays, no record is there, and later only what is missing is sent.
func TestE2ELineBreaks(t *testing.T) {
	t.Parallel()
	s := newStore(t, false)
	l := newLineTo(t, s.host)
	ctx := context.Background()
	p := open(t, "s3://"+l.Addr().String()+"/backups?insecure")
	a := newArchive()
	a.add("b0", map[string]int{"p0": 50_000})
	a.add("b1", map[string]int{"p1": 400_000, "p2": 400_000, "p3": 400_000})
	ids, to := keys(t)
	mustSend(t, p, "b0", a, to)
	l.budget.Store(600_000) // in the middle of p2
	sent, err := Send(ctx, p, site, "b1", a, to, nil)
	if !errors.Is(err, ErrUnreachable) || sent < 500_000 || sent > 1_100_000 {
		t.Fatalf("sent %d, %v", sent, err)
	}
	l.budget.Store(1 << 40)
	whole2(t, p, "b0")
	mustFetch(t, p, "b0", a, ids)
	if _, err := os.Stat(filepath.Join(s.dir, "backups", site, "backups", "b1.age")); err == nil {
		t.Error("a record stands before its objects")
	}
	r := &record{Format: Format, Site: site, Backup: "b1", Key: to}
	if r.Objects, err = a.Objects("b1"); err != nil {
		t.Fatal(err)
	}
	data, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	missing := cryptSize(400_000)*2 + cryptSize(a.object("records/b1").Size) + cryptSize(int64(len(data)))
	before := l.up.Load()
	if n := mustSend(t, p, "b1", a, to); n != missing {
		t.Errorf("%d bytes are sent, %d are missing", n, missing)
	}
	if up := l.up.Load() - before; up < missing || up > missing+missing/20 {
		t.Errorf("%d bytes went over the line for %d missing ones", up, missing)
	}
	before = l.up.Load()
	if n := mustSend(t, p, "b1", a, to); n != 0 || l.up.Load()-before > 4000 {
		t.Errorf("for nothing %d bytes are sent, %d over the line", n, l.up.Load()-before)
	}
	t.Logf("b1: cut after 600000 bytes, then %d bytes in place of %d", missing, missing+cryptSize(400_000))

	// The way back: cut, and then only what the sink lacks.
	back := resuming{newArchive()}
	l.budget.Store(600_000)
	if err := Fetch(ctx, p, site, "b1", ids, back, nil); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDamaged) {
		t.Errorf("error %v", err)
	}
	l.budget.Store(1 << 40)
	if err := Fetch(ctx, p, site, "b1", ids, back, nil); err != nil {
		t.Error(err)
	}
	if !slices.Equal(back.order, []string{"p1", "p2", "p3", "records/b1"}) {
		t.Errorf("objects %v", back.order)
	}
	for name, data := range back.content {
		if !bytes.Equal(data, a.content[name]) {
			t.Errorf("%s came back differently", name)
		}
	}
}

// A line that goes silent without an end counts as cut, and a slow one does not.
func TestE2ESilentLine(t *testing.T) {
	t.Parallel()
	s := newStore(t, false)
	l := newLineTo(t, s.host)
	open(t, "s3://"+l.Addr().String()+"/backups?insecure")
	b, err := parseBucket("s3://" + l.Addr().String() + "/backups?insecure")
	if err != nil {
		t.Fatal(err)
	}
	b.access, b.secret = goodAccess, goodSecret
	const quiet = 2 * time.Second
	p, err := openBucket(b, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := newArchive()
	a.add("b1", map[string]int{"p1": 2_000_000})
	ids, to := keys(t)
	l.silent.Store(true)
	l.budget.Store(1_000_000)
	begin := time.Now()
	if _, err := Send(context.Background(), p, site, "b1", a, to, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took < quiet || took > 30*quiet {
		t.Errorf("given up after %s", took)
	}
	l.budget.Store(1 << 40)
	l.pace.Store(int64(10 * time.Millisecond)) // for 4 KiB: 400 kB/s
	begin = time.Now()
	mustSend(t, p, "b1", a, to)
	if took := time.Since(begin); took < 2*quiet {
		t.Errorf("this test can't fail: it took %s", took)
	}
	l.pace.Store(0)
	mustFetch(t, p, "b1", a, ids)
}

func TestE2ETLS(t *testing.T) {
	t.Parallel()
	s := newStore(t, true)
	ctx := context.Background()
	spec := "s3://" + s.host + "/backups"
	if err := Init(ctx, spec, goodKeys); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "its certificate can't be trusted") {
		t.Errorf("a server that nobody knows: %v", err)
	}
	b, err := parseBucket(spec)
	if err != nil {
		t.Fatal(err)
	}
	b.access, b.secret = goodAccess, goodSecret
	p, err := openBucket(b, quietTime)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.line.TLSClientConfig = &tls.Config{RootCAs: s.roots}
	conform(t, p, false)
	a := newArchive()
	a.add("b1", map[string]int{"p1": 2_000_000})
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	mustFetch(t, p, "b1", a, ids)
}
