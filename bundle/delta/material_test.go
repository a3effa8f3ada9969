package delta

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"dhow/bundle/delta/deflate"

	"github.com/opencontainers/go-digest"
)

// file is a file of a layer, or a member of a zip.
type file struct {
	name string
	data []byte
}

func layerOf(data []byte) Layer {
	sum := sha256.Sum256(data)
	return Layer{Identity{digest.NewDigestFromBytes(digest.SHA256, sum[:]), int64(len(data))}, bytes.NewReader(data)}
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf makes a zip as zlib's users do. With no valid parameters it is made by Go's own encoder, which nothing here can imitate.
func zipOf(t testing.TB, p deflate.Params, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		if !p.Valid() {
			return flate.NewWriter(w, 5)
		}
		return deflate.NewWriter(w, p)
	})
	for _, f := range files {
		member, err := w.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := member.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var usual = deflate.Params{Level: 6, MemLevel: 8}

// text makes words that look like code: compressible, and the same for the same seed.
func text(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%s.%s(%d);\n", strings.Repeat("org", 1+r.IntN(2)), []string{"get", "set", "openmrs", "visit"}[r.IntN(4)], r.IntN(1e6))
	}
	return b.Bytes()[:size]
}

func noise(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 4))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// war makes a zip of jars; the class that stands first in each fifth jar is that of the version.
func war(t testing.TB, p deflate.Params, version uint64) []byte {
	t.Helper()
	var jars []file
	for j := range uint64(6) {
		var classes []file
		for c := range uint64(6) {
			seed := j*100 + c
			if j%5 == 0 && c == 0 {
				seed += version * 10000
			}
			classes = append(classes, file{fmt.Sprintf("org/openmrs/C%d.class", c), text(seed, 1500+int(c)*300)})
		}
		jars = append(jars, file{fmt.Sprintf("WEB-INF/lib/l%d.jar", j), zipOf(t, p, classes...)})
	}
	return zipOf(t, p, append(jars, file{"META-INF/MANIFEST.MF", fmt.Appendf(nil, "Version: %d\n", version)})...)
}

// create makes a delta and asserts that it can be applied.
func create(t testing.TB, old [][]byte, layer []byte) ([]byte, Stats) {
	t.Helper()
	dir := t.TempDir()
	var base []Layer
	for _, b := range old {
		base = append(base, layerOf(b))
	}
	var d, out bytes.Buffer
	stats, err := Create(context.Background(), base, layerOf(layer), &d, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Size != int64(d.Len()) {
		t.Errorf("%d bytes, and the statistics say %d", d.Len(), stats.Size)
	}
	if err := Apply(context.Background(), base, bytes.NewReader(d.Bytes()), int64(d.Len()), &out, dir, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), layer) {
		t.Fatal("another layer comes out")
	}
	empty(t, dir)
	return d.Bytes(), stats
}

// empty asserts that nothing is left in a folder.
func empty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("left behind: %s", f.Name())
	}
}
