//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// TestBadBundles offers bundles that must not be used: each is refused with its own words, before anything happens to the
// running stack, and nothing bad of it stays.
func TestBadBundles(t *testing.T) {
	centre := newCentre(t, ledgerStack)
	source, sticks := folderSource(t), t.TempDir()
	s := newSite(t, centre, "badbundle")
	centre.must(t, "site", "add", "badbundle-other", "--ring", "pilot")
	centre.release(t, "1.0.0", "1.0.0")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	s.post("/entries", "typed on 1.0.0")

	// An own image for 1.1.0: bundles must bring bytes that the site does not have.
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.1.0-bundle", func(c *imageChange) {
		c.label, c.extra, c.noise = "bundle", 48<<20, 3_500_000
	})
	centre.release(t, "1.1.0", "1.1.0-bundle")
	centre.release(t, "0.9.0", "1.0.0")
	bundle := func(name string, more ...string) string {
		path := filepath.Join(sticks, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		centre.must(t, append([]string{"bundle", "create", "--release", "1.1.0", "-o", path}, more...)...)
		return path
	}
	centre.must(t, "pin", "1.1.0", "--site", s.name)
	centre.must(t, "pin", "1.1.0", "--site", "badbundle-other")
	centre.must(t, "publish", "--to", folderSource(t))
	good := bundle("good.tgz")
	older := bundle("older.tar")
	folder := bundle("folder")
	forOther := bundle("other-site.tgz", "--site", "badbundle-other")
	plain := read(t, older)

	for _, c := range []struct {
		name  string
		path  func(t *testing.T) string
		words []string
	}{
		{"a flipped bit in the tgz", func(t *testing.T) string { return flip(t, good, len(read(t, good))*3/4) }, []string{"damaged"}},
		{"a flipped bit in a layer", func(t *testing.T) string { return flip(t, older, len(plain)*3/4) }, []string{"damaged"}},
		{"a flipped bit in a blob of a folder", func(t *testing.T) string { return flipLargest(t, folder) }, []string{"damaged"}},
		{"a changed manifest", func(t *testing.T) string { return forge(t, folder) }, []string{"signed by the fleet's keys"}},
		{"a part is missing", func(t *testing.T) string { return partsWithout(t, bundle, ".002") }, []string{"part 002 of parts.tgz is missing", "copy it again"}},
		{"cut short", func(t *testing.T) string { return cut(t, good, len(read(t, good))/2) }, []string{"damaged"}},
		{"cut short, not compressed", func(t *testing.T) string { return cut(t, older, len(plain)/2) }, []string{"damaged"}},
		{"of another fleet", otherFleet, []string{"fleet"}},
		{"a path outside its folder", func(t *testing.T) string { return outside(t, plain) }, []string{"outside"}},
		{"for another site", func(*testing.T) string { return forOther }, []string{"badbundle-other"}},
		{"a layer larger than declared", func(t *testing.T) string { return bomb(t, s) }, []string{"larger"}},
	} {
		step(t, c.name)
		// Of a folder each blob is a file of its own: those that are whole and signed stay, so that the next source need not bring them.
		s.refuses(t, c.path(t), c.name == "a flipped bit in a blob of a folder", c.words...)
	}

	step(t, "what is new since a release that the site does not have")
	since := bundle("since.tgz", "--since", "0.9.0")
	running := s.containers()
	r := s.expect(api.CodeRefused, "update", "--from", since, "--now")
	mentions(t, r, since+" holds what is new since 0.9.0, and here 1.0.0 runs", "ask the central team for a full bundle, or for one since 1.0.0")
	unchanged(t, running, s.containers())

	step(t, "older than what the site has seen")
	centre.must(t, "ring", "add", "later")
	centre.must(t, "publish", "--to", source)
	s.updateFromBadStick(t)
	s.sane("1.1.0")
	before, containers := s.data(), s.containers()
	r = s.expect(api.CodeNotTrusted, "update", "--from", older, "--now")
	mentions(t, r, "older")
	unchanged(t, containers, s.containers())
	before.same(t, s.data(), "data after a stale bundle")
}

// updateFromBadStick takes what is new since 1.0.0 from a stick with FAT, in parts, of which one has lost bytes: parity makes up for it.
func (s *Site) updateFromBadStick(t *testing.T) {
	t.Helper()
	stick := newStick(t, 32)
	path := filepath.Join(stick, "emr.tgz")
	out := s.centre.must(t, "bundle", "create", "--release", "1.1.0", "--since", "1.0.0", "--split", "1.5M", "--parity", "1", "-o", path)
	for _, w := range []string{"plain docker load can't be used on this bundle: it holds what is new since 1.0.0", "and 1 of parity"} {
		if !strings.Contains(out, w) {
			t.Errorf("no word of %q in: %s", w, out)
		}
	}
	for _, end := range []string{".001", ".002", ".p01", ".sums"} {
		if _, err := os.Stat(path + end); err != nil {
			t.Fatal(err)
		}
	}
	part := read(t, path+".002")
	part[len(part)/2] ^= 4
	write(t, path+".002", part)
	mentions(t, s.must("verify", stick), "what is new since 1.0.0, which is here", "part 002 of emr.tgz is damaged", "the parity makes up for it")
	s.must("update", "--from", stick, "--now")
	mentions(t, s.must("history"), "part 002 of emr.tgz is damaged")
}

