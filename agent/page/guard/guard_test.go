package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/site"
)

// house is a guard at work, with a page that says what it was asked. 127.0.0.1 and ::1 are this computer; other loopback addresses stand for the network.
type house struct {
	*Guard
	port string
	log  *shout

	mu     sync.Mutex
	config site.Config
}

type shout struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shout) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shout) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

const rightPIN = "314159"

func (h *house) set(change func(*site.Config)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.config)
}

func (h *house) now() *site.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.config
	return &c
}

// echo is the page inside: it says what reaches it.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/live" {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	fmt.Fprintf(w, "%s %s needs=%v trusted=%v form=%s nonce=%v", r.Method, r.URL.Path, NeedsPIN(r), Trusted(r), r.PostForm.Encode(), Nonce(r) != "")
}

// open starts a guard that also listens on 127.0.0.2 when lan is set.
func open(t *testing.T, lan bool) *house {
	t.Helper()
	return openWith(t, nil, func(c *site.Config, port string) {
		if lan {
			c.Page.Listen = "127.0.0.2:" + port
		}
	})
}

// openWith starts a guard with metrics and a configuration. There is a PIN when it is for the network.
func openWith(t *testing.T, metrics http.Handler, change func(c *site.Config, port string)) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	h := &house{port: port, log: &shout{}, config: site.Config{Site: "kin-001", Page: site.Page{Listen: "127.0.0.1:" + port, Hosts: []string{"emr.local"}}}}
	change(&h.config, port)
	dir := t.TempDir()
	if !strings.HasPrefix(h.config.Page.Listen, "127.0.0.1:") {
		if err := SetPIN(dir, rightPIN); err != nil {
			t.Fatal(err)
		}
	}
	h.Guard = New(Options{Dir: dir, Config: h.now, Metrics: metrics, Log: slog.New(slog.NewTextHandler(h.log, nil))}, http.HandlerFunc(echo))
	h.isLoopback = func(a netip.Addr) bool { return a.String() == "127.0.0.1" || a.String() == "::1" }
	h.lookEvery = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	await(t, "the page", func() bool { return reach(h.config.Page.Listen) })
	return h
}

func reach(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// client reaches the guard from this computer, or from the network.
func (h *house) client(lan bool) (*http.Client, string) {
	tr := &http.Transport{DisableKeepAlives: true}
	base := "http://127.0.0.1:" + h.port
	if lan {
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}).DialContext(ctx, "tcp", "127.0.0.2:"+h.port)
		}
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		base = "https://127.0.0.2:" + h.port
	}
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}, base
}

// ask sends a request and returns status, headers and body.
func (h *house) ask(t *testing.T, lan bool, method, path, body string, change func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	c, base := h.client(lan)
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", base)
	}
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	sealed(t, resp)
	return resp.StatusCode, resp.Header, string(data)
}

