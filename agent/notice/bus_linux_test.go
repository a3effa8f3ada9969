package notice

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestBadBuses: a bus is a program of a user's; whatever it says, it is read a little and for a short while.
func TestBadBuses(t *testing.T) {
	t.Parallel()
	reply := []byte{'l', 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	signal := []byte{'B', 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3}
	for name, c := range map[string]struct {
		says []byte
		want string
	}{
		"lets us in":          {join([]byte("OK 123\r\n"), reply, reply), ""},
		"says more":           {join([]byte("OK 123\r\n"), signal, reply, signal, signal, reply), ""},
		"refuses":             {[]byte("REJECTED EXTERNAL\r\n"), `the session bus does not let us in: "REJECTED EXTERNAL"`},
		"nobody is there":     {join([]byte("OK 123\r\n"), reply, []byte{'l', 3, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}), "nobody shows notifications there"},
		"a line without end":  {bytes.Repeat([]byte("x"), 5000), "bufio: buffer full"},
		"a large message":     {join([]byte("OK 123\r\n"), []byte{'l', 2, 0, 1, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0}), "the session bus does not answer as one"},
		"large fields":        {join([]byte("OK 123\r\n"), []byte{'l', 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), "the session bus does not answer as one"},
		"another protocol":    {[]byte("OK 123\r\nHTTP/1.1 200 OK\r\n\r\n"), "the session bus does not answer as one"},
		"chatter without end": {join([]byte("OK 123\r\n"), bytes.Repeat(signal, 2*busChatter)), "the session bus does not answer as one"},
		"ends":                {[]byte("OK 123\r\n"), "EOF"},
	} {
		here, there := pair(t)
		go func() { _, _ = io.Copy(io.Discard, there) }()
		go func() {
			_, _ = there.Write(c.says)
			_ = there.(*net.UnixConn).CloseWrite()
		}()
		got := ""
		if err := notify(here, 1000, "a", "b", false); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("a bus that %s: %q, want %q", name, got, c.want)
		}
		_ = here.Close()
		_ = there.Close()
	}
}

// pair is a socket and the one at its other end.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestCall compares a message with one that was written down byte by byte from the specification.
func TestCall(t *testing.T) {
	t.Parallel()
	want := join(
		[]byte{'l', 1, 0, 1, 5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0},
		[]byte{1, 1, 'o', 0, 2, 0, 0, 0, '/', 'a', 0, 0, 0, 0, 0, 0},
		[]byte{2, 1, 's', 0, 1, 0, 0, 0, 'i', 0, 0, 0, 0, 0, 0, 0},
		[]byte{3, 1, 's', 0, 1, 0, 0, 0, 'm', 0, 0, 0, 0, 0, 0, 0},
		[]byte{6, 1, 's', 0, 1, 0, 0, 0, 't', 0, 0, 0, 0, 0, 0, 0},
		[]byte{8, 1, 'g', 0, 1, 's', 0, 0},
		[]byte("12345"),
	)
	want[12] = 16*4 + 7
	if got := call(7, "/a", "t", "m", "i", "s", []byte("12345")); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzAnswered(f *testing.F) {
	f.Add([]byte{'l', 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{'B', 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		if err := answered(in); err == nil && len(data) < 16 {
			t.Error("an answer of nothing")
		}
	})
}
