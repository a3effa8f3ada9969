package pack

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// commitWait is how long a registry may think about a blob that it has been sent: some copy it to another storage then.
const commitWait = 10 * time.Minute

// maxManifest bounds the image manifests that are read into memory.
const maxManifest = 8 << 20

// PublishOCI puts the contents into a repository, "oci://HOST/PATH": blobs, image manifests, for every release its tags
// (see package bundle), and last the lists of blobs and the tag "manifest", which makes all of it visible to sites. What the repository has is not
// sent again. progress, which may be nil, is called with the bytes of the blobs that are there and of all. It is for callers that know that
// nobody else publishes there; the others Begin a Claim.
func PublishOCI(ctx context.Context, ref string, c Contents, progress func(done, total int64)) error {
	err := publishOCI(ctx, ref, c, progress, func(next heads) error {
		t, err := newTags(ctx, ref)
		if err != nil {
			return err
		}
		_, before, err := t.get(ctx, bundle.ManifestTag)
		if err != nil {
			return err
		}
		return t.swap(ctx, &before, next)
	})
	if err != nil {
		return fmt.Errorf("cannot publish to %s: %w", ref, err)
	}
	return nil
}

// publishOCI hands the artifact that sites ask for to last when all that it names is there.
func publishOCI(ctx context.Context, ref string, c Contents, progress func(done, total int64), last func(heads) error) error {
	repo, plain, err := fetch.Repository(ref)
	if err != nil {
		return err
	}
	p, err := newPlan(c, false)
	if err != nil {
		return err
	}
	pusher, err := remote.NewPusher(remote.WithContext(ctx), remote.WithAuthFromKeychain(Keychain{}),
		remote.WithTransport(fetch.Transport(plain, commitWait)))
	if err != nil {
		return err
	}
	up := &upload{repo: repo, pusher: pusher, store: c.Store}
	if err := up.blobs(ctx, p, progress); err != nil {
		return err
	}
	for _, i := range p.images {
		data, err := c.Store.Read(i.Manifest, maxManifest)
		if err != nil {
			return err
		}
		if err := up.manifest(ctx, i.Manifest.Digest.String(), raw{data, i.describe().MediaType}); err != nil {
			return err
		}
	}
	var lists []list
	for _, r := range c.Releases {
		l, err := up.release(ctx, c, r)
		if err != nil {
			return fmt.Errorf("release %s: %w", r.Version, err)
		}
		lists = append(lists, l)
	}
	for _, a := range c.Agents {
		if err := up.agent(ctx, a); err != nil {
			return fmt.Errorf("agent %s: %w", a.Version, err)
		}
	}
	h, err := up.documents(ctx, p.docs)
	if err != nil {
		return err
	}
	h.lists = append(h.lists, lists...)
	return last(h)
}

// upload is one publication.
type upload struct {
	repo   name.Repository
	pusher *remote.Pusher
	store  *bundle.Store
}

func (u *upload) blobs(ctx context.Context, p *plan, progress func(done, total int64)) error {
	manifests := map[digest.Digest]bool{}
	for _, i := range p.images {
		manifests[i.Manifest.Digest] = true
	}
	var done, total int64
	for _, b := range p.blobs {
		if !manifests[b.Digest] {
			total += b.Size
		}
	}
	for _, b := range p.blobs {
		if manifests[b.Digest] { // a registry keeps manifests beside blobs
			continue
		}
		if err := u.pusher.Upload(ctx, u.repo, stored{u.store, b}); err != nil {
			return fmt.Errorf("blob %s: %w", b.Digest, err)
		}
		done += b.Size
		if progress != nil {
			progress(done, total)
		}
	}
	return nil
}

// manifest puts a manifest under its digest or a tag, unless it is there.
func (u *upload) manifest(ctx context.Context, reference string, m raw) error {
	var ref name.Reference = u.repo.Tag(reference)
	if bundle.IsDigest(digest.Digest(reference)) {
		ref = u.repo.Digest(reference)
	}
	if err := u.pusher.Push(ctx, ref, m); err != nil {
		return fmt.Errorf("manifest %s: %w", reference, err)
	}
	return nil
}

// release puts the files artifact and the index of a release, and the ways to it, and returns the list of its blobs.
func (u *upload) release(ctx context.Context, c Contents, r *manifest.Release) (l list, err error) {
	images, err := choose(r, c.Platform)
	if err != nil {
		return l, err
	}
	if err := u.index(ctx, r, images); err != nil {
		return l, err
	}
	all := releaseBlobs(r, images)
	for _, w := range c.Ways {
		if w.Version == r.Version {
			if err := u.ways(ctx, w, images); err != nil {
				return l, fmt.Errorf("ways to it: %w", err)
			}
			all = append(all, waysBlobs(w, images)...)
		}
	}
	return u.list(ctx, r.Version, all)
}

// list makes the list of all blobs of a release.
func (u *upload) list(ctx context.Context, version string, all []manifest.Blob) (list, error) {
	var layers []descriptor
	seen := map[digest.Digest]bool{}
	for _, b := range all {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			layers = append(layers, descriptor{MediaType: cmp.Or(b.MediaType, bundle.FileMediaType), Digest: b.Digest, Size: b.Size})
		}
	}
	m, err := u.artifact(ctx, bundle.BlobsArtifactType, layers, nil)
	return list{bundle.BlobsTag(version), m}, err
}