// sealed looks for the headers that every answer has.
func sealed(t *testing.T, resp *http.Response) {
	t.Helper()
	csp := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%d: the policy %q lacks %s", resp.StatusCode, csp, want)
		}
	}
	// Without a nonce 'unsafe-inline' would let everything in; without it browsers that know no nonces would let nothing in.
	for _, of := range []string{"script-src", "style-src"} {
		if !regexp.MustCompile(`(^|; )` + of + ` 'nonce-[A-Z2-7]{26}' 'unsafe-inline';`).MatchString(csp) {
			t.Errorf("%d: the policy %q has another %s", resp.StatusCode, csp, of)
		}
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Server": "", "Set-Cookie": "",
		"Strict-Transport-Security": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%d: %s is %q, want %q", resp.StatusCode, name, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	for _, c := range []struct {
		lan  bool
		host string
		want int
	}{
		{false, "127.0.0.1:" + h.port, 200},
		{false, "localhost:" + h.port, 200},
		{false, "LOCALHOST:" + h.port, 200},
		{false, "emr.local:" + h.port, 200},
		{true, "127.0.0.2:" + h.port, 200},
		{true, "emr.local:" + h.port, 200},
		{true, "EMR.local:" + h.port, 200},
		{false, "127.0.0.1", 421},
		{false, "localhost", 421},
		{false, "127.0.0.1:1", 421},
		{false, "127.0.0.1:0" + h.port, 421},
		{false, "[::1]:" + h.port, 421}, // the connection came to another address
		{false, "127.0.0.2:" + h.port, 421},
		{false, "127.1:" + h.port, 421},
		{false, "2130706433:" + h.port, 421},
		{false, "evil.example:" + h.port, 421},
		{false, "127.0.0.1.nip.io:" + h.port, 421},
		{false, "localhost.evil.example:" + h.port, 421},
		{false, "localhost.:" + h.port, 421},
		{false, "emr.local.evil.example:" + h.port, 421},
		{false, "evilemr.local:" + h.port, 421},
		{false, "127.0.0.1:" + h.port + "@evil.example", 421},
		{true, "localhost:" + h.port, 421},
		{true, "127.0.0.1:" + h.port, 421},
		{true, "evil.example:" + h.port, 421},
	} {
		for method, form := range map[string]string{"GET": "", "POST": "pin=" + rightPIN} {
			status, _, body := h.ask(t, c.lan, method, "/", form, func(r *http.Request) {
				r.Host = c.host
				r.Header.Set("Sec-Fetch-Site", "same-origin")
			})
			if status != c.want {
				t.Errorf("%s with Host %q (network: %v): %d, want %d\n%s", method, c.host, c.lan, status, c.want, body)
			}
			if strings.Contains(body, "evil") {
				t.Errorf("the answer holds what was sent: %s", body)
			}
		}
	}
}

func TestLanguageOfRefusals(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	forged := func(r *http.Request) { r.Host = "evil.example" }
	at := "127.0.0.1:" + h.port
	for _, c := range []struct{ path, accept, configured, want string }{
		{"/", "", "", `<html lang="en" dir="ltr">`},
		{"/", "", "", "The page is not at this address. On the computer itself it is at http://" + at + "."},
		{"/", "fr-CD,fr;q=0.9", "", "La page n’est pas à cette adresse."},
		{"/", "fr", "sw", "Ukurasa hauko kwenye anwani hii."},
		{"/?lang=ar", "fr", "sw", `<html lang="ar" dir="rtl">`},
		{"/?lang=%3Cscript%3E", "xx", "", `<html lang="en" dir="ltr">`},
	} {
		h.set(func(s *site.Config) { s.Language = c.configured })
		status, _, body := h.ask(t, false, "GET", c.path, "", func(r *http.Request) {
			forged(r)
			r.Header.Set("Accept-Language", c.accept)
		})
		if status != http.StatusMisdirectedRequest || !strings.Contains(body, c.want) {
			t.Errorf("%+v: %d\n%s", c, status, body)
		}
	}
}

