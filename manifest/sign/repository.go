package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// Repository is an opened fleet repository. It is used by one goroutine at a time.
type Repository struct {
	// By is who signs, for the history of the fleet (see package manifest/audit). It is what people say of themselves.
	By    string
	dir   string
	fleet *FleetFile
	keys  Keyring // of UseKeys
	// reckoned is what running found, and the list of targets that it is about.
	reckoned struct {
		of   []byte
		runs map[string]string
	}
}

// Open reads dir/fleet.yaml. Mistakes wrap ErrFleetFile and name file, line and column.
func Open(dir string) (*Repository, error) {
	f, err := openFleetFile(repositoryPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a fleet repository: it has no %s: %w", dir, fleetFile, err)
	}
	if err != nil {
		return nil, err
	}
	return &Repository{dir: dir, fleet: f}, nil
}

// Dir returns the folder of the repository, StoreDir that of its blobs (bundle.OpenStore makes it).
func (r *Repository) Dir() string { return r.dir }

// StoreDir returns the folder of the repository's blobs.
func (r *Repository) StoreDir() string { return filepath.Join(r.dir, "store") }

// Fleet returns fleet.yaml. What its editing methods change is written by SaveFleet.
func (r *Repository) Fleet() *FleetFile { return r.fleet }

// SaveFleet writes fleet.yaml, unless somebody else changed it since Open.
func (r *Repository) SaveFleet() error { return r.fleet.save() }

// Root returns the first root document: what a site is given at install.
func (r *Repository) Root() ([]byte, error) {
	data, err := os.ReadFile(r.path("metadata/1.root.json"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the root: %w", err)
	}
	return data, nil
}

func (r *Repository) path(slash string) string {
	return filepath.Join(r.dir, filepath.FromSlash(slash))
}

// Releases returns the versions in the repository, from old to new.
func (r *Repository) Releases() ([]string, error) { return r.versionsIn("releases", "releases") }

// versionsIn lists a folder of documents that are named after versions, from old to new.
func (r *Repository) versionsIn(folder, what string) ([]string, error) {
	entries, err := os.ReadDir(r.path(folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list %s: %w", what, err)
	}
	var versions []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		v, err := manifest.ParseVersion(name)
		if err != nil || v != name {
			return nil, fmt.Errorf("cannot list %s: %s is not named after a version", what, r.path(folder+"/"+e.Name()))
		}
		versions = append(versions, v)
	}
	manifest.SortVersions(versions)
	return versions, nil
}

// readDocument reads a file of at most limit bytes. Fails with fs.ErrNotExist when it is not there.
func readDocument(path, what string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > limit {
		err = manifest.ErrTooLarge
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s %s: %w", what, path, err)
	}
	return data, nil
}

// Release returns a release document. Fails with ErrUnknownRelease when it is not there.
func (r *Repository) Release(version string) (*manifest.Release, error) {
	_, release, err := r.release(version)
	return release, err
}

func (r *Repository) release(version string) ([]byte, *manifest.Release, error) {
	v, err := manifest.ParseVersion(version)
	if err != nil {
		return nil, nil, err
	}
	path := r.path(manifest.ReleasePath(v))
	data, err := readDocument(path, "release", manifest.MaxRelease)
	if errors.Is(err, fs.ErrNotExist) {
		known, err := r.Releases()
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("%w: %s (there is %s)", ErrUnknownRelease, v, list(known))
	}
	if err != nil {
		return nil, nil, err
	}
	release, err := manifest.ParseRelease(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if release.Version != v {
		return nil, nil, fmt.Errorf("cannot read release %s: it describes %s", path, release.Version)
	}
	if name := r.fleet.fleet.Name; release.Fleet != name {
		return nil, nil, fmt.Errorf("cannot read release %s: it is for fleet %s, this is %s", path, release.Fleet, name)
	}
	return data, release, nil
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// AddRelease puts a release document into the repository. A release is immutable: the same content again is no error (and keeps the
// first time of making), another content under the same version is ErrExists.
func (r *Repository) AddRelease(release *manifest.Release) error {
	if name := r.fleet.fleet.Name; release.Fleet != name {
		return fmt.Errorf("cannot add release %s: it is for fleet %s, this is %s", release.Version, release.Fleet, name)
	}
	data, err := release.Encode()
	if err != nil {
		return err
	}
	old, err := r.Release(release.Version)
	if err == nil {
		same := *release
		same.Created = old.Created
		oldData, errOld := old.Encode()
		sameData, errSame := same.Encode()
		if errOld == nil && errSame == nil && bytes.Equal(oldData, sameData) {
			return nil
		}
		return fmt.Errorf("release %s %w with another content: a release never changes, give this one a new version",
			release.Version, ErrExists)
	}
	if !errors.Is(err, ErrUnknownRelease) {
		return err
	}
	if err := os.MkdirAll(r.path("releases"), 0o755); err != nil {
		return fmt.Errorf("cannot add release: %w", err)
	}
	if err := durable.WriteFile(r.path(manifest.ReleasePath(release.Version)), data, 0o644); err != nil {
		return fmt.Errorf("cannot add release: %w", err)
	}
	return nil
}
