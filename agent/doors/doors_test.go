package doors

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// freePort is a port that nothing used a moment ago.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func shut(t *testing.T, ports []Port, p Page) *Doors {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := Close(ctx, ports, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Open() })
	return d
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func TestEveryRequestGetsThePage(t *testing.T) {
	port := freePort(t)
	shut(t, []Port{{"", port}, {"127.0.0.1", port}, {"0.0.0.0", port}}, Page{From: "1.0.0", To: "1.1.0"})
	hosts := []string{"127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "[::1]")
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for _, host := range hosts {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"} {
			for _, path := range []string{"/", "/openmrs/login.htm?x=1", "/%2e%2e/etc", "*"} {
				req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://%s:%d/", host, port), strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = path
				resp, err := client.Do(req)
				if err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "10" || resp.Header.Get("Cache-Control") != "no-store" ||
					!resp.Close {
					t.Errorf("%s %s on %s: %v, status %d, header %v", method, path, host, err, resp.StatusCode, resp.Header)
				}
				if (method != "HEAD") != strings.Contains(string(body), "1.0.0 → 1.1.0") {
					t.Errorf("%s %s on %s: body %q", method, path, host, body)
				}
			}
		}
	}
}

// talk sends raw bytes and returns what comes back until the other side hangs up.
func talk(t *testing.T, port uint16, send string) string {
	t.Helper()
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c) // a reset after the answer is fine
	return string(answer)
}

func TestStrangers(t *testing.T) {
	port := freePort(t)
	shut(t, []Port{{"127.0.0.1", port}}, Page{})
	for what, c := range map[string]struct{ send, want string }{
		"not HTTP":       {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 400 "},
		"TLS":            {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", "HTTP/1."},
		"a huge header":  {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 60_000) + "\r\n\r\n", "HTTP/1.1 431 "},
		"server options": {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 "},
		"a tunnel":       {"CONNECT db:3306 HTTP/1.1\r\nHost: db:3306\r\n\r\n", "HTTP/1.1 503 "},
		"an upgrade":     {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 503 "},
		"old HTTP":       {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 503 "},
	} {
		if got := talk(t, port, c.send); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s is answered %.80q, want %q", what, got, c.want)
		}
	}
}

func TestOpenFreesThePorts(t *testing.T) {
	port := freePort(t)
	for round := range 5 {
		d := shut(t, []Port{{"", port}}, Page{})
		var hanging []net.Conn
		for range 20 { // clients that never finish their request
			c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHo"); err != nil {
				t.Fatal(err)
			}
			hanging = append(hanging, c)
		}
		begin := time.Now()
		if err := d.Open(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("opening took %v", took)
		}
		l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			t.Fatalf("round %d: the port is not free: %v", round, err)
		}
		_ = l.Close()
		if err := hanging[0].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(hanging[0]).ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a hanging client was not cut off: %v", err)
		}
		if err := d.Open(); err != nil {
			t.Errorf("opening twice: %v", err)
		}
	}
}

func TestWaitsForThePort(t *testing.T) {
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	port := uint16(holder.Addr().(*net.TCPAddr).Port)
	other := freePort(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Close(ctx, []Port{{"127.0.0.1", other}, {"127.0.0.1", port}}, Page{})
	want := fmt.Sprintf("cannot answer port 127.0.0.1:%d: another program holds the port", port)
	if !errors.Is(err, ErrPortTaken) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", other))
	if err != nil {
		t.Fatalf("after a failure the other port is still held: %v", err)
	}
	_ = l.Close()

	time.AfterFunc(300*time.Millisecond, func() { _ = holder.Close() })
	shut(t, []Port{{"", port}}, Page{})
	if got := talk(t, port, "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 503") {
		t.Errorf("answered %.60q", got)
	}
}

func TestTooManyConnections(t *testing.T) {
	port := freePort(t)
	shut(t, []Port{{"127.0.0.1", port}}, Page{})
	cut := 0
	for i := range maxConnections + 20 {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i < maxConnections {
			continue
		}
		if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "reset") {
			cut++
		}
	}
	if cut != 20 {
		t.Errorf("%d of 20 too many connections were cut", cut)
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		ports []Port
		want  string
	}{
		{[]Port{{"", 80}}, "[tcp4 0.0.0.0:80 tcp6 [::]:80?]"},
		{[]Port{{"0.0.0.0", 80}, {"", 80}}, "[tcp4 0.0.0.0:80 tcp6 [::]:80?]"},
		{[]Port{{"::", 80}}, "[tcp6 [::]:80]"},
		{[]Port{{"127.0.0.1", 80}, {"127.0.0.1", 80}, {"::1", 80}}, "[tcp4 127.0.0.1:80 tcp6 [::1]:80]"},
		{[]Port{{"127.0.0.1", 80}, {"", 80}, {"127.0.0.1", 81}}, "[tcp4 0.0.0.0:80 tcp6 [::]:80? tcp4 127.0.0.1:81]"},
		{[]Port{{"::ffff:10.0.0.1", 80}}, "[tcp4 10.0.0.1:80]"},
		{[]Port{{"", 0}}, "cannot close the doors: a published port has no number"},
		{[]Port{{"gateway", 80}}, `cannot close the doors: "gateway" is no IP address`},
		{nil, "[]"},
	} {
		all, err := plan(c.ports)
		var list []string
		for _, a := range all {
			s := a.network + " " + a.at.String()
			if a.optional {
				s += "?"
			}
			list = append(list, s)
		}
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("plan of %v is %s, want %s", c.ports, got, c.want)
		}
	}
}
