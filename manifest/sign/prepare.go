package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// stagedRoot is where a new root waits, unsigned or partly signed, until a ceremony makes it metadata/N.root.json.
const stagedRoot = "metadata/staged.root.json"

// maxRoot bounds a staged root, in bytes.
const maxRoot = 256 << 10

// Prepare makes the ceremony of what the repository says: the new root, when one is staged, and the list of targets, when it would be
// another than was signed last. Nothing is signed and nothing changes here. Fails with ErrNothingNew when there is neither.
func (r *Repository) Prepare(now time.Time) (*Ceremony, error) {
	now = now.UTC().Truncate(time.Second)
	last, unlock, err := r.begin(now)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := &Ceremony{Format: CeremonyFormat, Fleet: r.fleet.fleet.Name, Files: map[string][]byte{}}
	root, err := r.stagedOn(last.root)
	switch {
	case err != nil:
		return nil, err
	case root == nil:
		root = last.root
	default:
		if c.Root, err = encode(root); err != nil {
			return nil, err
		}
	}
	if err := checkExpiry(root, now); err != nil {
		return nil, err
	}
	next, err := r.targets(last, root, now)
	if err != nil {
		return nil, err
	}
	if next.targets != last.targets {
		if c.Targets, err = encode(next.targets); err != nil {
			return nil, err
		}
		// Where the present keys have not signed what was signed last, a machine without the repository believes nothing of it.
		proven := last.targets != nil && last.root.VerifyDelegate(metadata.TARGETS, last.targets) == nil
		for path, data := range next.files {
			if strings.HasPrefix(path, "targets/") && (last.files[path] == nil || !proven) {
				c.Files[path] = data
			}
		}
	} else if c.Root == nil {
		return nil, ErrNothingNew
	}
	for n := int64(1); n <= last.root.Signed.Version; n++ {
		c.Roots = append(c.Roots, last.files[fmt.Sprintf("metadata/%d.root.json", n)])
	}
	if last.targets != nil {
		c.Last = last.files[fmt.Sprintf("metadata/%d.targets.json", last.targets.Signed.Version)]
		for name, info := range last.targets.Signed.Targets {
			if isFleet(name) {
				path := targetPath(name, info)
				c.Files[path] = last.files[path]
			}
		}
		pieces, err := parts(last.targets.Signed.Targets, last.files)
		if err != nil {
			return nil, err
		}
		for _, b := range pieces {
			path := manifest.PartPath(b.Digest)
			c.Files[path] = last.files[path]
		}
	}
	return c, nil
}

// staged returns the new root that waits for signatures, or nil.
func (r *Repository) staged() (*rootDocument, error) {
	path := r.path(stagedRoot)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxRoot {
		err = fmt.Errorf("it is larger than %d bytes", maxRoot)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the new root %s: %w", path, err)
	}
	root, err := strictRoot(path, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	return root, nil
}
