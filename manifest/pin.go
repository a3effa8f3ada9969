package manifest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// AskedPrevious stands in place of a version for the release that a ring or a site had before its present one.
const AskedPrevious = "previous"

var linePattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8}))?\.x$`)

// ParsePin reads what fleet.yaml may say as a pin: a version (exact is its full form), or else a line such as 1.2.x or 1.x, or "previous"
// (asked is the word itself).
func ParsePin(s string) (exact, asked string, err error) {
	word := strings.ToLower(strings.TrimPrefix(s, "v"))
	if s == AskedPrevious || linePattern.MatchString(word) {
		if s != AskedPrevious {
			s = word
		}
		return "", s, nil
	}
	if exact, err = ParseVersion(s); err != nil {
		return "", "", fmt.Errorf("pin %.80q: %w: write a version such as 1.2.0, a line such as 1.2.x, or %s", s, ErrInvalid, AskedPrevious)
	}
	return exact, "", nil
}

// InLine reports whether version belongs to a line such as 1.2.x. Pre-releases belong to none: they are pinned by name.
func InLine(line, version string) bool {
	v, err := semver.NewVersion(version)
	prefix, ok := strings.CutSuffix(line, "x")
	return err == nil && ok && v.Prerelease() == "" && strings.HasPrefix(v.String(), prefix)
}

// Newest returns the newest of versions that belongs to line, "" when none does.
func Newest(line string, versions []string) (newest string) {
	for _, v := range versions {
		if InLine(line, v) && (newest == "" || CompareVersions(v, newest) > 0) {
			newest = v
		}
	}
	return newest
}
