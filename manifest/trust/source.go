package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"dhow/manifest"
)

// Source delivers documents by their path in a published folder, for example "metadata/timestamp.json", at most limit bytes. What a
// source does not have is fs.ErrNotExist; every other error stops a refresh. Nothing that a source says is believed.
type Source interface {
	Document(ctx context.Context, path string, limit int64) ([]byte, error)
}

// Limits of each document in bytes. They stop a source that never ends (TUF's endless data attack).
const (
	maxRoot      = 256 << 10
	maxTimestamp = 16 << 10
	maxSnapshot  = 256 << 10
	maxTargets   = 8 << 20

	// maxRoots bounds how many new roots one refresh follows.
	maxRoots = 64
	// maxVersion keeps version numbers exact in JSON and far from overflow.
	maxVersion = 1 << 53
)

const timestampPath = "metadata/timestamp.json"

func versioned(version int64, role string) string {
	return fmt.Sprintf("metadata/%d.%s.json", version, role)
}

// fetch reads one document and holds the source to the limit. A document that the manifest names and the source lacks makes
// the source incomplete (required); otherwise fs.ErrNotExist is handed on.
func fetch(ctx context.Context, src Source, path string, limit int64, required bool) ([]byte, error) {
	data, err := src.Document(ctx, path, limit)
	switch {
	case err != nil && required && errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the source is incomplete (%w): it has no %s: %w", ErrDamaged, path, err)
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s is %w: longer than %d bytes", path, ErrDamaged, limit)
	}
	return data, nil
}

// checkJSON stops documents that are not plain JSON before go-tuf sees them: it dereferences null in some places and, like every
// parser, takes the last of two equal keys.
func checkJSON(path string, data []byte, limit int64) error {
	err := manifest.CheckJSON(data, manifest.JSONLimits{Size: limit, Depth: 12, Values: 500_000, NoNull: true})
	if err != nil {
		return fmt.Errorf("%s is %w: %w", path, ErrDamaged, err)
	}
	return nil
}
