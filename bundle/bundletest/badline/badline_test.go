package badline_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"dhow/bundle/bundletest/badline"
)

// giving is a server that sends n bytes to whoever asks for them with one byte.
func giving(t *testing.T, n int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					_, _ = conn.Write(make([]byte, n))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// ask reads until the connection ends, or nothing comes for so long.
func ask(t *testing.T, address string, silence time.Duration) (got int, err error) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 64<<10); ; {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		got += n
		if err != nil {
			return got, err
		}
	}
}

func TestEnds(t *testing.T) {
	const size = 500_000
	for _, c := range []struct {
		name  string
		line  badline.Line
		got   int // at least, and at most
		least int
		err   error
	}{
		{"to its end", badline.Line{}, size, size, io.EOF},
		{"longer than what is sent", badline.Line{After: size + 1}, size, size, io.EOF},
		{"orderly", badline.Line{After: 100_000}, 100_000, 100_000, io.EOF},
		{"reset", badline.Line{After: 100_000, End: badline.Reset}, 100_000, 0, syscall.ECONNRESET},
		{"silent", badline.Line{After: 100_000, End: badline.Silent}, 100_000, 100_000, errSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := badline.Open(giving(t, size), c.line)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := ask(t, f.Address(), 500*time.Millisecond)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				err = errSilent
			}
			if got < c.least || got > c.got || !errors.Is(err, c.err) {
				t.Errorf("%d bytes, error %v", got, err)
			}
			if moved := f.Moved(); moved != int64(c.got)+1 {
				t.Errorf("%d bytes moved", moved)
			}
		})
	}
}

var errSilent = errors.New("silent")

func TestOnlyTheFirstEnd(t *testing.T) {
	f, err := badline.Open(giving(t, 1000), badline.Line{After: 10, Times: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n, want := range []int{10, 10, 1000} {
		if got, err := ask(t, f.Address(), 5*time.Second); got != want || err != io.EOF {
			t.Errorf("connection %d: %d bytes, error %v", n, got, err)
		}
	}
	if f.Connections() != 3 || f.Ended() != 2 {
		t.Errorf("%d connections, %d ended", f.Connections(), f.Ended())
	}
}

// 10 kB at 20 kB/s take half a second; what is asked takes two trips, one of them for the handshake.
func TestSlowness(t *testing.T) {
	f, err := badline.Open(giving(t, 10_000), badline.Line{Rate: 20_000, Trip: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := time.Now()
	if got, err := ask(t, f.Address(), 5*time.Second); got != 10_000 || err != io.EOF {
		t.Errorf("%d bytes, error %v", got, err)
	}
	if took := time.Since(start); took < 890*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}
