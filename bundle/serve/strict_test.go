package serve

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
)

// strict is a shelf that has everything and does not suffer to be asked for what no shelf may give away.
type strict struct {
	t     *testing.T
	asked bool
}

var ten = []byte("0123456789")

func (s *strict) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	s.asked = true
	if !bundle.IsLocal(path) || !strings.HasPrefix(path, "metadata/") && !strings.HasPrefix(path, "targets/") {
		s.t.Errorf("asked for the document %q", path)
	}
	return ten, nil
}

func (s *strict) Find(_ context.Context, d digest.Digest) (manifest.Blob, error) {
	s.asked = true
	if !bundle.IsDigest(d) {
		s.t.Errorf("asked for %q", d)
	}
	return manifest.Blob{Digest: d, Size: int64(len(ten))}, nil
}

func (s *strict) Prove(context.Context, manifest.Blob) error { return nil }

func (s *strict) Open(_ context.Context, _ manifest.Blob, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset >= int64(len(ten)) {
		s.t.Errorf("offset %d", offset)
	}
	return io.NopCloser(bytes.NewReader(ten[offset:])), nil
}

// generous is a source that has a file at every path, of which most are nobody's business.
type generous struct {
	*manifesttest.Source
	published map[string][]byte
}

const private = "what nobody has signed"

func (g generous) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	if data, ok := g.published[path]; ok {
		return data, nil
	}
	if strings.HasSuffix(path, ".root.json") {
		return nil, fs.ErrNotExist
	}
	return []byte(private), nil
}

// openGenerous returns the shelf of such a source.
func openGenerous(t testing.TB) *Source {
	t.Helper()
	fleet := manifesttest.New(t, "clinic")
	fleet.AddRelease("1.0.0", fleet.NewRelease("1.0.0"))
	s, err := OpenSource(context.Background(), generous{manifesttest.NewSource(nil), fleet.Publish()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
