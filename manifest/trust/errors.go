package trust

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Kinds of refusal. The text around them says which document and why.
var (
	// ErrOtherFleet: the documents are good, but those of a fleet that this site does not belong to.
	ErrOtherFleet = errors.New("signed by another fleet")
	// ErrStale: older than what was accepted before. An attacker or an old stick would take the site back.
	ErrStale = errors.New("older than what this site has already seen")
	// ErrExpired: the signature was good until a moment that has passed.
	ErrExpired = errors.New("expired")
	// ErrForged: not signed by enough of the fleet's keys.
	ErrForged = errors.New("not signed by the fleet's keys")
	// ErrDamaged: not the bytes that were signed, or documents that do not belong together.
	ErrDamaged = errors.New("damaged")
	// ErrNothing: this site has no manifest (or release document) yet.
	ErrNothing = errors.New("nothing here yet")
	// ErrNoRoot: the folder has no root of trust; Init gives it one.
	ErrNoRoot = errors.New("no root of trust")
	// ErrNoTarget: no signed list names the file.
	ErrNoTarget = errors.New("no signed list names it")
	// ErrUnknownRelease: the manifest does not list the release.
	ErrUnknownRelease = errors.New("release is not in the manifest")
)

// classify turns an error of go-tuf about the document path into one of ours.
func classify(path string, err error) error {
	kind := ErrDamaged
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		kind = ErrExpired
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		kind = ErrForged
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		return fmt.Errorf("%s is %w: it is not what the signed list says", path, ErrDamaged)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		kind = ErrStale
	case errors.Is(err, manifest.ErrNewer):
		return fmt.Errorf("%s: %w", path, err)
	}
	if text := plainly(err); text != "" {
		return fmt.Errorf("%s is %w: %s", path, kind, text)
	}
	return fmt.Errorf("%s is %w: %w", path, kind, err)
}
