package fetch_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
)

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// archive writes a bundle of p and returns its path.
func archive(t *testing.T, p published, end string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle"+end)
	if _, err := pack.Write(ctx, path, contents(p.store, p.release)); err != nil {
		t.Fatal(err)
	}
	return path
}

// item is an entry of an archive that a test writes.
type item struct {
	name string
	data string
	kind byte // 0 is a regular file
	link string
	size int64 // in the header, when it isn't that of data
}

func writeArchive(t testing.TB, kind bundle.Compression, items []item) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: tar.TypeReg, Linkname: i.link, Mode: 0o644, Size: int64(len(i.data))}
		if i.kind != 0 {
			h.Typeflag = i.kind
		}
		if i.size != 0 {
			h.Size = i.size
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil && (len(items) == 0 || items[len(items)-1].size == 0) {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, bundletest.Compress(t, kind, buf.Bytes()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// items are what a good bundle of p holds.
func items(t *testing.T, p published) []item {
	t.Helper()
	var list []item
	for path, data := range bundletest.Documents() {
		list = append(list, item{name: path, data: string(data)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	for _, w := range p.wants {
		list = append(list, item{name: bundle.BlobPath(w.Forms[0].Digest), data: string(contentOf(t, p.store, w.Forms[0]))})
	}
	return list
}

func empty(t *testing.T, s *bundle.Store) {
	t.Helper()
	err := filepath.WalkDir(s.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBlobsFromArchives(t *testing.T) {
	p := publish(t, 100_000)
	for _, end := range []string{".tar", ".tgz", ".tar.gz", ".tar.zst"} {
		t.Run(end, func(t *testing.T) {
			src := open(t, archive(t, p, end))
			if hint, err := bundle.ReadHint(ctx, src); err != nil || hint.Fleet != "clinic" || fmt.Sprint(hint.Releases) != "[1.0.0]" {
				t.Errorf("hint %v, error %v", hint, err)
			}
			site := bundletest.Store(t)
			moved, err := fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
			if err != nil || moved.Bytes != fetch.Size(p.wants) {
				t.Errorf("moved %d, error %v", moved, err)
			}
			all(t, site, p.wants)
			if err := fetch.Verify(ctx, src, p.wants, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnpackedBundle: a folder that somebody unpacked a bundle into is a source, and so is an archive of that folder in any order.
func TestUnpackedBundle(t *testing.T) {
	p := publish(t, 10_000)
	list := items(t, p)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 { // blobs first
		list[i], list[j] = list[j], list[i]
	}
	for i := range list {
		list[i].name = "./" + list[i].name
	}
	list = append([]item{{name: "./", kind: tar.TypeDir}, {name: "./metadata/", kind: tar.TypeDir}}, list...)
	src := open(t, writeArchive(t, bundle.Gzip, list))
	if _, err := src.Document(ctx, bundle.TimestampPath, 1000); err != nil {
		t.Error(err)
	}
	site := bundletest.Store(t)
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick); err != nil {
		t.Error(err)
	}
	all(t, site, p.wants)

	dir := t.TempDir()
	for _, i := range list {
		if i.kind != 0 {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(i.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(i.data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	site = bundletest.Store(t)
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, dir)}, p.wants, quick); err != nil {
		t.Error(err)
	}
	all(t, site, p.wants)
	if err := fetch.Verify(ctx, open(t, dir), p.wants, nil); err != nil {
		t.Error(err)
	}
}

func TestEvilArchives(t *testing.T) {
	p := publish(t, 10_000)
	good := items(t, p)
	blob := good[len(good)-1]
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		name string
		evil item
		kind error
		want string
	}{
		{"parent", item{name: "../evil", data: "x"}, bundle.ErrUnsafePath, `it names "../evil": path outside its folder`},
		{"inside out", item{name: "metadata/../../evil", data: "x"}, bundle.ErrUnsafePath, `it names "metadata/../../evil": path outside its folder`},
		{"absolute", item{name: "/etc/evil", data: "x"}, bundle.ErrUnsafePath, `it names "/etc/evil"`},
		{"Windows", item{name: `..\evil`, data: "x"}, bundle.ErrUnsafePath, "path outside its folder"},
		{"drive", item{name: "C:/evil", data: "x"}, bundle.ErrUnsafePath, "path outside its folder"},
		{"folder", item{name: "../evil/", kind: tar.TypeDir}, bundle.ErrUnsafePath, "path outside its folder"},
		{"no place", item{name: "etc/passwd", data: "x"}, bundle.ErrUnsafePath, `it names "etc/passwd", which has no place in a bundle: path outside its folder`},
		{"symbolic link", item{name: "metadata/link", kind: tar.TypeSymlink, link: "/etc"}, bundle.ErrUnsafePath, `"metadata/link" is a link`},
		{"hard link", item{name: "metadata/link", kind: tar.TypeLink, link: "metadata/timestamp.json"}, bundle.ErrUnsafePath, "is a link or a device"},
		{"device", item{name: "metadata/null", kind: tar.TypeChar}, bundle.ErrUnsafePath, "is a link or a device"},
		{"pipe", item{name: "metadata/pipe", kind: tar.TypeFifo}, bundle.ErrUnsafePath, "is a link or a device"},
		{"wrong content", item{name: "blobs/sha256/" + other, data: "x"}, bundle.ErrDamaged, "its content has the digest"},
		{"bomb", item{name: "blobs/sha256/" + other, size: 1 << 42}, bundle.ErrTooLarge, "it unpacks to far more than a bundle does"},
	} {
		for place, list := range map[string][]item{
			"first":  append([]item{c.evil}, good...),
			"middle": append(append(append([]item{}, good[:6]...), c.evil), good[6:]...),
			"last":   append(append([]item{}, good...), c.evil),
		} {
			if c.evil.size != 0 && place != "last" {
				continue
			}
			t.Run(c.name+" "+place, func(t *testing.T) {
				path := writeArchive(t, bundle.Gzip, list)
				site := bundletest.Store(t)
				src, err := fetch.Open(ctx, path)
				if err == nil {
					_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
				}
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				empty(t, site)
			})
		}
	}
	wrong := append(append([]item{}, good[:len(good)-1]...), item{name: blob.name, data: blob.data + "x"})
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, writeArchive(t, bundle.Plain, wrong))}, p.wants, quick)
	if !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	twice := append([]item{good[0]}, good...)
	if _, err := fetch.Open(ctx, writeArchive(t, bundle.Plain, twice)); !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error %v", err)
	}
}

func TestHugeHead(t *testing.T) {
	big := []item{{name: "metadata/timestamp.json", data: "{}"}}
	for n := range 9 {
		big = append(big, item{name: fmt.Sprintf("metadata/%d.root.json", n), data: strings.Repeat("x", 8<<20)})
	}
	many := []item{}
	for n := range 10_001 {
		many = append(many, item{name: fmt.Sprintf("metadata/%d.root.json", n), data: "x"})
	}
	for _, list := range [][]item{big, many} {
		_, err := fetch.Open(ctx, writeArchive(t, bundle.Gzip, list))
		if !errors.Is(err, bundle.ErrTooLarge) || !strings.Contains(err.Error(), "its documents are larger than allowed") {
			t.Errorf("error %v", err)
		}
	}
}
