package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dhow/manifest"
)

// ErrInUse: a release can't be removed.
var ErrInUse = errors.New("it can't be removed")

// RemoveRelease takes a release that was made by mistake out of the repository. One that fleet.yaml still names fails with ErrInUse, and so
// does one that was ever signed: sites may run it. Its ways go with it, and those that begin with it. Blobs stay in the store.
func (r *Repository) RemoveRelease(version string) error {
	unlock, err := lock(r.dir)
	if err != nil {
		return err
	}
	defer unlock()
	_, release, err := r.release(version)
	if err != nil {
		return err
	}
	version = release.Version
	fleet, err := r.Resolve()
	if err != nil {
		return err
	}
	for _, of := range []struct {
		kind string
		pins map[string]string
	}{{"ring", ringPins(fleet)}, {"site", sitePins(fleet)}} {
		for _, name := range names(of.pins) {
			if of.pins[name] == version {
				return fmt.Errorf("cannot remove release %s: %w: %s %s is pinned to it", version, ErrInUse, of.kind, name)
			}
		}
	}
	number, err := r.signedIn(manifest.ReleasePath(version))
	if err != nil {
		return err
	}
	if number > 0 {
		return fmt.Errorf("cannot remove release %s: %w: it was signed in manifest %d, and sites may run it", version, ErrInUse, number)
	}
	if err := r.removeWays(version); err != nil {
		return fmt.Errorf("cannot remove release %s: %w", version, err)
	}
	if err := os.Remove(r.path(manifest.ReleasePath(version))); err != nil {
		return fmt.Errorf("cannot remove release %s: %w", version, err)
	}
	return nil
}

func ringPins(f *manifest.Fleet) map[string]string {
	pins := map[string]string{}
	for name, ring := range f.Rings {
		pins[name] = ring.Pin
	}
	return pins
}

func sitePins(f *manifest.Fleet) map[string]string {
	pins := map[string]string{}
	for name, site := range f.Sites {
		pins[name] = site.Pin
	}
	return pins
}

// signedIn returns the number of a list that names a target, 0 when none ever did. A list that was written, but whose timestamp
// was not, counts as well: it may have been copied.
func (r *Repository) signedIn(target string) (int64, error) {
	lists, err := filepath.Glob(filepath.Join(r.path("metadata"), "*.targets.json"))
	if err != nil {
		return 0, fmt.Errorf("cannot read what was signed: %w", err)
	}
	for _, path := range lists {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var list struct {
			Signed struct {
				Version int64                      `json:"version"`
				Targets map[string]json.RawMessage `json:"targets"`
			} `json:"signed"`
		}
		if err == nil {
			err = json.Unmarshal(data, &list)
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read %s: %w", path, err)
		}
		if _, ok := list.Signed.Targets[target]; ok && !strings.HasPrefix(filepath.Base(path), ".") {
			return list.Signed.Version, nil
		}
	}
	return 0, nil
}
