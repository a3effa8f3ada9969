package pack

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"dhow/bundle"
	"dhow/bundle/split"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Contents is what is written.
type Contents struct {
	// Documents are the signed files by their path in the layout: metadata/… and targets/….
	Documents map[string][]byte
	// Releases are the releases whose blobs come along.
	Releases []*manifest.Release
	// Ways lead to layers of Releases; all blobs that they name come along. They need not be all that was signed.
	Ways []*manifest.Ways
	// Agents come along with all blobs that they name.
	Agents []*manifest.Agent
	// Store has all blobs, image manifests among them.
	Store *bundle.Store
	// There are blobs of Ways and Agents that the place has and Store need not have.
	There map[digest.Digest]bool
	// Platform leaves out the images of other platforms; empty means all.
	Platform string
	// Hint is what a bundle says about itself; Write fills in Format, Releases and Since.
	Hint bundle.Hint
	// Extra are further blobs of the store to carry.
	Extra []manifest.Blob
	// AsHere takes layers unpacked where the store has them only so, and images without their manifests, as sites have them. Then the
	// bundle's index leaves out the images that an OCI tool could not read.
	AsHere bool
	// Since leaves out what a release has; nil leaves out nothing.
	Since *Since
	// Progress is called with the bytes of blobs that are written and of all, if it is there.
	Progress func(done, total int64)
	// Split has a bundle file written in parts; nil writes it whole.
	Split *split.Options
}

// Summary says what was written.
type Summary struct {
	Documents int
	Blobs     int
	Bytes     int64    // of all blobs
	Size      int64    // of the bundle file, or of all its parts; 0 for a folder
	Parts     int      // of a bundle that is written in parts, without parity
	Written   int64    // bytes of the blobs that were not there before
	Warnings  []string // sentences for people
}

// image is an image of the contents, once for each manifest.
type image struct {
	manifest.PlatformImage
	refs []string
	bare bool // without its manifest
}

// plan is what is written, in its order.
type plan struct {
	docs     []document
	blobs    []manifest.Blob
	images   []image
	warnings []string
	tell     func(done, total int64) // nil: nobody wants to know
	done     int64
}

type document struct {
	path string
	data []byte
}

// newPlan checks the contents and puts them in order: documents as a site reads them, then blobs, small ones first.
func newPlan(c Contents, forBundle bool) (*plan, error) {
	p := &plan{tell: c.Progress}
	blobs := map[digest.Digest]manifest.Blob{}
	add := func(b manifest.Blob) { blobs[b.Digest] = b }
	var err error
	if c.Since != nil {
		err = p.addSince(c, add)
	} else {
		err = p.addReleases(c, add)
	}
	if err != nil {
		return nil, err
	}
	for _, w := range c.Ways {
		images, err := c.imagesOf(w)
		if err != nil {
			return nil, err
		}
		for _, b := range waysBlobs(w, images) {
			add(b)
		}
	}
	for _, a := range c.Agents {
		for _, b := range c.agentBlobs(a) {
			add(b)
		}
	}
	for _, b := range c.Extra {
		add(b)
	}
	for _, b := range blobs {
		if c.There[b.Digest] {
			continue
		}
		if !c.Store.Has(b) {
			return nil, fmt.Errorf("blob %s (%d bytes) is not in the store %s", b.Digest, b.Size, c.Store.Dir())
		}
		p.blobs = append(p.blobs, b)
	}
	sort.Slice(p.blobs, func(i, j int) bool {
		a, b := p.blobs[i], p.blobs[j]
		return a.Size < b.Size || a.Size == b.Size && a.Digest < b.Digest
	})
	return p, p.addDocuments(c, forBundle)
}

// addReleases plans whole releases.
func (p *plan) addReleases(c Contents, add func(manifest.Blob)) error {
	byManifest := map[digest.Digest]int{}
	for _, r := range c.Releases {
		for _, f := range r.Files {
			add(f.Blob)
		}
		images, err := choose(r, c.Platform)
		if err != nil {
			return err
		}
		for _, i := range images {
			if c.AsHere {
				i.asHere(c.Store)
			}
			if !i.bare {
				add(i.Manifest)
			}
			add(i.Config)
			for _, l := range i.Layers {
				add(l.Blob)
			}
			at, ok := byManifest[i.Manifest.Digest]
			if !ok {
				at = len(p.images)
				byManifest[i.Manifest.Digest] = at
				p.images = append(p.images, image{PlatformImage: i.PlatformImage, bare: i.bare})
			}
			p.images[at].refs = appendNew(p.images[at].refs, i.refs[0])
		}
	}
	return nil
}

