package deflate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// oracle is a Python that compresses with the real zlib.
type oracle struct {
	in  *bufio.Writer
	out *bufio.Reader
}

const oracleScript = `
import struct, sys, zlib
i, o = sys.stdin.buffer, sys.stdout.buffer
v = zlib.ZLIB_RUNTIME_VERSION.encode()
o.write(struct.pack("<I", len(v)) + v)
o.flush()
while True:
    head = i.read(6)
    if len(head) < 6:
        break
    level, mem, n = struct.unpack("<BBI", head)
    c = zlib.compressobj(level, zlib.DEFLATED, -15, mem)
    z = c.compress(i.read(n)) + c.flush()
    o.write(struct.pack("<I", len(z)) + z)
    o.flush()
`

func startOracle(t *testing.T) *oracle {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("missing: python3, which brings the real zlib to compare with: apt-get install python3")
	}
	cmd := exec.Command(python, "-c", oracleScript)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3: %v", err)
		}
	})
	o := &oracle{bufio.NewWriterSize(in, 1<<16), bufio.NewReaderSize(out, 1<<16)}
	if v := string(o.read(t)); !strings.HasPrefix(v, "1.2.") && !strings.HasPrefix(v, "1.3") || strings.Contains(v, "ng") {
		t.Fatalf("python3 has zlib %q, and this test compares with 1.2 or 1.3", v)
	}
	return o
}

func (o *oracle) read(t *testing.T) []byte {
	t.Helper()
	var n uint32
	if err := binary.Read(o.out, binary.LittleEndian, &n); err != nil {
		t.Fatal(err)
	}
	z := make([]byte, n)
	if _, err := io.ReadFull(o.out, z); err != nil {
		t.Fatal(err)
	}
	return z
}

func (o *oracle) compress(t *testing.T, p Params, data []byte) []byte {
	t.Helper()
	o.in.Write(binary.LittleEndian.AppendUint32([]byte{byte(p.Level), byte(p.MemLevel)}, uint32(len(data))))
	o.in.Write(data)
	if err := o.in.Flush(); err != nil {
		t.Fatal(err)
	}
	return o.read(t)
}

// material makes data of many kinds: noise, text, runs, records, machine words, and pieces of all of them repeated at many distances.
func material(r *rand.Rand, size int) []byte {
	data := make([]byte, 0, size+600)
	alphabet := 1 + r.IntN(256)
	skew := r.IntN(6)
	for len(data) < size {
		switch r.IntN(8) {
		case 0:
			for range r.IntN(2000) {
				data = append(data, byte(r.Uint32()))
			}
		case 1, 2:
			for range r.IntN(3000) {
				n := r.IntN(alphabet)
				for range skew {
					n = min(n, r.IntN(alphabet))
				}
				data = append(data, byte(n))
			}
		case 3:
			data = append(data, bytes.Repeat([]byte{byte(r.IntN(4))}, r.IntN(700))...)
		case 4:
			for i := range r.IntN(200) {
				data = fmt.Appendf(data, "%d,name-%d,%s\n", i, r.IntN(50), []string{"true", "false", "unknown"}[r.IntN(3)])
			}
		case 5:
			for v := r.Uint32(); r.IntN(300) > 0; v += uint32(r.IntN(70)) {
				data = binary.LittleEndian.AppendUint32(data, v)
			}
		default:
			if len(data) > 0 {
				at := r.IntN(len(data))
				if r.IntN(2) == 0 {
					at = max(len(data)-1-r.IntN(33000), 0)
				}
				data = append(data, data[at:min(at+r.IntN(600), len(data))]...)
			}
		}
	}
	return data[:size]
}

func sizes(r *rand.Rand) int {
	switch r.IntN(20) {
	case 0:
		return r.IntN(70)
	case 1:
		return []int{32768, 65536, 98304, 65274, 65275, 65535, 16383, 16384, 32506}[r.IntN(9)] + r.IntN(3) - 1
	case 2:
		return r.IntN(400000)
	case 3, 4, 5, 6, 7:
		return r.IntN(60000)
	default:
		return r.IntN(6000)
	}
}

// streams is how many streams the tests compare: few in every run, more when asked, as scripts/bench zlib does.
func streams(t *testing.T) int {
	t.Helper()
	if n := os.Getenv("DHOW_DEFLATE_STREAMS"); n != "" {
		v, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("DHOW_DEFLATE_STREAMS: %v", err)
		}
		return v
	}
	return 250
}

func TestStreamsAreThoseOfZlib(t *testing.T) {
	o := startOracle(t)
	var got bytes.Buffer
	d, err := NewWriter(&got, Params{6, 8})
	if err != nil {
		t.Fatal(err)
	}
	count, wrong := streams(t), 0
	for n := range count {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		p := Params{1 + r.IntN(9), 8 + r.IntN(2)}
		if r.IntN(3) == 0 {
			p.Level = 6
		}
		if r.IntN(10) == 0 {
			p.MemLevel = 1 + r.IntN(7)
		}
		data := material(r, sizes(r))
		want := o.compress(t, p, data)
		got.Reset()
		if err := d.Reset(&got, p); err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			n, err := d.Write(rest[:min(len(rest), 1+r.IntN(70000))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			at := 0
			for at < min(got.Len(), len(want)) && got.Bytes()[at] == want[at] {
				at++
			}
			if wrong++; wrong <= 10 {
				t.Errorf("stream %d (level %d, memLevel %d, %d bytes): %d bytes and zlib writes %d; the first difference is at %d",
					n, p.Level, p.MemLevel, len(data), got.Len(), len(want), at)
			}
		}
	}
	t.Logf("zlib: %d of %d streams are exact", count-wrong, count)
}

// The same with what programs and texts are made of, and with more of it: this package's source and a part of the test program.
func TestRealFilesAreThoseOfZlib(t *testing.T) {
	o := startOracle(t)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		data, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, program[:min(len(program), 256<<10)]...)
	for level := 1; level <= 9; level++ {
		for mem := 8; mem <= 9; mem++ {
			p := Params{level, mem}
			var got bytes.Buffer
			d, err := NewWriter(&got, p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(all); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), o.compress(t, p, all)) {
				t.Errorf("level %d, memLevel %d: not what zlib writes", level, mem)
			}
		}
	}
}
