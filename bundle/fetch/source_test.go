package fetch_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
)

func TestDocuments(t *testing.T) {
	p := publish(t, 1000)
	web := files(t, p)
	for _, spec := range []string{p.dir, web.URL, archive(t, p, ".tgz"), archive(t, p, ".tar"), archive(t, p, ".tar.zst")} {
		src := open(t, spec)
		for path, want := range bundletest.Documents() {
			got, err := src.Document(ctx, path, 1000)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %q, error %v", path, got, err)
			}
		}
		if _, err := src.Document(ctx, "metadata/2.root.json", 1000); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, bundle.ErrUnreachable) {
			t.Errorf("%s: error %v", spec, err)
		}
		if _, err := src.Document(ctx, bundle.TimestampPath, 5); !errors.Is(err, bundle.ErrTooLarge) {
			t.Errorf("%s: error %v", spec, err)
		}
		for _, evil := range []string{"../x", "/etc/passwd", "metadata/../../x", bundle.BlobPath(p.wants[0].Forms[0].Digest), ""} {
			if data, err := src.Document(ctx, evil, 1000); err == nil {
				t.Errorf("%s: %s: %q", spec, evil, data)
			}
		}
	}
}

func TestWebDocumentsThatAreWrong(t *testing.T) {
	p := publish(t, 1000)
	for _, c := range []struct {
		fault func(*server)
		kind  error
	}{
		{func(s *server) { s.page = true }, bundle.ErrUnreachable},
		{func(s *server) { s.status = 500 }, bundle.ErrUnreachable},
		{func(s *server) { s.cut = 3 }, bundle.ErrUnreachable},
		{func(s *server) { s.status = 404 }, fs.ErrNotExist},
		{func(s *server) { s.replace["/"+bundle.TimestampPath] = strings.Repeat("x", 2000) }, bundle.ErrTooLarge},
	} {
		web := files(t, p)
		c.fault(web)
		if _, err := open(t, web.URL).Document(ctx, bundle.TimestampPath, 1000); !errors.Is(err, c.kind) {
			t.Errorf("error %v, want %v", err, c.kind)
		}
	}
}

// TestRedirectToPlainHTTP: nobody on the way may turn https into http.
func TestRedirectToPlainHTTP(t *testing.T) {
	_, err := fetch.Transport(false, 0).RoundTrip(request(t, "http://registry.example.org/v2/"))
	if err == nil || err.Error() != "plain http to registry.example.org is not allowed" {
		t.Errorf("error %v", err)
	}
}

