package sign

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// fleetFiles picks the documents of a fleet from files, the contents of what a list of targets names.
func fleetFiles(list map[string]*metadata.TargetFiles, files map[string][]byte) (manifest.FleetFiles, error) {
	content := map[string][]byte{}
	for _, name := range []string{manifest.FleetPath, manifest.SitesPath} {
		info := list[name]
		if info == nil {
			return manifest.FleetFiles{}, fmt.Errorf("the signed list names no %s", name)
		}
		content[name] = files[targetPath(name, info)]
	}
	return manifest.FleetFiles{Fleet: content[manifest.FleetPath], Sites: content[manifest.SitesPath], Part: func(b manifest.Blob) ([]byte, error) {
		path := manifest.PartPath(b.Digest)
		data, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		return data, nil
	}}, nil
}

// readFleet reads the documents of the fleet that a list of targets names into s.files.
func (s *signed) readFleet(r *Repository, list map[string]*metadata.TargetFiles) (*manifest.Fleet, error) {
	for _, name := range []string{manifest.FleetPath, manifest.SitesPath} {
		info := list[name]
		if info == nil {
			return nil, fmt.Errorf("the signed list names no %s", name)
		}
		if _, err := s.read(r, targetPath(name, info), info.VerifyLengthHashes); err != nil {
			return nil, err
		}
	}
	pieces, err := parts(list, s.files)
	if err != nil {
		return nil, err
	}
	for _, b := range pieces {
		if _, err := s.read(r, manifest.PartPath(b.Digest), func(data []byte) error {
			if digest.FromBytes(data) != b.Digest {
				return errors.New("its digest is another one")
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return readFleet(list, s.files)
}

// readFleet returns the fleet that a list of targets names.
func readFleet(list map[string]*metadata.TargetFiles, files map[string][]byte) (*manifest.Fleet, error) {
	documents, err := fleetFiles(list, files)
	if err != nil {
		return nil, err
	}
	return manifest.ParseFleet(documents, "")
}

// parts lists the parts of the fleet that a list of targets names.
func parts(list map[string]*metadata.TargetFiles, files map[string][]byte) ([]manifest.Blob, error) {
	documents, err := fleetFiles(list, files)
	if err != nil {
		return nil, err
	}
	return documents.Parts()
}
