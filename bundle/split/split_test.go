package split_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/durable"
	"dhow/bundle/split"

	"github.com/klauspost/reedsolomon"
)

var ctx = context.Background()

// write writes size bytes in parts, and returns where and what.
func write(t testing.TB, size int, o split.Options) (path string, data []byte) {
	t.Helper()
	path, data = filepath.Join(t.TempDir(), "emr.tgz"), bundletest.Bytes(7, size)
	if o.Size == 0 {
		o.Size = split.MinPart
	}
	if _, err := split.Write(ctx, path, o, func(w io.Writer) error { return pour(w, data) }); err != nil {
		t.Fatal(err)
	}
	return path, data
}

// pour writes in pieces of odd lengths.
func pour(w io.Writer, data []byte) error {
	for n := 1; len(data) > 0; n = n*7%100_003 + 1 {
		n := min(n, len(data))
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// read reads the bundle, and says what was found wrong.
func read(path string) (data []byte, problems []string, err error) {
	p, err := split.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	data, err = io.ReadAll(p.Reader())
	return data, p.Problems(), err
}

func change(t testing.TB, path string, do func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, do(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte { data[at] ^= 0x10; return data }
}

func TestRoundTrip(t *testing.T) {
	const m = split.MinPart
	for _, c := range []struct{ size, part, parity, parts int }{
		{1, m, 0, 1},
		{m - 1, m, 1, 1},
		{m, m, 0, 1},
		{m + 1, m, 2, 2},
		{3*m + 17, m, 1, 4},
		{4 * split.Block, split.Block, 3, 4},
		{5_000_000, 2_500_001, 2, 2}, // blocks that are no whole ones at the end of a part
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			path, data := write(t, c.size, split.Options{Size: int64(c.part), Parity: c.parity})
			var want []string
			for n := range c.parts {
				want = append(want, fmt.Sprintf("emr.tgz.%03d", n+1))
			}
			for n := range c.parity {
				want = append(want, fmt.Sprintf("emr.tgz.p%02d", n+1))
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, append(want, "emr.tgz.sums")) {
				t.Errorf("files %q", got)
			}
			for _, by := range []string{".001", ".sums", ".777"} {
				got, problems, err := read(path + by)
				if err != nil || !bytes.Equal(got, data) || len(problems) != 0 {
					t.Errorf("by %s: %d bytes, %q, error %v", by, len(got), problems, err)
				}
			}
		})
	}
}

// TestTools: what people have without Dhow checks and joins the parts.
func TestTools(t *testing.T) {
	path, data := write(t, 3_500_000, split.Options{Parity: 1})
	cmd := exec.Command("sha256sum", "-c", "emr.tgz.sums")
	cmd.Dir = filepath.Dir(path)
	out, err := cmd.CombinedOutput()
	want := "emr.tgz.001: OK\nemr.tgz.002: OK\nemr.tgz.003: OK\nemr.tgz.004: OK\nemr.tgz.p01: OK\n"
	if err != nil || string(out) != want {
		t.Errorf("sha256sum: %v: %s", err, out)
	}
	out, err = exec.Command("sh", "-c", "cat "+path+".[0-9][0-9][0-9]").Output()
	if err != nil || !bytes.Equal(out, data) {
		t.Errorf("cat: %v, %d bytes", err, len(out))
	}
}

// TestDamage: the part is named, or parity makes up for it; never does a wrong byte come out.
func TestDamage(t *testing.T) {
	type made struct {
		dir  string
		data []byte
	}
	var whole []made // by parity
	for parity := range 3 {
		path, data := write(t, 3_500_000, split.Options{Parity: parity})
		whole = append(whole, made{filepath.Dir(path), data})
	}
	const again, is = ": copy it again", " is damaged or of another making"
	for _, c := range []struct {
		name   string
		parity int
		do     func(t *testing.T, path string)
		err    string // whole, or what was made up for
		ok     []string
	}{
		{"a flipped bit", 0, func(t *testing.T, p string) { change(t, p+".002", flip(500_000)) }, "part 002 of emr.tgz" + is + again, nil},
		{"the last byte", 0, func(t *testing.T, p string) { change(t, p+".004", flip(499_999)) }, "part 004 of emr.tgz" + is + again, nil},
		{"missing", 0, func(t *testing.T, p string) { drop(t, p+".003") }, "part 003 of emr.tgz is missing" + again, nil},
		{"cut", 0, func(t *testing.T, p string) { change(t, p+".001", half) }, "part 001 of emr.tgz has 500000 bytes, not 1000000" + again, nil},
		{
			"two", 0, func(t *testing.T, p string) { drop(t, p+".003"); change(t, p+".001", half) },
			"part 001 of emr.tgz has 500000 bytes, not 1000000, part 003 of emr.tgz is missing: copy them again", nil,
		},
		{"parts swapped", 0, func(t *testing.T, p string) {
			for _, step := range [][2]string{{".001", ".x"}, {".002", ".001"}, {".x", ".002"}} {
				if err := os.Rename(p+step[0], p+step[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, "part 001 of emr.tgz" + is + again, nil},
		{"a part of another making", 0, func(t *testing.T, p string) {
			change(t, p+".002", func(d []byte) []byte { return bundletest.Bytes(8, len(d)) })
		}, "part 002 of emr.tgz" + is + again, nil},
		{"parity for a flipped bit", 1, func(t *testing.T, p string) { change(t, p+".002", flip(500_000)) }, "", []string{"part 002 of emr.tgz" + is}},
		{"parity for a missing part", 1, func(t *testing.T, p string) { drop(t, p+".003") }, "", []string{"part 003 of emr.tgz is missing"}},
		{"parity for the last part", 1, func(t *testing.T, p string) { drop(t, p+".004") }, "", []string{"part 004 of emr.tgz is missing"}},
		{"parity for a part that is cut", 1, func(t *testing.T, p string) { change(t, p+".001", half) }, "", []string{"part 001 of emr.tgz has 500000 bytes, not 1000000"}},
		{
			"parity for two of two", 2, func(t *testing.T, p string) { drop(t, p+".001"); change(t, p+".004", flip(0)) }, "",
			[]string{"part 001 of emr.tgz is missing", "part 004 of emr.tgz" + is},
		},
		{
			"one parity is damaged, too", 2, func(t *testing.T, p string) { drop(t, p+".002"); change(t, p+".p01", flip(9)) }, "",
			[]string{"part 002 of emr.tgz is missing", "part p01 of emr.tgz" + is},
		},
		{
			"more than parity makes up for", 1, func(t *testing.T, p string) { drop(t, p+".001"); change(t, p+".004", flip(0)) },
			"part 001 of emr.tgz is missing, part 004 of emr.tgz" + is + ", and the parity makes up for 1: copy them again", nil,
		},
		{
			"parts and the parity are missing", 1, func(t *testing.T, p string) { drop(t, p+".001"); drop(t, p+".p01") },
			"part 001 of emr.tgz is missing, part p01 of emr.tgz is missing, and the parity makes up for 1: copy them again", nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, data := filepath.Join(t.TempDir(), "emr.tgz"), whole[c.parity].data
			if err := os.CopyFS(filepath.Dir(path), os.DirFS(whole[c.parity].dir)); err != nil {
				t.Fatal(err)
			}
			c.do(t, path)
			before := names(t, filepath.Dir(path))
			got, problems, err := read(path + ".sums")
			if c.err != "" {
				if err == nil || err.Error() != c.err || !errors.Is(err, bundle.ErrDamaged) {
					t.Errorf("\n got %v\nwant %s", err, c.err)
				}
				if !bytes.HasPrefix(data, got) {
					t.Error("wrong bytes came out")
				}
				return
			}
			for i := range c.ok {
				c.ok[i] += "; the parity makes up for it: copy it again"
			}
			if err != nil || !bytes.Equal(got, data) || !slices.Equal(problems, c.ok) {
				t.Errorf("%d bytes, error %v, problems\n%q, want\n%q", len(got), err, problems, c.ok)
			}
			if after := names(t, filepath.Dir(path)); !slices.Equal(before, after) {
				t.Errorf("reading left %q", after)
			}
		})
	}
}

func half(data []byte) []byte { return data[:len(data)/2] }

func drop(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestScattered: a bad stick loses a block here and a block there. All parts are damaged, and no place in more of them than there is parity.
func TestScattered(t *testing.T) {
	path, data := write(t, 12*split.Block, split.Options{Size: 3 * split.Block, Parity: 2})
	for part, at := range []int{0, 0, 1, 2} {
		change(t, fmt.Sprintf("%s.%03d", path, part+1), flip(at*split.Block+5))
	}
	change(t, path+".p02", flip(2*split.Block))
	got, problems, err := read(path + ".001")
	if err != nil || !bytes.Equal(got, data) || len(problems) != 4 {
		t.Errorf("%d bytes, error %v, %q", len(got), err, problems)
	}
	p, err := split.Open(path + ".001")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Check(ctx, false); err != nil || !slices.Equal(p.Wrong(), []string{"emr.tgz.001", "emr.tgz.002", "emr.tgz.003", "emr.tgz.004", "emr.tgz.p02"}) {
		t.Errorf("error %v, %q", err, p.Wrong())
	}
	change(t, path+".001", flip(2*split.Block))
	want := "part 001 of emr.tgz is damaged or of another making, part 002 of emr.tgz is damaged or of another making, " +
		"part 003 of emr.tgz is damaged or of another making, part 004 of emr.tgz is damaged or of another making, " +
		"part p02 of emr.tgz is damaged or of another making, and the parity makes up for 2: copy them again"
	if err := p.Check(ctx, false); err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

// TestRandomAccess reads pieces anywhere, across blocks and parts, through parity.
func TestRandomAccess(t *testing.T) {
	path, data := write(t, 7_300_001, split.Options{Size: 1_600_000, Parity: 1})
	drop(t, path+".003")
	p, err := split.Open(path + ".001")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, at := range []int{0, 1, 1_599_999, 1_600_000, 3_199_990, 4_800_000 - 1, 7_000_000, 7_300_000, split.Block - 3, 2_000_000} {
		buf := make([]byte, 1_200_000)
		n, err := p.ReadAt(buf, int64(at))
		if want := data[at:min(at+len(buf), len(data))]; !bytes.Equal(buf[:n], want) || (n < len(buf)) != (err == io.EOF) {
			t.Errorf("at %d: %d bytes, error %v", at, n, err)
		}
	}
	if _, err := p.ReadAt(make([]byte, 1), -1); err != io.EOF {
		t.Errorf("error %v", err)
	}
}

// TestParityFormat: the parity is the library's over whole parts, whatever the length of a block, and it rebuilds what is lost.
func TestParityFormat(t *testing.T) {
	for _, c := range []struct{ parts, parity int }{{1, 1}, {2, 1}, {3, 2}, {9, 4}} {
		o := split.Options{Size: split.MinPart, Parity: c.parity}
		path, data := write(t, (c.parts-1)*split.MinPart+333_333, o)
		coder, err := reedsolomon.New(c.parts, c.parity, reedsolomon.WithCauchyMatrix())
		if err != nil {
			t.Fatal(err)
		}
		length := min(len(data), split.MinPart)
		shards := make([][]byte, c.parts+c.parity)
		for i := range shards {
			shards[i] = make([]byte, length)
			if i < c.parts {
				copy(shards[i], data[i*split.MinPart:])
			}
		}
		if err := coder.Encode(shards); err != nil {
			t.Fatal(err)
		}
		for i, want := range shards[c.parts:] {
			if got, err := os.ReadFile(fmt.Sprintf("%s.p%02d", path, i+1)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%+v: parity %d differs (%v)", c, i+1, err)
			}
		}
		lost := min(c.parity, c.parts)
		for n := range lost { // spread over all, the last among them
			drop(t, fmt.Sprintf("%s.%03d", path, c.parts-n*(c.parts/lost)))
		}
		if got, problems, err := read(path + ".sums"); err != nil || !bytes.Equal(got, data) || len(problems) != lost {
			t.Errorf("%+v: %d bytes, error %v, %q", c, len(got), err, problems)
		}
	}
}

func TestWriteAgain(t *testing.T) {
	path, _ := write(t, 5_000_000, split.Options{Parity: 2})
	other := filepath.Join(filepath.Dir(path), "emr.tgz.txt")
	if err := os.WriteFile(other, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := bundletest.Bytes(3, 2_000_000)
	if _, err := split.Write(ctx, path, split.Options{Size: split.MinPart}, func(w io.Writer) error { return pour(w, data) }); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"emr.tgz.001", "emr.tgz.002", "emr.tgz.sums", "emr.tgz.txt"}) {
		t.Errorf("files %q", got)
	}
	if got, _, err := read(path + ".002"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

// TestWriteKeeps: the parts that are there stay as they are when others can't be written, and can be read until these are whole.
func TestWriteKeeps(t *testing.T) {
	path, data := write(t, 2_500_000, split.Options{Parity: 1})
	dir := filepath.Dir(path)
	before := names(t, dir)
	left := filepath.Join(dir, durable.TempPrefix+"emr.tgz") // by one that was killed
	if err := os.MkdirAll(filepath.Join(left, "emr.tgz.001"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("blob is damaged"), "blob is damaged"},
		{
			&fs.PathError{Op: "write", Path: "emr.tgz.002", Err: syscall.ENOSPC}, "write emr.tgz.002: no space left on device: the parts of emr.tgz that are " +
				"there already are kept, and need room too: remove them first",
		},
	} {
		_, err := split.Write(ctx, path, split.Options{Size: split.MinPart}, func(w io.Writer) error {
			if err := pour(w, make([]byte, 2_500_000)); err != nil {
				return err
			}
			if got, problems, err := read(path + ".sums"); err != nil || !bytes.Equal(got, data) || len(problems) > 0 {
				t.Errorf("meanwhile: %d bytes, %q, error %v", len(got), problems, err)
			}
			return c.err
		})
		if !errors.Is(err, c.err) || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
		if got := names(t, dir); !slices.Equal(got, before) {
			t.Errorf("files %q, before %q", got, before)
		}
		if got, problems, err := read(path + ".sums"); err != nil || !bytes.Equal(got, data) || len(problems) > 0 {
			t.Errorf("%d bytes, %q, error %v", len(got), problems, err)
		}
	}
}

// TestWriteFails: nothing stays that looks whole, and nothing at all when we are still there to remove it.
func TestWriteFails(t *testing.T) {
	broken := errors.New("blob is damaged")
	fails := func(w io.Writer) error {
		if err := pour(w, make([]byte, 2_500_000)); err != nil {
			return err
		}
		return broken
	}
	ended, cancel := context.WithCancel(ctx)
	for _, c := range []struct {
		name string
		o    split.Options
		fill func(io.Writer) error
		want string
	}{
		{"the bundle", split.Options{Size: split.MinPart, Parity: 1}, fails, "blob is damaged"},
		{"nothing", split.Options{Size: split.MinPart}, func(io.Writer) error { return nil }, "EOF"},
		{"ended", split.Options{Size: split.MinPart}, func(w io.Writer) error {
			cancel()
			for {
				if _, err := w.Write(make([]byte, 10_000)); err != nil {
					return err
				}
			}
		}, "context canceled"},
		{"too small", split.Options{Size: 999_999}, nil, "parts of 999999 bytes: they have 1000000 at least and 4294967295 at most, the longest file that FAT takes"},
		{"too large", split.Options{Size: 1 << 32}, nil, "parts of 4294967296 bytes: they have 1000000 at least and 4294967295 at most, the longest file that FAT takes"},
		{"too many", split.Options{Size: split.MinPart, Expect: 1_000_000_000}, nil, "larger than allowed: 1000 parts, at most 999"},
		{"too many for parity", split.Options{Size: split.MinPart, Expect: 254_000_000, Parity: 2}, nil, "larger than allowed: 256 parts with parity, at most 255"},
		{"too much parity", split.Options{Size: split.MinPart, Parity: 21}, nil, "larger than allowed: 21 parity parts, at most 20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := split.Write(ended, filepath.Join(dir, "emr.tgz"), c.o, c.fill)
			if c.name != "ended" && c.fill != nil {
				_, err = split.Write(ctx, filepath.Join(dir, "emr.tgz"), c.o, c.fill)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if got := names(t, dir); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
	if _, err := split.Write(ctx, filepath.Join(t.TempDir(), "no", "emr.tgz"), split.Options{Size: split.MinPart}, fails); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestMemory: neither writing with parity nor rebuilding needs memory that grows with the bundle.
func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "emr.tar")
	const size = 96 << 20
	zeros := make([]byte, 1<<20)
	fill := func(w io.Writer) error {
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				return err
			}
		}
		return nil
	}
	grown := func(what string, do func() error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := do(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s has allocated %d bytes", what, n)
		}
	}
	grown("writing", func() error {
		_, err := split.Write(ctx, path, split.Options{Size: 20 << 20, Parity: 2}, fill)
		return err
	})
	drop(t, path+".002")
	drop(t, path+".004")
	grown("rebuilding", func() error {
		p, err := split.Open(path + ".sums")
		if err != nil {
			return err
		}
		defer p.Close()
		n, err := io.Copy(io.Discard, p.Reader())
		if n != size {
			t.Errorf("%d bytes", n)
		}
		return err
	})
}
