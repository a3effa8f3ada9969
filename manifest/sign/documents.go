package sign

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Documents are all signed documents of a fleet by their path in a published folder: every root, the newest timestamp, snapshot and
// targets, the fleet document and the release documents. timestamp.json is to be put in place last.
type Documents struct {
	Files   map[string][]byte
	Fleet   *manifest.Fleet // as it was signed
	Number  int64           // of the manifest: the version of its targets
	Expires time.Time       // the earliest expiry of timestamp, snapshot and targets
	New     bool            // whether this Sign made anything new
	// NewRoot is the root that was made after these were signed, 0 when there is none: sites would not take them together.
	NewRoot int64
	Effect  *Effect // what this signing changes for sites; nil in what Documents returns
}

const timestampPath = "metadata/timestamp.json"

// signed is what was signed last; zero before the first signing.
type signed struct {
	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   *metadata.Metadata[metadata.TargetsType]
	fleet     *manifest.Fleet
	files     map[string][]byte
}

// Documents returns what was signed last. Fails with ErrNotSigned before the first Sign.
func (r *Repository) Documents() (*Documents, error) {
	s, err := r.signed()
	if err != nil {
		return nil, err
	}
	if s.timestamp == nil {
		return nil, fmt.Errorf("%s: %w", r.dir, ErrNotSigned)
	}
	return s.documents(), nil
}

func (s *signed) documents() *Documents {
	d := &Documents{
		Files: s.files, Number: s.targets.Signed.Version, Expires: s.timestamp.Signed.Expires,
		Fleet: s.fleet,
	}
	for _, at := range []time.Time{s.snapshot.Signed.Expires, s.targets.Signed.Expires} {
		if at.Before(d.Expires) {
			d.Expires = at
		}
	}
	if namedRoot(s.timestamp) != s.root.Signed.Version {
		d.NewRoot = s.root.Signed.Version
	}
	return d
}

// signed follows the chain from timestamp.json. Whatever else lies in metadata/ is left of an interrupted signing or old.
func (r *Repository) signed() (*signed, error) {
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(r.path(timestampPath))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read metadata: %w", err)
	}
	s.files[timestampPath] = data
	if s.timestamp, err = metadata.Timestamp().FromBytes(data); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", timestampPath, err)
	}
	meta := s.timestamp.Signed.Meta["snapshot.json"]
	if meta == nil {
		return nil, fmt.Errorf("cannot read %s: it names no snapshot", timestampPath)
	}
	path := fmt.Sprintf("metadata/%d.snapshot.json", meta.Version)
	if data, err = s.read(r, path, meta.VerifyLengthHashes); err != nil {
		return nil, err
	}
	if s.snapshot, err = metadata.Snapshot().FromBytes(data); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if meta = s.snapshot.Signed.Meta["targets.json"]; meta == nil {
		return nil, fmt.Errorf("cannot read %s: it names no targets", path)
	}
	path = fmt.Sprintf("metadata/%d.targets.json", meta.Version)
	if data, err = s.read(r, path, meta.VerifyLengthHashes); err != nil {
		return nil, err
	}
	if s.targets, err = metadata.Targets().FromBytes(data); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	for name, info := range s.targets.Signed.Targets {
		if _, err := s.read(r, targetPath(name, info), info.VerifyLengthHashes); err != nil {
			return nil, err
		}
	}
	s.fleet, err = s.readFleet(r, s.targets.Signed.Targets)
	return s, err
}

// read adds a document to s.files. One that does not match what was signed is refused here, before sites see it.
func (s *signed) read(r *Repository, path string, verify func([]byte) error) ([]byte, error) {
	data, err := os.ReadFile(r.path(path))
	if err != nil {
		return nil, fmt.Errorf("cannot read signed document: %w", err)
	}
	if err := verify(data); err != nil {
		return nil, fmt.Errorf("%s is not what was signed: get it back from git: %w", r.path(path), err)
	}
	s.files[path] = data
	return data, nil
}

// roots reads 1.root.json and all that follow.
func (r *Repository) roots(s *signed) error {
	for n := 1; ; n++ {
		path := fmt.Sprintf("metadata/%d.root.json", n)
		data, err := os.ReadFile(r.path(path))
		if errors.Is(err, fs.ErrNotExist) && n > 1 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read root: %w", err)
		}
		root, err := parseRoot(data)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", r.path(path), err)
		}
		s.files[path], s.root = data, root
	}
}

// targetPath is where a target stands in a published folder: its digest before its last path element.
func targetPath(name string, info *metadata.TargetFiles) string {
	dir, base := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, base = name[:i+1], name[i+1:]
	}
	return "targets/" + dir + hex.EncodeToString(info.Hashes["sha256"]) + "." + base
}

// same reports whether two lists of targets name the same content.
func same(a, b map[string]*metadata.TargetFiles) bool {
	if len(a) != len(b) {
		return false
	}
	for name, info := range a {
		other := b[name]
		if other == nil || other.Length != info.Length || !bytes.Equal(other.Hashes["sha256"], info.Hashes["sha256"]) {
			return false
		}
	}
	return true
}
