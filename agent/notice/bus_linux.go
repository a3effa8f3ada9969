package notice

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Bounds of a conversation with a bus: the length of a line and the size of a message, in bytes. The bus is a program of the user's.
const (
	busLine    = 1 << 10
	busMessage = 64 << 10
	busChatter = 100 // messages until the answer
)

var errBus = errors.New("the session bus does not answer as one")

// notify asks for a notification over a connection to the session bus of a user; the connection has a deadline.
// The format is that of the D-Bus specification, "Message Protocol" and "Authentication Protocol", the call that of the Desktop Notifications specification.
func notify(conn net.Conn, uid int, summary, body string, urgent bool) error {
	in := bufio.NewReaderSize(conn, busLine)
	if _, err := fmt.Fprintf(conn, "\x00AUTH EXTERNAL %x\r\n", strconv.Itoa(uid)); err != nil {
		return err
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("the session bus does not let us in: %q", strings.TrimSpace(string(line)))
	}
	const bus = "org.freedesktop.DBus"
	hello := call(1, "/org/freedesktop/DBus", bus, "Hello", bus, "", nil)
	if _, err := conn.Write(append([]byte("BEGIN\r\n"), hello...)); err != nil {
		return err
	}
	if err := answered(in); err != nil {
		return err
	}
	const desk = "org.freedesktop.Notifications"
	if _, err := conn.Write(call(2, "/org/freedesktop/Notifications", desk, "Notify", desk, "susssasa{sv}i", notification(summary, body, urgent))); err != nil {
		return err
	}
	return answered(in)
}

// notification is the body of Notify.
func notification(summary, body string, urgent bool) []byte {
	var b wire
	b.text("Dhow")
	b.number(0) // replaces none
	b.text("dhow")
	b.text(summary)
	b.text(body)
	b.array(4, func() {}) // actions
	b.array(8, func() {
		b.align(8)
		b.text("urgency")
		b.signature("y")
		level := byte(1)
		if urgent {
			level = 2 // it stays until somebody has seen it
		}
		b = append(b, level)
		b.align(8)
		b.text("desktop-entry")
		b.signature("s")
		b.text("dhow")
	})
	b.number(0xffffffff) // shown for as long as is usual there
	return b
}

// call is a method call as it is sent.
func call(serial uint32, path, to, method, of, signature string, body []byte) []byte {
	b := wire{'l', 1, 0, 1}
	b.number(uint32(len(body)))
	b.number(serial)
	b.array(8, func() {
		field := func(code byte, kind, value string) {
			b.align(8)
			b = append(b, code)
			b.signature(kind)
			if kind == "g" {
				b.signature(value)
			} else {
				b.text(value)
			}
		}
		field(1, "o", path)
		field(2, "s", of)
		field(3, "s", method)
		field(6, "s", to)
		if signature != "" {
			field(8, "g", signature)
		}
	})
	b.align(8)
	return append(b, body...)
}

// wire is a message, little-endian; everything is aligned to its size, counted from the beginning.
type wire []byte

func (b *wire) align(n int) {
	for len(*b)%n != 0 {
		*b = append(*b, 0)
	}
}

func (b *wire) number(n uint32) {
	b.align(4)
	*b = binary.LittleEndian.AppendUint32(*b, n)
}

func (b *wire) text(s string) {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	b.number(uint32(len(s)))
	*b = append(append(*b, s...), 0)
}

func (b *wire) signature(s string) { *b = append(append(append(*b, byte(len(s))), s...), 0) }

// array writes the length of what fill writes, without the gap in front of its first element.
func (b *wire) array(align int, fill func()) {
	b.number(0)
	at := len(*b)
	b.align(align)
	first := len(*b)
	fill()
	binary.LittleEndian.PutUint32((*b)[at-4:], uint32(len(*b)-first))
}

// answered reads until the answer to the one call that is open: only answers and errors answer, all else is about other things.
func answered(in *bufio.Reader) error {
	for range busChatter {
		var h [16]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return err
		}
		var order binary.ByteOrder = binary.LittleEndian
		if h[0] == 'B' {
			order = binary.BigEndian
		}
		body, fields := uint64(order.Uint32(h[4:])), uint64(order.Uint32(h[12:]))
		rest := (fields+7)/8*8 + body
		if rest > busMessage || h[0] != 'l' && h[0] != 'B' {
			return errBus
		}
		if _, err := io.CopyN(io.Discard, in, int64(rest)); err != nil {
			return err
		}
		switch h[1] {
		case 2:
			return nil
		case 3:
			return errors.New("nobody shows notifications there")
		}
	}
	return errBus
}
