package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// maxVersion bounds the length of a version: it becomes part of file names.
const maxVersion = 64

// ParseVersion returns s as a full semantic version without a leading v: "v1.1" becomes "1.1.0".
func ParseVersion(s string) (string, error) {
	if len(s) > maxVersion {
		return "", fmt.Errorf("version %.20q…: %w: more than %d characters", s, ErrInvalid, maxVersion)
	}
	v, err := semver.NewVersion(s)
	if err != nil {
		return "", fmt.Errorf("version %q: %w: a version looks like 1.2.0", s, ErrInvalid)
	}
	return v.String(), nil
}

// CompareVersions orders versions from old to new. What is not a version comes first, in the order of its letters.
func CompareVersions(a, b string) int {
	va, erra := semver.NewVersion(a)
	vb, errb := semver.NewVersion(b)
	switch {
	case erra != nil && errb != nil:
		return cmp.Compare(a, b)
	case erra != nil:
		return -1
	case errb != nil:
		return 1
	}
	// Versions that differ in build metadata only are equal to semver; names are kept apart all the same.
	return cmp.Or(va.Compare(vb), cmp.Compare(a, b))
}

// SortVersions sorts from old to new, in place.
func SortVersions(versions []string) { slices.SortFunc(versions, CompareVersions) }

// Allows reports whether a site that runs the release from may go to r directly. A new site (empty from) always may, and so may
// a site that repeats the same release. The error wraps ErrFrom.
func (r *Release) Allows(from string) error {
	if from == "" || r.From == "" || from == r.Version {
		return nil
	}
	c, err := parseConstraint(r.From)
	if err != nil {
		return err
	}
	v, err := semver.NewVersion(from)
	if err != nil {
		return fmt.Errorf("version %.80q: %w: a version looks like 1.2.0", from, ErrInvalid)
	}
	if !c.Check(v) {
		return fmt.Errorf("release %s %w from %s (only from %s)", r.Version, ErrFrom, from, r.From)
	}
	return nil
}

// parseConstraint reads a constraint such as ">=1.0.0 <1.2.0". A pre-release counts by its place in the order.
func parseConstraint(s string) (*semver.Constraints, error) {
	if len(s) > 256 {
		return nil, fmt.Errorf("%w: from is longer than 256 characters", ErrTooLarge)
	}
	c, err := semver.NewConstraint(s)
	if err != nil {
		return nil, fmt.Errorf("%w: from %q is not a version constraint such as \">=1.0.0 <1.2.0\"", ErrInvalid, s)
	}
	c.IncludePrerelease = true
	return c, nil
}