// partsWithout writes the bundle in parts, and loses one.
func partsWithout(t *testing.T, bundle func(string, ...string) string, end string) string {
	t.Helper()
	path := bundle("parts/parts.tgz", "--split", "1M")
	if err := os.Remove(path + end); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

// refuses offers a bundle and expects that it is refused and leaves no trace, or nothing but whole blobs.
func (s *Site) refuses(t *testing.T, path string, blobsStay bool, words ...string) {
	t.Helper()
	s.quiet(t)
	before, containers, kept, images := s.data(), s.containers(), s.kept(t), ourImages(t, s.centre)
	r := s.run("update", "--from", path, "--now")
	t.Logf("%s", strings.TrimSpace(r.Err))
	s.quiet(t)
	if r.Code != api.CodeNotTrusted {
		t.Errorf("exit code %d, want %d: %s\n%s", r.Code, api.CodeNotTrusted, r, s.tail())
	}
	for _, w := range words {
		if !strings.Contains(strings.ToLower(r.Err), w) {
			t.Errorf("the refusal does not say %q: %s", w, r)
		}
	}
	if !strings.Contains(r.Err, "hint") {
		t.Errorf("no hint: %s", r)
	}
	unchanged(t, containers, s.containers())
	before.same(t, s.data(), "data after a refused bundle")
	had := strings.Fields(kept)
	after := strings.Fields(s.kept(t))
	for _, f := range after {
		if !slices.Contains(had, f) && (!blobsStay || digest.FromBytes(read(t, f)).Encoded() != filepath.Base(f)) {
			t.Errorf("%s stays", f)
		}
	}
	for _, f := range had {
		if !slices.Contains(after, f) {
			t.Errorf("%s is gone", f)
		}
	}
	if after := ourImages(t, s.centre); !slices.Equal(after, images) {
		t.Errorf("images of the engine before: %s\nafter: %s", images, after)
	}
	s.sane("1.0.0")
}

// quiet waits until the agent does nothing, cleaning up included.
func (s *Site) quiet(t testing.TB) {
	t.Helper()
	s.stop()
	s.start()
}

// kept lists what is in the site's store and stacks.
func (s *Site) kept(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	for _, dir := range []string{"store", "stacks", "backups"} {
		root := filepath.Join(s.prefix, "var", "lib", "dhow", dir)
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				out.WriteString(path + "\n")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// flip makes a copy with one bit changed.
func flip(t testing.TB, path string, at int) string {
	t.Helper()
	data := bytes.Clone(read(t, path))
	data[at] ^= 4
	return write(t, filepath.Join(t.TempDir(), filepath.Base(path)), data)
}

func cut(t testing.TB, path string, n int) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), filepath.Base(path)), read(t, path)[:n])
}

// flipLargest copies a bundle that is a folder, with one bit changed in its largest blob that holds the release's own layer.
func flipLargest(t testing.TB, folder string) string {
	t.Helper()
	dir := copyOf(t, folder)
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("no blobs in the bundle (%v)", err)
	}
	for _, b := range blobs {
		if data := read(t, b); len(data) > 10000 {
			data[len(data)/2] ^= 4
			write(t, b, data)
		}
	}
	return dir
}

// forge copies a bundle that is a folder and changes a byte of the signed part of its timestamp.
func forge(t testing.TB, folder string) string {
	t.Helper()
	dir := copyOf(t, folder)
	path := filepath.Join(dir, "metadata", "timestamp.json")
	text := string(read(t, path))
	changed := strings.Replace(text, `"expires":"20`, `"expires":"29`, 1)
	if changed == text {
		changed = strings.Replace(text, `"expires": "20`, `"expires": "29`, 1)
	}
	if changed == text {
		t.Fatalf("no date of expiry in %s", text)
	}
	write(t, path, []byte(changed))
	return dir
}

