package fetch

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"

	"dhow/bundle"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func seeds(f *testing.F) {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, name := range []string{
		"oci-layout", "bundle.json", "metadata/1.root.json", "metadata/timestamp.json", "index.json",
		"blobs/sha256/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
	} {
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1, Mode: 0o644})
		_, _ = w.Write([]byte("a"))
	}
	_ = w.WriteHeader(&tar.Header{Name: "metadata/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"})
	_ = w.Close()
	f.Add(plain.Bytes())
	f.Add(plain.Bytes()[:2000])
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	f.Add(bytes.Clone(packed.Bytes()))
	packed.Reset()
	s, _ := zstd.NewWriter(&packed)
	_, _ = s.Write(plain.Bytes())
	_ = s.Close()
	f.Add(packed.Bytes())
	f.Add([]byte{0x1f, 0x8b})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0})
}

// FuzzArchive reads any bytes as an archive, once for the documents and once as a whole: only local names come out, and every error has
// a kind.
func FuzzArchive(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := context.Background()
		read := func(visit func(entry) error) error {
			return walk(ctx, bytes.NewReader(data), int64(len(data)), visit)
		}
		known := func(err error) {
			if err != nil && !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrUnsafePath) &&
				!errors.Is(err, bundle.ErrTooLarge) && !errors.Is(err, bundle.ErrNoMetadata) {
				t.Errorf("error %v", err)
			}
		}
		a := &archive{}
		known(a.readHead(read))
		for path := range a.docs {
			if !bundle.IsDocument(path) {
				t.Errorf("%q became a document", path)
			}
		}
		known(read(func(e entry) error {
			if !fs.ValidPath(e.name) || !bundle.IsLocal(e.name) {
				t.Errorf("%q came out", e.name)
			}
			if e.link {
				return nil
			}
			_, err := io.Copy(io.Discard, io.LimitReader(e.r, 1<<20))
			return err
		}))
	})
}

// FuzzArtifact reads any bytes as the artifact of the tag "manifest".
func FuzzArtifact(f *testing.F) {
	f.Add([]byte(`{"artifactType":"application/vnd.dhow.manifest.v1","layers":[{"mediaType":"a","digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","size":1,"annotations":{"org.opencontainers.image.title":"metadata/timestamp.json"}}]}`))
	f.Add([]byte(`{"artifactType":"application/vnd.dhow.manifest.v1","layers":[{"digest":"sha256:x","size":-1,"annotations":{"org.opencontainers.image.title":"../x"}}]}`))
	f.Add([]byte(`{"layers":[]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := parseArtifact(data)
		if err != nil && !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrUnsafePath) &&
			!errors.Is(err, bundle.ErrTooLarge) && !errors.Is(err, bundle.ErrNoMetadata) {
			t.Errorf("error %v", err)
		}
		for path, b := range docs {
			if !bundle.IsDocument(path) || !bundle.IsDigest(b.Digest) || b.Size < 0 {
				t.Errorf("%q: %v", path, b)
			}
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 0-0/*", "bytes 9-5/10", "bytes -1-5/10", "bytes */10", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := contentRange(s)
		if ok && (first < 0 || last < first || total >= 0 && last >= total || total < -1) {
			t.Errorf("%q: %d-%d of %d", s, first, last, total)
		}
	})
}
