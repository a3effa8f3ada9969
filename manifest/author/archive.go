package author

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

// Bounds of an archive of docker save.
const (
	maxEntries = 100_000
	maxSmall   = 64 << 20 // bytes of all JSON files together
)

// SaveFile takes images from a file of docker save, plain or compressed. It has one platform.
type SaveFile struct{ Path string }

// Name is the file's name.
func (f SaveFile) Name() string { return f.Path }

// Fetch reads the file once from front to back.
func (f SaveFile) Fetch(
	ctx context.Context, store *bundle.Store, refs, platforms []string,
) (map[string][]manifest.PlatformImage, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, problem("", "make it with docker save IMAGE… | gzip > FILE", "cannot read images: %w", err)
	}
	defer file.Close()
	a, err := readArchive(ctx, store, file)
	if err != nil {
		return nil, fmt.Errorf("cannot read images from %s: %w", f.Path, err)
	}
	images := map[string][]manifest.PlatformImage{}
	for _, ref := range refs {
		entry, err := a.find(ref)
		if err == nil {
			images[ref], err = a.image(ctx, store, entry, platforms)
		}
		if err != nil {
			return nil, &ImageError{Ref: ref, Err: fmt.Errorf("%s: %w", filepath.Base(f.Path), err)}
		}
	}
	return images, nil
}

// archive is a docker archive whose layers are in the store. Its names are only keys: nothing is unpacked under them.
type archive struct {
	images []archiveImage
	small  map[string][]byte
	layers map[string]manifest.Layer
	links  map[string]string
}

type archiveImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// readArchive stores every layer of a docker archive and keeps its small files in memory: which file is what stands at its end.
func readArchive(ctx context.Context, store *bundle.Store, r io.Reader) (*archive, error) {
	unpacked, _, err := bundle.Unpack(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	defer unpacked.Close()
	a := &archive{small: map[string][]byte{}, layers: map[string]manifest.Layer{}, links: map[string]string{}}
	var inMemory int64
	files := tar.NewReader(unpacked)
	for n := 0; ; n++ {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w or cut short: %v", ErrDamaged, err)
		}
		if n > maxEntries {
			return nil, fmt.Errorf("%w: more than %d files", ErrDamaged, maxEntries)
		}
		key := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeSymlink: // how docker save writes a layer for the second time
			a.links[key] = path.Join(path.Dir(key), h.Linkname)
		case tar.TypeLink:
			a.links[key] = path.Clean(h.Linkname)
		case tar.TypeReg:
			content := bufio.NewReader(files)
			first, err := content.Peek(1)
			if err != nil && err != io.EOF {
				return nil, fmt.Errorf("%w or cut short: %v", ErrDamaged, err)
			}
			if h.Size <= maxConfig && (len(first) == 0 || first[0] == '{' || first[0] == '[') && inMemory+h.Size <= maxSmall {
				if a.small[key], err = io.ReadAll(content); err != nil {
					return nil, fmt.Errorf("%w or cut short: %v", ErrDamaged, err)
				}
				inMemory += h.Size
				continue
			}
			if h.Size < 512 { // no tar: a VERSION file
				continue
			}
			if a.layers[key], err = importLayer(ctx, store, content); err != nil {
				return nil, err
			}
		}
	}
	list, ok := a.small["manifest.json"]
	if !ok {
		return nil, errors.New("it is not a file of docker save: it has no manifest.json")
	}
	if err := manifest.CheckJSON(list, foreignJSON); err != nil {
		return nil, fmt.Errorf("%w: its manifest.json is not readable: %w", ErrDamaged, err)
	}
	if err := json.Unmarshal(list, &a.images); err != nil {
		return nil, fmt.Errorf("%w: its manifest.json is not readable: %v", ErrDamaged, err)
	}
	return a, nil
}

// follow returns the name of the file that a name leads to.
func (a *archive) follow(name string) string {
	name = path.Clean(name)
	for range 8 {
		next, ok := a.links[name]
		if !ok {
			break
		}
		name = next
	}
	return name
}

// find returns the image with the tag ref.
func (a *archive) find(ref string) (archiveImage, error) {
	want, err := normalized(ref)
	if err != nil {
		return archiveImage{}, err
	}
	var have []string
	for _, image := range a.images {
		for _, tag := range image.RepoTags {
			if got, err := normalized(tag); err == nil && got == want {
				return image, nil
			}
			have = append(have, tag)
		}
	}
	slices.Sort(have)
	return archiveImage{}, fmt.Errorf("%w in it (it has %s)", ErrNoImage, orNone(slices.Compact(have)))
}

// byConfig returns the image whose config has the digest.
func (a *archive) byConfig(id digest.Digest) (archiveImage, bool) {
	for _, image := range a.images {
		if data, ok := a.small[a.follow(image.Config)]; ok && digest.FromBytes(data) == id {
			return image, true
		}
	}
	return archiveImage{}, false
}

func (a *archive) image(
	ctx context.Context, store *bundle.Store, entry archiveImage, platforms []string,
) ([]manifest.PlatformImage, error) {
	config, ok := a.small[a.follow(entry.Config)]
	if !ok {
		return nil, fmt.Errorf("%w: the config %s is not there", ErrDamaged, entry.Config)
	}
	var layers []manifest.Layer
	for _, name := range entry.Layers {
		key := a.follow(name)
		l, ok := a.layers[key]
		if data, small := a.small[key]; !ok && small { // a small layer whose first file has a name like JSON
			var err error
			if l, err = importLayer(ctx, store, bytes.NewReader(data)); err != nil {
				return nil, err
			}
			ok = true
		}
		if !ok {
			return nil, fmt.Errorf("%w: the layer %s is not there", ErrDamaged, name)
		}
		layers = append(layers, l)
	}
	image, err := assemble(ctx, store, config, layers)
	if err != nil {
		return nil, err
	}
	have := []manifest.PlatformImage{image}
	if gone := missing(platforms, have); len(gone) > 0 {
		return nil, fmt.Errorf("%w: it is made for %s only, and %v is wanted", ErrNoPlatform, image.Platform, gone)
	}
	return only(platforms, have), nil
}
