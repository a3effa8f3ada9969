package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// fleet is a small signed fleet: one release, one image with one layer, the site kin-001 in the ring pilot. The manifest of partial lists
// an older release as well, of which the bytes are missing.
type fleet struct {
	root, otherRoot []byte
	fingerprint     string
	files           map[string][]byte // of the published folder
	release         digest.Digest     // of the release's compose file
	partial         map[string][]byte
	rotated         map[string][]byte // the same fleet with a second root
	second          string            // its fingerprint
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pass := []byte("correct horse")
	other, err := sign.Init(filepath.Join(t.TempDir(), "other"), "other", pass, sign.WithWork(2))
	must(err)
	dir := filepath.Join(t.TempDir(), "fleet")
	created, err := sign.Init(dir, "emr", pass, sign.WithWork(2))
	must(err)
	repo, err := sign.Open(dir)
	must(err)

	f := &fleet{root: created.Root, otherRoot: other.Root, fingerprint: created.Fingerprint}
	blobs := map[digest.Digest][]byte{}
	blob := func(mediaType string, data []byte) manifest.Blob {
		d := digest.FromBytes(data)
		blobs[d] = data
		return manifest.Blob{MediaType: mediaType, Digest: d, Size: int64(len(data))}
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	must(w.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Size: 4, Mode: 0o644}))
	_, err = w.Write([]byte("dhow"))
	must(err)
	must(w.Close())
	l := blob("application/vnd.oci.image.layer.v1.tar", layer.Bytes())
	compose := blob(bundle.FileMediaType, []byte("services:\n  web:\n    image: registry.example.org/web:1\n"))
	f.release = compose.Digest
	release := &manifest.Release{
		Format: 1, Fleet: "emr", Version: "1.0.0", Project: "emr", Created: time.Now().UTC().Truncate(time.Second), Compose: []string{"compose.yaml"},
		Files: []manifest.File{{Path: "compose.yaml", Mode: 0o644, Blob: compose}}, Rollback: manifest.Rollback{Data: "restore"},
		Images: []manifest.Image{{Ref: "registry.example.org/web:1", Services: []string{"web"}}},
	}
	for _, arch := range []string{"amd64", "arm64"} {
		config := blob("application/vnd.oci.image.config.v1+json",
			fmt.Appendf(nil, `{"architecture":%q,"os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, arch, l.Digest))
		image := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			bundle.OCIManifestMediaType, config.MediaType, config.Digest, config.Size, l.MediaType, l.Digest, l.Size)
		release.Images[0].Platforms = append(release.Images[0].Platforms, manifest.PlatformImage{
			Platform: "linux/" + arch, Manifest: blob(bundle.OCIManifestMediaType, image), Config: config,
			Layers: []manifest.Layer{{Blob: l, DiffID: l.Digest, DiffSize: l.Size}},
		})
	}
	must(repo.AddRelease(release))
	lost := *release
	lost.Version = "0.9.0"
	lost.Files = []manifest.File{release.Files[0], {Path: "lost.txt", Mode: 0o644, Blob: manifest.Blob{Digest: digest.FromString("lost"), Size: 4}}}
	must(repo.Fleet().SetRing("pilot", "1.0.0"))
	must(repo.Fleet().SetSite("kin-001", manifest.Site{Ring: "pilot"}))
	must(repo.SaveFleet())
	docs, err := repo.Sign(pass, time.Now())
	must(err)
	f.files = docs.Files
	for d, data := range blobs {
		f.files[bundle.BlobPath(d)] = data
	}
	must(repo.AddRelease(&lost))
	docs, err = repo.Sign(pass, time.Now())
	must(err)
	f.partial = docs.Files
	for d, data := range blobs {
		f.partial[bundle.BlobPath(d)] = data
	}
	_, err = repo.PrepareRoot(sign.RootChange{}, pass, time.Now())
	must(err)
	docs, err = repo.Sign(pass, time.Now())
	must(err)
	f.rotated = docs.Files
	f.second, err = trust.Fingerprint(docs.Files[bundle.RootPath(2)])
	must(err)
	return f
}

// write puts the fleet below dir.
func (f *fleet) write(dir string) error {
	files := map[string][]byte{"root.json": f.root, "other-root.json": f.otherRoot}
	for path, data := range f.partial {
		files["partial/"+path] = data
	}
	for path, data := range f.rotated {
		files["rotated/"+path] = data
	}
	for path, data := range f.files {
		files["fleet/"+path], files["fleet2/"+path] = data, data
		if path == bundle.BlobPath(f.release) {
			files["compose-blob-name"] = []byte(path)
		}
	}
	for path, data := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