func TestFormsOfOthers(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	for _, lan := range []bool{false, true} {
		_, base := h.client(lan)
		for name, c := range map[string]struct {
			headers map[string]string
			want    int
		}{
			"its own form":                  {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": base}, 200},
			"typed by hand":                 {map[string]string{"Sec-Fetch-Site": "none"}, 200},
			"an older browser":              {map[string]string{"Origin": base}, 200},
			"an old browser":                {map[string]string{"Referer": base + "/?lang=fr"}, 200},
			"another site":                  {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
			"another port of this computer": {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:80"}, 403},
			"another site, older browser":   {map[string]string{"Origin": "https://evil.example"}, 403},
			"a sandboxed frame":             {map[string]string{"Origin": "null"}, 403},
			"another site, old browser":     {map[string]string{"Referer": "https://evil.example/"}, 403},
			"nobody says from where":        {nil, 403},
		} {
			status, _, body := h.ask(t, lan, "POST", "/update", "pin="+rightPIN, func(r *http.Request) {
				r.Header.Del("Origin")
				for k, v := range c.headers {
					r.Header.Set(k, v)
				}
			})
			if status != c.want {
				t.Errorf("%s (network: %v): %d, want %d", name, lan, status, c.want)
			}
			if c.want == 403 && !strings.Contains(body, "This order came from another page, so nothing was done.") {
				t.Errorf("%s: it says\n%s", name, body)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	plain := func(kind string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
	}
	for name, c := range map[string]struct {
		method, body string
		change       func(*http.Request)
		status       int
		want         string
	}{
		"a look":         {"GET", "", nil, 200, "GET /x needs=false trusted=true form= nonce=true"},
		"an order":       {"POST", "now=1&pin=1", nil, 200, "POST /x needs=false trusted=true form=now=1 nonce=true"},
		"another method": {"DELETE", "", nil, 405, "did not understand"},
		"options":        {"OPTIONS", "", nil, 405, "did not understand"},
		"a large form":   {"POST", "a=" + strings.Repeat("x", 5000), nil, 413, "too large"},
		"a large form of unknown size": {
			"POST", "a=" + strings.Repeat("x", 5000), func(r *http.Request) { r.ContentLength = -1 }, 413, "too large",
		},
		"a look with a body": {"GET", "x", nil, 413, "too large"},
		"a file":             {"POST", "x", plain("multipart/form-data; boundary=x"), 415, "did not understand"},
		"JSON":               {"POST", "{}", plain("application/json"), 415, "did not understand"},
		"text":               {"POST", "a=b", plain("text/plain"), 415, "did not understand"},
		"nonsense":           {"POST", "a=%zz", nil, 400, "did not understand"},
	} {
		status, _, body := h.ask(t, false, c.method, "/x", c.body, c.change)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d, want %d with %q:\n%s", name, status, c.status, c.want, body)
		}
	}
	if status, _, body := h.ask(t, false, "HEAD", "/", "", func(r *http.Request) { r.Host = "evil.example" }); status != 421 || body != "" {
		t.Errorf("HEAD: %d %q", status, body)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	status, _, body := h.ask(t, true, "GET", "/", "", nil)
	if want := "GET / needs=true trusted=false form= nonce=true"; status != 200 || body != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
	for _, c := range []struct {
		form   string
		status int
		want   string
	}{
		{"now=1", 403, "The PIN is missing."},
		{"now=1&pin=", 403, "The PIN is missing."},
		{"now=1&pin=000000", 403, "The PIN is wrong."},
		{"now=1&pin=" + rightPIN, 200, "POST /details needs=true trusted=true form=now=1 nonce=true"},
		{"now=1&pin=" + url.QueryEscape("314 159"), 200, "trusted=true"},
		{"now=1&pin=" + url.QueryEscape("٣١٤١٥٩"), 200, "trusted=true"},
	} {
		status, _, body := h.ask(t, true, "POST", "/details", c.form, nil)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.form, status, body, c.status, c.want)
		}
	}
	if status, _, _ := h.ask(t, true, "POST", "/details?pin="+rightPIN, "", nil); status != 403 {
		t.Errorf("a PIN in the address: %d", status)
	}
	// Plain HTTP is told where the page is, when it asks for the right one, and nothing else.
	for request, want := range map[string]string{
		"GET /x HTTP/1.1\r\nHost: 127.0.0.2:PORT\r\n\r\n":   "HTTP/1.1 308 Permanent Redirect\r\n",
		"GET / HTTP/1.1\r\nHost: EMR.local:PORT\r\n\r\n":    "HTTP/1.1 308 Permanent Redirect\r\n",
		"GET / HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n": "HTTP/1.1 421 Misdirected Request\r\n",
		"GET / HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n":         "HTTP/1.1 421 Misdirected Request\r\n",
		"POST / HTTP/1.1\r\nHost: 127.0.0.2:PORT\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
			"Content-Length: 10\r\n\r\npin=" + rightPIN: "HTTP/1.1 421 Misdirected Request\r\n",
		"\x00": "HTTP/1.1 400 Bad Request\r\n",
	} {
		c, err := net.Dial("tcp", "127.0.0.2:"+h.port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, strings.ReplaceAll(request, "PORT", h.port))
		_ = c.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), want) || strings.Contains(string(answer), "needs=") || strings.Contains(string(answer), "evil") {
			t.Errorf("%q is answered with\n%s", request, answer)
		}
		if strings.Contains(want, "308") && !strings.Contains(strings.ToLower(string(answer)), "\nlocation: https://"+strings.ToLower(strings.Fields(strings.ReplaceAll(request, "PORT", h.port))[4])+"/\r\n") {
			t.Errorf("%q is sent to\n%s", request, answer)
		}
	}
	// And this computer needs no TLS, by the address of the network either way.
	if status, _, body := h.ask(t, false, "GET", "/", "", nil); status != 200 || !strings.Contains(body, "needs=false trusted=true") {
		t.Errorf("this computer: %d %s", status, body)
	}
}

func TestNetworkWaitsForAPIN(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	lan := "127.0.0.2:" + h.port
	h.set(func(c *site.Config) { c.Page.Listen = lan })
	await(t, "a warning", func() bool {
		return h.Warning() == "the page is not open to the network: no PIN is set; set one with: sudo dhow page pin"
	})
	if status, _, _ := h.ask(t, false, "GET", "/", "", nil); status != 200 || reach(lan) {
		t.Errorf("without a PIN: %d here, network %v", status, reach(lan))
	}
	if err := SetPIN(h.o.Dir, rightPIN); err != nil {
		t.Fatal(err)
	}
	await(t, "the network", func() bool { return reach(lan) })
	await(t, "no warning", func() bool { return h.Warning() == "" })
	h.set(func(c *site.Config) { c.Page.Cert, c.Page.Key = "/none.pem", "/none.key" })
	await(t, "a warning about the certificate", func() bool { return !reach(lan) })
	const want = "the page is not open to the network: cannot use /none.pem with /none.key: open /none.pem: no such file or directory"
	await(t, "its words", func() bool { return h.Warning() == want })
	h.set(func(c *site.Config) { c.Page = site.Page{Off: true} })
	await(t, "the end of the page", func() bool { return !reach("127.0.0.1:" + h.port) })
	if w := h.Warning(); w != "" {
		t.Errorf("it warns: %s", w)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.set(func(c *site.Config) { c.Page.Listen = taken.Addr().String() })
	await(t, "a warning", func() bool {
		w := h.Warning()
		return strings.HasPrefix(w, "the page can't be shown at "+taken.Addr().String()) && strings.HasSuffix(w, "; tried again by itself")
	})
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the port", func() bool { return h.Warning() == "" && reach(taken.Addr().String()) })
}

// TestForeignStream: the page of another site can't take the places of streams.
func TestForeignStream(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	for _, tt := range []struct {
		name, header, value string
		want                int
	}{
		{"another site", "Sec-Fetch-Site", "cross-site", 403},
		{"another port", "Sec-Fetch-Site", "same-site", 403},
		{"an old browser, another site", "Origin", "http://evil.example", 403},
		{"an old browser, a file", "Origin", "null", 403},
		{"the page", "Sec-Fetch-Site", "same-origin", 200},
		{"the address typed in", "Sec-Fetch-Site", "none", 200},
		{"an old browser, the page", "Accept", "text/event-stream", 200},
	} {
		c, base := h.client(false)
		req, err := http.NewRequest(http.MethodGet, base+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(tt.header, tt.value)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
}

// TestOpenedAgain: an address at which nobody can be let in any more is opened anew.
func TestOpenedAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	g := New(Options{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Config: func() *site.Config { return &site.Config{Page: site.Page{Listen: at}} },
	}, http.HandlerFunc(echo))
	g.lookEvery = 20 * time.Millisecond
	opened := make(chan net.Listener, 10)
	listen := g.listen
	g.listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		l, err := listen(ctx, network, address)
		if err == nil && address == at {
			opened <- l
		}
		return l, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); g.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	for range 2 {
		select {
		case l := <-opened:
			await(t, "the page", func() bool { return reach(at) })
			_ = l.Close()
		case <-time.After(10 * time.Second):
			t.Fatal("the address is not opened again")
		}
	}
}

// TestRefusalKeepsTheLanguage: the way back from a refusal leads to the page in the language that somebody has chosen.
func TestRefusalKeepsTheLanguage(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	for lang, want := range map[string]string{"fr": `href="/?lang=fr"`, "%22%3E%3Cb%3E": `href="/"`, "": `href="/"`} {
		_, _, body := h.ask(t, false, "POST", "/update?lang="+lang, "a=b", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") })
		if !strings.Contains(body, want) {
			t.Errorf("lang %q: no %s in %s", lang, want, body)
		}
	}
}
