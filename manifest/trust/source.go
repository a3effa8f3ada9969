package trust

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Source delivers documents by their path in a published folder, for example "metadata/timestamp.json", at most limit bytes. What a
// source does not have is fs.ErrNotExist; every other error stops a refresh. Nothing that a source says is believed. In a path below
// metadata/ the name of a role is quoted already, see Quote.
type Source interface {
	Document(ctx context.Context, path string, limit int64) ([]byte, error)
}

// Limits of each document in bytes. They stop a source that never ends (TUF's endless data attack).
const (
	maxRoot      = 512 << 10
	maxTimestamp = 16 << 10
	maxSnapshot  = 2 << 20
	maxTargets   = 8 << 20

	// maxRoots bounds how many new roots one refresh follows.
	maxRoots = 256
	// maxKeys bounds the keys of one document, and those of one role.
	maxKeys = 256
	// maxVersion keeps version numbers exact in JSON and far from overflow.
	maxVersion = 1 << 53
)

const timestampPath = "metadata/timestamp.json"

func versioned(version int64, role string) string {
	return fmt.Sprintf("metadata/%d.%s.json", version, Quote(role))
}

// fetch reads one document and holds the source to the limit. A document that the manifest names and the source lacks makes
// the source incomplete (required); otherwise fs.ErrNotExist is handed on.
func fetch(ctx context.Context, src Source, path string, limit int64, required bool) ([]byte, error) {
	data, err := src.Document(ctx, path, limit)
	switch {
	case err != nil && required && errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the source is incomplete (%w): it has no %s: %w", ErrDamaged, path, err)
	case err != nil && strings.Contains(err.Error(), path): // most sources say themselves what they can't read
		return nil, err
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
	switch text := bytes.TrimLeft(data, " \t\r\n\ufeff"); {
	case len(text) == 0:
		return fmt.Errorf("%s is %w: it is empty", path, ErrDamaged)
	case text[0] == '<':
		return fmt.Errorf("%s is %w: it is a web page", path, ErrDamaged)
	}
	err := manifest.CheckJSON(data, manifest.JSONLimits{Size: limit, Depth: 12, Values: 500_000, NoNull: true})
	if err != nil {
		return fmt.Errorf("%s is %w: %w", path, ErrDamaged, err)
	}
	return nil
}

// target fetches the content of a file that a signed list names. With consistent snapshots it stands under its digest and name.
func target(ctx context.Context, src Source, consistent bool, info *metadata.TargetFiles, limit int64) ([]byte, error) {
	at := "targets/" + info.Path
	if consistent {
		at = targetPath(info)
	}
	if info.Length < 0 || info.Length > limit {
		return nil, fmt.Errorf("%s is %w: the signed list gives it an impossible length", at, ErrDamaged)
	}
	for kind := range info.Hashes {
		if kind != "sha256" && kind != "sha512" {
			return nil, fmt.Errorf("%s is %w: the signed list gives it a hash of unknown kind %.20q", at, ErrDamaged, kind)
		}
	}
	data, err := fetch(ctx, src, at, info.Length, true)
	if err != nil {
		return nil, err
	}
	if err := info.VerifyLengthHashes(data); err != nil {
		return nil, classify(at, err)
	}
	return data, nil
}

// targetPath is where a file stands in a published folder with consistent snapshots.
func targetPath(info *metadata.TargetFiles) string {
	sum, ok := info.Hashes["sha256"]
	if !ok {
		sum = info.Hashes["sha512"]
	}
	dir, base := path.Split(info.Path)
	return "targets/" + dir + hex.EncodeToString(sum) + "." + base
}

// checkMeta sees to it that the one entry that matters is there and possible.
func checkMeta(path string, meta map[string]*metadata.MetaFiles, name string, limit int64) error {
	entry := meta[name]
	if entry == nil || entry.Version < 1 || entry.Version > maxVersion || entry.Length < 0 || entry.Length > limit {
		return fmt.Errorf("%s is %w: it does not name %s", path, ErrDamaged, name)
	}
	return nil
}

func length(meta *metadata.MetaFiles, limit int64) int64 {
	if meta.Length > 0 && meta.Length < limit {
		return meta.Length
	}
	return limit
}
