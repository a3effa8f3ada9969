package guard

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the guard; from is one of the addresses that stand for strangers, or 127.0.0.1.
func (h *house) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	to := "127.0.0.2:" + h.port
	if from == "127.0.0.1" {
		to = "127.0.0.1:" + h.port
	}
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ended says whether the other side has closed the connection within a time.
func ended(c net.Conn, within time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c)
	ne, timeout := err.(net.Error)
	return !timeout || !ne.Timeout()
}

// holds opens a connection from the network and says whether it is served on it; it stays open then, for idleTime at least.
func (h *house) holds(t *testing.T, from string) bool {
	t.Helper()
	c := tls.Client(h.dial(t, from), &tls.Config{InsecureSkipVerify: true})
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: 127.0.0.2:%s\r\n\r\n", h.port); err != nil {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.Close {
		t.Errorf("from %s: status %d, closes %v, %v", from, resp.StatusCode, resp.Close, err)
	}
	return true
}

// TestManyConnections: a stranger, and all of them together, hold a part of the connections only, and none of this computer's.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	await(t, "the connection that looked for the page to be forgotten", func() bool {
		h.conns.mu.Lock()
		defer h.conns.mu.Unlock()
		return h.conns.in == 0
	})
	held := 0
	for who := 3; who < 13; who++ {
		for range maxOfOne + 2 {
			if h.holds(t, fmt.Sprintf("127.0.0.%d", who)) {
				held++
			}
		}
		if who == 3 && held != maxOfOne {
			t.Errorf("one stranger holds %d connections, want %d", held, maxOfOne)
		}
	}
	if held != maxConnections {
		t.Errorf("strangers hold %d connections, want %d", held, maxConnections)
	}
	if status, _, _ := h.ask(t, false, "GET", "/", "", nil); status != 200 {
		t.Errorf("this computer: %d", status)
	}
}

// TestManyStreams: a hundred open streams do not keep out who sits at the computer, nor another telephone.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	stream := func(lan bool) (int, io.Closer) {
		c, base := h.client(lan)
		resp, err := c.Get(base + "/live")
		if err != nil {
			return 0, io.NopCloser(nil) // the connection was one too many
		}
		sealed(t, resp)
		if resp.StatusCode == 200 {
			line, err := bufio.NewReader(resp.Body).ReadString('\n')
			if line != "data: 1\n" || err != nil {
				t.Errorf("the stream begins with %q, %v", line, err)
			}
		}
		return resp.StatusCode, resp.Body
	}
	count := func(lan bool, n int) map[int]int {
		got := map[int]int{}
		for range n {
			status, body := stream(lan)
			got[status]++
			t.Cleanup(func() { _ = body.Close() })
		}
		return got
	}
	if got := count(true, 100); got[200] != maxStreamsOfOne {
		t.Errorf("one stranger: %v, want %d streams", got, maxStreamsOfOne)
	}
	first, body := stream(false)
	if first != 200 {
		t.Errorf("this computer: %d", first)
	}
	if got := count(false, 20); got[200] != maxStreamsHere-1 || got[503] != 21-maxStreamsHere {
		t.Errorf("this computer: %v, want %d streams more", got, maxStreamsHere-1)
	}
	if status, _, _ := h.ask(t, false, "GET", "/", "", nil); status != 200 {
		t.Errorf("the page here: %d", status)
	}
	if status, _, body := h.ask(t, false, "POST", "/update", "now=1", nil); status != 200 {
		t.Errorf("the button here: %d %s", status, body)
	}
	_ = body.Close()
	await(t, "a place for a stream", func() bool {
		status, body := stream(false)
		_ = body.Close()
		return status == 200
	})
}

// TestSlowHeads: who sends the head of a request a byte at a time is given up.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	h := open(t, true)
	c := h.dial(t, "127.0.0.1")
	began := time.Now()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1:"+h.port+"\r\n"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for tick := time.Tick(200 * time.Millisecond); ; <-tick {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	}()
	body := h.dial(t, "127.0.0.1")
	if _, err := fmt.Fprintf(body, "POST / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/x-www-form-urlencoded\r\nOrigin: http://127.0.0.1:%s\r\n"+
		"Content-Length: 100\r\n\r\na=", h.port, h.port); err != nil {
		t.Fatal(err)
	}
	shake := h.dial(t, "127.0.0.3") // says nothing to TLS
	if !ended(c, 2*headTime) {
		t.Errorf("a slow head is waited for longer than %v", 2*headTime)
	}
	if !ended(shake, 2*headTime) {
		t.Error("a handshake that does not come is waited for")
	}
	if !ended(body, 2*readTime) {
		t.Error("a body that does not come is waited for")
	}
	if took := time.Since(began); took < headTime/2 {
		t.Errorf("all was given up after %v: too early for a slow line", took)
	}
}

// TestLongHeads: a head is bounded.
func TestLongHeads(t *testing.T) {
	t.Parallel()
	h := open(t, false)
	c := h.dial(t, "127.0.0.1")
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX: %s\r\n\r\n", h.port, strings.Repeat("x", 32<<10))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestStrangersOfANetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.168.1.5": "192.168.1.5", "::ffff:192.168.1.5": "192.168.1.5", "fe80::1%eth0": "fe80::", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
	} {
		if got := network(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
}