func copyOf(t testing.TB, folder string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// otherFleet makes a good bundle of somebody else's fleet that has a site of the same name.
func otherFleet(t *testing.T) string {
	t.Helper()
	c := newCentre(t, ledgerStack)
	c.release(t, "1.1.0", "1.1.0")
	c.must(t, "site", "add", "badbundle", "--ring", "pilot")
	c.pin(t, "badbundle", "1.1.0", folderSource(t))
	path := filepath.Join(t.TempDir(), "other.tgz")
	c.must(t, "bundle", "create", "--release", "1.1.0", "-o", path)
	return path
}

// outside puts an entry into the archive that leads out of its folder.
func outside(t testing.TB, archive []byte) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	evil := []byte("evil")
	if err := w.WriteHeader(&tar.Header{Name: "blobs/../../../evil", Mode: 0o644, Size: int64(len(evil))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(evil); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	out.Write(archive)
	return write(t, filepath.Join(t.TempDir(), "outside.tar"), out.Bytes())
}

// bomb makes a bundle whose release says that its layers are much smaller than they unpack to. The release is signed: even a
// central team's mistake must not fill a site's disk.
func bomb(t *testing.T, s *Site) string {
	t.Helper()
	c := s.centre
	const version = "1.1.1"
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.1.0-bomb", func(i *imageChange) { i.label, i.extra = "bomb", 300<<20 })
	c.release(t, version, "1.1.0-bomb")
	doc := c.document(t, version)
	for i := range doc.Images {
		for j := range doc.Images[i].Platforms {
			layers := doc.Images[i].Platforms[j].Layers
			for k := range layers {
				if layers[k].DiffSize > 300<<20 {
					layers[k].DiffSize = 1 << 20
				}
			}
		}
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.documentPath(version), data)
	c.must(t, "pin", version, "--site", s.name, "--allow-downgrade")
	c.must(t, "publish", "--to", folderSource(t))
	path := filepath.Join(t.TempDir(), "bomb.tgz")
	c.must(t, "bundle", "create", "--release", version, "-o", path)
	c.must(t, "pin", "1.1.0", "--site", s.name, "--allow-downgrade")
	return path
}

// TestDockerLoad gives a bundle to plain "docker load": the images have the pinned identity.
func TestDockerLoad(t *testing.T) {
	centre := newCentre(t, ledgerStack)
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.1.0-load", func(c *imageChange) { c.label = "load" })
	centre.release(t, "1.1.0", "1.1.0-load")
	centre.must(t, "pin", "1.1.0", "--ring", "pilot", "--allow-downgrade")
	centre.must(t, "publish", "--to", folderSource(t))
	for _, name := range []string{"emr.tgz", "emr.tar"} {
		path := filepath.Join(t.TempDir(), name)
		centre.must(t, "bundle", "create", "--release", "1.1.0", "-o", path)
		dropImages(t, centre)
		mentions(t, command(t, "", nil, "docker", "load", "-i", path), "Loaded image")
		present := docker(t, "images", "--no-trunc", "--format", "{{.ID}}")
		for _, image := range centre.document(t, "1.1.0").Images {
			if id := string(image.Platforms[0].Config.Digest); !strings.Contains(present, id) {
				t.Errorf("%s: image %s (%s) is not in the engine after docker load", name, image.Ref, id)
			}
		}
	}
	dropImages(t, centre)
}

// TestDockerSave takes the bytes of a pinned release from a file that somebody made with "docker save | gzip".
func TestDockerSave(t *testing.T) {
	centre := newCentre(t, ledgerStack)
	source := folderSource(t)
	s := newSite(t, centre, "dockersave")
	centre.release(t, "1.0.0", "1.0.0")
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.1.0-save", func(c *imageChange) { c.label = "save" })
	centre.release(t, "1.1.0", "1.1.0-save")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")

	step(t, "the images by hand")
	doc := centre.document(t, "1.1.0")
	save := []string{"save"}
	for _, image := range doc.Images {
		docker(t, "pull", "-q", image.Ref)
		save = append(save, image.Ref)
	}
	tgz := filepath.Join(t.TempDir(), "openmrs-images-bundle.tgz")
	zip(t, command(t, "", nil, "docker", save...).Out, tgz)
	for _, image := range doc.Images {
		docker(t, "rmi", image.Ref)
	}
	dropImages(t, centre)

	step(t, "the site knows the release, and its line is too thin for the images")
	centre.pin(t, s.name, "1.1.0", source)
	withoutImages(t, source, doc)
	r := s.run("update", "--now")
	if r.Code == api.CodeOK {
		t.Fatalf("the update worked without the images: %s", r)
	}
	s.sane("1.0.0")
	s.must("update", "--from", tgz, "--now")
	s.sane("1.1.0")
}

// withoutImages removes the images of a release from a published folder; metadata and the release's files stay.
func withoutImages(t testing.TB, folder string, doc *manifest.Release) {
	t.Helper()
	for _, image := range doc.Images {
		for _, p := range image.Platforms {
			for _, l := range p.Layers {
				path := filepath.Join(folder, "blobs", "sha256", l.Digest.Encoded())
				if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
		}
	}
}

func zip(t testing.TB, data, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := gzip.NewWriter(f)
	if _, err := io.Copy(w, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