// asHere puts the form that the store has in place of each layer that it has not as it is carried.
func (i *image) asHere(store *bundle.Store) {
	i.bare = !store.Has(i.Manifest)
	i.Layers = slices.Clone(i.Layers)
	for n, l := range i.Layers {
		if plain := (manifest.Blob{Digest: l.DiffID, Size: l.DiffSize}); !store.Has(l.Blob) && store.Has(plain) {
			i.Layers[n].Blob, i.bare = plain, true
		}
	}
}

// imagesOf returns the images that ways lead to.
func (c Contents) imagesOf(w *manifest.Ways) ([]image, error) {
	for _, r := range c.Releases {
		if r.Version == w.Version {
			return choose(r, c.Platform)
		}
	}
	return nil, fmt.Errorf("internal error: ways to release %s without it", w.Version)
}

// choose returns the images of a release for a platform, or for all, each with its reference.
func choose(r *manifest.Release, platform string) ([]image, error) {
	var images []image
	if platform == "" {
		for _, i := range r.Images {
			for _, p := range i.Platforms {
				images = append(images, image{PlatformImage: p, refs: []string{i.Ref}})
			}
		}
		return images, nil
	}
	chosen, err := r.PlatformImages(platform)
	if err != nil {
		return nil, err
	}
	for n, p := range chosen {
		images = append(images, image{PlatformImage: p, refs: []string{r.Images[n].Ref}})
	}
	return images, nil
}

func (p *plan) addDocuments(c Contents, forBundle bool) error {
	add := func(path string, data []byte) { p.docs = append(p.docs, document{path, data}) }
	index, err := p.index()
	if err != nil {
		return err
	}
	add(bundle.OCILayoutPath, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if forBundle {
		hint := c.Hint
		hint.Releases = nil
		if c.Since != nil {
			hint.Since = c.Since.Release.Version
		}
		for _, r := range c.Releases {
			hint.Releases = append(hint.Releases, r.Version)
		}
		data, err := hint.Encode()
		if err != nil {
			return err
		}
		add(bundle.HintPath, data)
	}
	paths := make([]string, 0, len(c.Documents))
	for path := range c.Documents {
		if !bundle.IsDocument(path) || !strings.Contains(path, "/") {
			return fmt.Errorf("internal error: %q is not a document", path)
		}
		paths = append(paths, path)
	}
	sort.Strings(paths) // metadata/ before targets/
	for _, path := range paths {
		add(path, c.Documents[path])
	}
	add(bundle.IndexPath, index)
	if !forBundle {
		return nil
	}
	list, err := p.dockerManifest(c.Store)
	if err != nil {
		return err
	}
	if list != nil {
		add(bundle.DockerManifestPath, list)
	}
	return nil
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// descriptor is an OCI descriptor.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// ociIndex is an OCI image index.
type ociIndex struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// describe returns the descriptor of an image's manifest.
func (i image) describe() descriptor {
	d := descriptor{MediaType: i.Manifest.MediaType, Digest: i.Manifest.Digest, Size: i.Manifest.Size}
	if d.MediaType == "" {
		d.MediaType = bundle.OCIManifestMediaType
	}
	parts := strings.Split(i.Platform, "/")
	if len(parts) >= 2 {
		d.Platform = &platform{OS: parts[0], Architecture: parts[1]}
		if len(parts) == 3 {
			d.Platform.Variant = parts[2]
		}
	}
	return d
}

func (p *plan) index() ([]byte, error) {
	index := ociIndex{SchemaVersion: 2, MediaType: bundle.OCIIndexMediaType, Manifests: []descriptor{}}
	for _, i := range p.images {
		if i.bare {
			continue
		}
		d := i.describe()
		d.Annotations = map[string]string{"io.containerd.image.name": i.refs[0]}
		index.Manifests = append(index.Manifests, d)
	}
	return encode(index)
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return data, nil
}

// names of the folders that documents stand in, deepest first.
func folders(docs []document) []string {
	seen := map[string]bool{}
	var all []string
	for _, d := range docs {
		for dir := path.Dir(d.path); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			all = append(all, dir)
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(all)))
	return all
}