// releaseBlobs lists what a registry keeps as blobs of a release: all but the manifests of its images.
func releaseBlobs(r *manifest.Release, images []image) (all []manifest.Blob) {
	for _, f := range r.Files {
		all = append(all, f.Blob)
	}
	for _, i := range images {
		all = append(all, i.Config)
		for _, l := range i.Layers {
			all = append(all, l.Blob)
		}
	}
	return all
}

// index puts the files artifact and the index of a release.
func (u *upload) index(ctx context.Context, r *manifest.Release, images []image) error {
	index := ociIndex{
		SchemaVersion: 2, MediaType: bundle.OCIIndexMediaType, Manifests: []descriptor{},
		Annotations: map[string]string{"org.opencontainers.image.version": r.Version},
	}
	seen := map[digest.Digest]bool{}
	for _, i := range images {
		if !seen[i.Manifest.Digest] {
			seen[i.Manifest.Digest] = true
			index.Manifests = append(index.Manifests, i.describe())
		}
	}
	var layers []descriptor
	for _, f := range r.Files {
		layers = append(layers, descriptor{
			MediaType: bundle.FileMediaType, Digest: f.Digest, Size: f.Size,
			Annotations: map[string]string{bundle.TitleAnnotation: f.Path},
		})
	}
	files, err := u.artifact(ctx, bundle.FilesArtifactType, layers, nil)
	if err != nil {
		return err
	}
	d := descriptor{
		MediaType: bundle.OCIManifestMediaType, ArtifactType: bundle.FilesArtifactType,
		Digest: digest.FromBytes(files.data), Size: int64(len(files.data)),
	}
	if err := u.manifest(ctx, d.Digest.String(), files); err != nil {
		return err
	}
	index.Manifests = append(index.Manifests, d)
	data, err := encode(index)
	if err != nil {
		return err
	}
	return u.manifest(ctx, bundle.ReleaseTag(r.Version), raw{data, bundle.OCIIndexMediaType})
}

// documents puts the documents, and returns the artifacts that name them.
func (u *upload) documents(ctx context.Context, docs []document) (h heads, err error) {
	var named, found []descriptor
	for _, doc := range docs {
		if doc.path == bundle.OCILayoutPath || doc.path == bundle.IndexPath { // of folders and files
			continue
		}
		b := manifest.Blob{Digest: digest.FromBytes(doc.data), Size: int64(len(doc.data))}
		if err := u.pusher.Upload(ctx, u.repo, inline{doc.data}); err != nil {
			return h, fmt.Errorf("%s: %w", doc.path, err)
		}
		layer := descriptor{
			MediaType: bundle.DocumentMediaType, Digest: b.Digest, Size: b.Size,
			Annotations: map[string]string{bundle.TitleAnnotation: doc.path},
		}
		if d, ok := bundle.DocumentDigest(doc.path); ok && d == b.Digest {
			found = append(found, layer)
		} else {
			named = append(named, layer)
		}
	}
	documents, err := u.artifact(ctx, bundle.ManifestArtifactType, found, nil)
	if err != nil {
		return h, err
	}
	h.lists = []list{{bundle.DocumentsTag, documents}}
	h.manifest, err = u.artifact(ctx, bundle.ManifestArtifactType, named, nil)
	return h, err
}

// artifact makes an OCI manifest of layers, and puts its empty config.
func (u *upload) artifact(ctx context.Context, kind string, layers []descriptor, annotations map[string]string) (raw, error) {
	if err := u.pusher.Upload(ctx, u.repo, inline{emptyConfig}); err != nil {
		return raw{}, err
	}
	return artifact(kind, layers, annotations)
}

// emptyConfig is the config of artifacts.
var emptyConfig = []byte("{}")

func artifact(kind string, layers []descriptor, annotations map[string]string) (raw, error) {
	config := descriptor{MediaType: bundle.EmptyMediaType, Digest: digest.FromBytes(emptyConfig), Size: int64(len(emptyConfig))}
	if len(layers) == 0 {
		layers = []descriptor{config} // as the OCI specification asks of an artifact without content
	}
	data, err := encode(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}{2, bundle.OCIManifestMediaType, kind, config, layers, annotations})
	return raw{data, bundle.OCIManifestMediaType}, err
}

// raw is a manifest as bytes.
type raw struct {
	data      []byte
	mediaType string
}

func (r raw) RawManifest() ([]byte, error) { return r.data, nil }

func (r raw) MediaType() (types.MediaType, error) { return types.MediaType(r.mediaType), nil }

// stored is a blob of the store as the library wants it. It is sent as it is.
type stored struct {
	store *bundle.Store
	blob  manifest.Blob
}

func (s stored) Digest() (v1.Hash, error)             { return v1.NewHash(s.blob.Digest.String()) }
func (s stored) DiffID() (v1.Hash, error)             { return s.Digest() }
func (s stored) Compressed() (io.ReadCloser, error)   { return s.store.Open(s.blob) }
func (s stored) Uncompressed() (io.ReadCloser, error) { return s.Compressed() }
func (s stored) Size() (int64, error)                 { return s.blob.Size, nil }
func (s stored) MediaType() (types.MediaType, error)  { return types.OCILayer, nil }