func TestLinksOutOfAFolder(t *testing.T) {
	p := publish(t, 1000)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	blob := p.wants[0].Forms[0]
	src := open(t, p.dir)
	for path, target := range map[string]string{
		filepath.Join(p.dir, "metadata", "timestamp.json"):                     secret,
		filepath.Join(p.dir, filepath.FromSlash(bundle.BlobPath(blob.Digest))): "../../../../../../" + secret,
	} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := src.Document(ctx, bundle.TimestampPath, 1000); !errors.Is(err, bundle.ErrUnsafePath) {
		t.Errorf("%q, error %v", data, err)
	}
	if _, err := src.Blob(ctx, blob, 0); !errors.Is(err, bundle.ErrUnsafePath) {
		t.Errorf("error %v", err)
	}
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
	if !errors.Is(err, bundle.ErrUnsafePath) {
		t.Errorf("error %v", err)
	}
	if err := os.RemoveAll(filepath.Join(p.dir, "targets")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(p.dir, "targets")); err != nil {
		t.Fatal(err)
	}
	if data, err := src.Document(ctx, "targets/passwd", 1<<20); !errors.Is(err, bundle.ErrUnsafePath) {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
}

func TestOpen(t *testing.T) {
	p := publish(t, 1000)
	stick, full, empty := t.TempDir(), t.TempDir(), t.TempDir()
	copyFile(t, archive(t, p, ".tgz"), filepath.Join(stick, "emr-1.0.0.tgz"))
	copyFile(t, archive(t, p, ".tgz"), filepath.Join(stick, ".hidden.tgz"))
	copyFile(t, writeArchive(t, bundle.Plain, items(t, p)), filepath.Join(full, "a.tgz")) // without a hint
	copyFile(t, archive(t, p, ".tar"), filepath.Join(full, "B.TAR"))
	odd := filepath.Join(t.TempDir(), "renamed.doc") // by content, not by name
	copyFile(t, archive(t, p, ".tar.zst"), odd)
	text := filepath.Join(t.TempDir(), "a.tgz")
	if err := os.WriteFile(text, []byte("this is a letter, not a bundle"), 0o644); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		p.dir:                                 p.dir,
		stick:                                 filepath.Join(stick, "emr-1.0.0.tgz"),
		odd:                                   odd,
		"oci://registry.example.org/emr/main": "oci://registry.example.org/emr/main",
		"OCI://localhost:5000/emr/?insecure":  "",
		"oci://localhost:5000/emr":            "oci://localhost:5000/emr",
		"oci://myregistry/emr?insecure":       "oci://myregistry/emr",
		"https://u:secret@example.org/a":      "https://u:xxxxx@example.org/a",
	} {
		src, err := fetch.Open(ctx, spec)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", spec, err)
			}
			continue
		}
		if src.Name() != want && want != "" {
			t.Errorf("%s is called %s", spec, src.Name())
		}
		_ = src.Close()
	}
	for _, c := range []struct {
		spec, want string
		kind       error
	}{
		{"", "cannot open source : it has no name", nil},
		{"ftp://example.org/a", `cannot open source ftp://example.org/a: unknown kind "ftp": it must begin with oci://, https:// or http://, or be a path`, nil},
		{"oci://registry.example.org", "cannot open source oci://registry.example.org: the address must look like oci://HOST/PATH", nil},
		{"oci://registry.example.org/EMR:1.0", `"EMR:1.0" is not the name of a repository (lower case, no tag)`, nil},
		{"oci://registry.example.org/emr?tls", `unknown option "tls" in the address`, nil},
		{"oci://u:p@registry.example.org/emr", "the address must look like oci://HOST/PATH", nil},
		{"https:///a", "it must look like https://HOST/PATH", nil},
		{"/no/stick/here", "cannot open source /no/stick/here: source does not answer: stat /no/stick/here: no such file or directory", bundle.ErrUnreachable},
		{empty, "the folder holds no signed manifest and no bundle", bundle.ErrNoMetadata},
		{full, "the folder holds several bundles, name one of them: B.TAR, a.tgz (a.tgz: it does not say what is in it)", fetch.ErrSeveral},
		{text, "it is damaged", bundle.ErrDamaged},
		{"/dev/null", "it is neither a file nor a folder", nil},
	} {
		_, err := fetch.Open(ctx, c.spec)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: error %v, want %q", c.spec, err, c.want)
		}
	}
	if _, err := fetch.Open(ctx, "https://u:secret@example.org/a?q"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestRepository(t *testing.T) {
	for spec, want := range map[string]bool{
		"oci://localhost/a": true, "oci://localhost:5000/a/b": true, "oci://127.0.0.1:5000/a": true, "oci://127.9.9.9/a": true,
		"oci://[::1]:5000/a": true, "oci://registry.example.org/a?insecure": true, "localhost:5000/a": true,
		"oci://registry.example.org/a": false, "oci://10.0.0.5/a": false, "oci://192.168.1.2:5000/a": false,
		"oci://registry.local/a": false, "oci://localhost.example.org/a": false,
	} {
		repo, plain, err := fetch.Repository(spec)
		if err != nil || plain != want {
			t.Errorf("%s: plain http %v, error %v, repository %s", spec, plain, err, repo)
		}
	}
}
