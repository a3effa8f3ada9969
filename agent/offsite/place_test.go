package offsite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// conform is what every Place does. One that is not exact may keep the beginning of a file whose source failed, which its size shows.
func conform(t *testing.T, p Place, exact bool) {
	t.Helper()
	ctx := context.Background()
	put := func(name, data string) {
		t.Helper()
		if err := p.Put(ctx, name, int64(len(data)), strings.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	content := func(name, want string) {
		t.Helper()
		data, err := read(ctx, p, name, 1<<20)
		if err != nil || string(data) != want {
			t.Errorf("%s holds %q, %v; want %q", name, data, err, want)
		}
	}
	list := func(site string, want ...Stored) {
		t.Helper()
		got, err := p.List(ctx, site)
		slices.SortFunc(got, func(a, b Stored) int { return strings.Compare(a.Name, b.Name) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("list of %s: %v, %v; want %v", site, got, err, want)
		}
	}
	list("s1")
	if _, err := p.Get(ctx, "s1/objects/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := p.Delete(ctx, "s1/objects/none"); err != nil {
		t.Error(err)
	}
	put("s1/objects/a", "first")
	put("s1/backups/b", "")
	put("s10/objects/a", "another site")
	list("s1", Stored{"s1/backups/b", 0}, Stored{"s1/objects/a", 5})
	content("s1/objects/a", "first")
	put("s1/objects/a", "a longer second")
	content("s1/objects/a", "a longer second")
	for _, r := range []io.Reader{
		io.MultiReader(strings.NewReader("half"), failing{ErrSource}),
		io.MultiReader(strings.NewReader(strings.Repeat("x", 300_000)), failing{ErrSource}),
	} {
		if err := p.Put(ctx, "s1/objects/a", 600_000, r); !errors.Is(err, ErrSource) {
			t.Errorf("error %v", err)
		}
		if err := p.Put(ctx, "s1/objects/c", 600_000, r); err == nil {
			t.Error("what its source did not give is taken")
		}
	}
	if exact {
		content("s1/objects/a", "a longer second")
		list("s1", Stored{"s1/backups/b", 0}, Stored{"s1/objects/a", 15})
	}
	all, err := p.List(ctx, "s1")
	if err != nil {
		t.Error(err)
	}
	for _, f := range all {
		if f.Size >= 600_000 {
			t.Errorf("%s seems to be whole", f.Name)
		}
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := p.Put(done, "s1/objects/d", 3, strings.NewReader("abc")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{"../x", "s1/../../x", "/etc/x", "s1//x", "s1/objects/a\x00b", "s1/objects/.hidden"} {
		if err := p.Put(ctx, bad, 1, strings.NewReader("x")); err == nil {
			t.Errorf("the name %q is taken", bad)
		}
	}
	for _, name := range []string{"s1/objects/a", "s1/objects/c", "s1/objects/d"} {
		if err := p.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	}
	list("s1", Stored{"s1/backups/b", 0})
	content("s10/objects/a", "another site")
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	conform(t, stickAt(t, filepath.Join(dir, "dhow")), true)
	if got := tree(t, dir); !slices.Equal(got, []string{"dhow/s1/backups/b", "dhow/s10/objects/a"}) {
		t.Errorf("left: %v", got)
	}
}

func TestMark(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "dhow")
	for what, want := range map[string]string{
		dir:                         "cannot use " + dir + ": this is not a place for copies: there is no such folder",
		t.TempDir():                 "", // an empty mount point, see below
		"relative/folder":           "cannot use relative/folder: not the name of a place: it must be an absolute path, or begin with s3://",
		"s3://a:b@host/bucket":      "cannot use s3://…@host/bucket: not the name of a place: keys do not belong into it: put DHOW_S3_ACCESS_KEY and DHOW_S3_SECRET_KEY into site.env",
		"s3://host/bucket":          "cannot use s3://host/bucket: the place refuses: the settings DHOW_S3_ACCESS_KEY and DHOW_S3_SECRET_KEY are needed",
		"s3://host/bu_cket":         `cannot use s3://host/bu_cket: not the name of a place: "bu_cket" is not a bucket`,
		"s3://host":                 `cannot use s3://host: not the name of a place: "" is not a bucket`,
		"s3://host/bucket/../x":     `cannot use s3://host/bucket/../x: not the name of a place: "../x" is not a folder of a bucket`,
		"s3://host/bucket?tls=none": `cannot use s3://host/bucket?tls=none: not the name of a place: unknown option "tls"; insecure and region=NAME are known`,
	} {
		p, err := OpenPlace(ctx, what, noSecret)
		if err == nil {
			_ = p.Close()
			t.Errorf("%s: opened", what)
			continue
		}
		if want == "" {
			want = "cannot use " + what + ": this is not a place for copies: it has no dhow-place.json"
		}
		if err.Error() != want || Hint(err) == "" {
			t.Errorf("%s:\ngot  %v (%s)\nwant %s", what, err, Hint(err), want)
		}
	}
	if err := Init(ctx, filepath.Join(dir, "deeper"), noSecret); !errors.Is(err, ErrNoPlace) {
		t.Errorf("error %v", err)
	}
	for range 2 {
		if err := Init(ctx, dir, noSecret); err != nil {
			t.Fatal(err)
		}
	}
	mark := filepath.Join(dir, markName)
	for data, want := range map[string]error{`{"format":2}`: ErrNewer, `{`: ErrNoPlace, `{}`: ErrNoPlace, strings.Repeat("x", 5000): ErrDamaged} {
		if err := os.WriteFile(mark, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenPlace(ctx, dir, noSecret)
		ierr := Init(ctx, dir, noSecret)
		if !errors.Is(err, want) || want == ErrNoPlace && ierr != nil || want != ErrNoPlace && !errors.Is(ierr, want) {
			t.Errorf("%.20s: %v; %v", data, err, ierr)
		}
	}
}

func TestParseBucket(t *testing.T) {
	for spec, want := range map[string]bucket{
		"s3://s3.example.org/backups":                           {host: "s3.example.org", name: "backups"},
		"s3://[::1]:9000/backups/drc/emr/?region=eu-1&insecure": {host: "[::1]:9000", name: "backups", prefix: "drc/emr", region: "eu-1", insecure: true},
		"s3://10.0.0.7:9000/my.backups?insecure":                {host: "10.0.0.7:9000", name: "my.backups", insecure: true},
		"s3://s3.eu-west-1.amazonaws.com/b00?region=eu-west-1":  {host: "s3.eu-west-1.amazonaws.com", name: "b00", region: "eu-west-1"},
	} {
		got, err := parseBucket(spec)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", spec, got, err)
		}
		if err := CheckSpec(spec); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// What lies at a place may have been put there by anybody: links, pipes, leftovers.
func TestHostileFolder(t *testing.T) {
	ctx := context.Background()
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	p := stickAt(t, dir)
	a := newArchive()
	a.add("b1", map[string]int{"p1": 1000})
	ids, to := keys(t)
	mustSend(t, p, "b1", a, to)
	if err := os.WriteFile(secret, []byte("of this computer"), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(dir, site, objectsDir)
	left := filepath.Join(objects, ".dhow-tmp-0123456789abcdef")
	for _, err := range []error{
		os.WriteFile(left, []byte("half"), 0o600), os.Symlink(secret, filepath.Join(objects, "link.age")), os.Mkdir(filepath.Join(objects, "dir.age"), 0o700),
		os.Symlink(filepath.Dir(secret), filepath.Join(dir, "kin-666")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mustFetch(t, p, "b1", a, ids)
	if _, err := read(ctx, p, site+"/objects/link.age", 100); err == nil {
		t.Error("a link is followed")
	}
	if _, err := read(ctx, p, "kin-666/secret", 100); err == nil {
		t.Error("a link to a folder is followed")
	}
	if _, err := Send(ctx, p, "kin-666", "b1", a, to, nil); err == nil {
		t.Error("a link to a folder is written through")
	}
	if got := tree(t, filepath.Dir(secret)); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("outside of the place: %v", got)
	}
	a.add("b2", map[string]int{"p2": 1000})
	mustSend(t, p, "b2", a, to)
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is there: %v", err)
	}
}

// A place whose disk gives back something else than was written.
func TestFullAndReadOnly(t *testing.T) {
	for cause, want := range map[error]error{
		&fs.PathError{Op: "write", Path: "x", Err: fs.ErrPermission}: ErrDenied, fs.ErrNotExist: fs.ErrNotExist, io.ErrUnexpectedEOF: io.ErrUnexpectedEOF,
	} {
		if got := stick(cause); !errors.Is(got, want) || !errors.Is(got, cause) {
			t.Errorf("%v: %v", cause, got)
		}
	}
	a := newArchive()
	a.add("b1", map[string]int{"p1": 1000})
	_, to := keys(t)
	p := &roomless{Place: stickAt(t, t.TempDir())}
	_, err := Send(context.Background(), p, site, "b1", a, to, nil)
	if !errors.Is(err, ErrFull) || err.Error() != "cannot copy backup b1: the place is full: 1 MB are needed and 0 MB are free" {
		t.Errorf("error %v", err)
	}
}

type roomless struct{ Place }

func (roomless) room() (int64, bool) { return 1999, true }
