package manifest

import (
	_ "crypto/sha256" // digest.Validate needs it
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/opencontainers/go-digest"
)

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	projectPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)
	// backupKeyPattern is the form of an age X25519 key in bech32; its checksum is checked by those who use it.
	backupKeyPattern = regexp.MustCompile(`^age1[02-9ac-hj-np-z]{58}$`)
	languagePattern  = regexp.MustCompile(`^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$`)
)

// CheckName reports whether s can name a fleet, a ring or a site: 1 to 63 letters, digits, dots, dashes and underscores, the
// first a letter or digit.
func CheckName(s string) error {
	if !namePattern.MatchString(s) {
		return fmt.Errorf("%w: the name %s may hold letters, digits, dots and dashes only, at most 63", ErrInvalid, quoted(s))
	}
	return nil
}

// checker collects the first problem of a document, with the place where it stands.
type checker struct {
	what  string
	place string
	err   error
}

func (c *checker) at(format string, args ...any) { c.place = fmt.Sprintf(format, args...) + ": " }

func (c *checker) fail(format string, args ...any) {
	c.must(fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
}

func (c *checker) must(err error) {
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %s%w", c.what, c.place, err)
	}
}

func (c *checker) count(what string, n, limit int) {
	if n > limit {
		c.must(fmt.Errorf("%w: %d %s, at most %d", ErrTooLarge, n, what, limit))
	}
}

// text bounds a text for people or machines; control characters would let it write over a terminal.
func (c *checker) text(what, s string, limit int, optional bool) {
	switch {
	case s == "" && !optional:
		c.fail("%s is missing", what)
	case len(s) > limit:
		c.must(fmt.Errorf("%w: %s is longer than %d bytes", ErrTooLarge, what, limit))
	case strings.ContainsFunc(s, unicode.IsControl):
		c.fail("%s has control characters", what)
	}
}

func (c *checker) version(what, s string, optional bool) {
	if s == "" && optional {
		return
	}
	v, err := ParseVersion(s)
	if err != nil {
		c.must(err)
	} else if v != s {
		c.fail("%s %s must be written %s", what, quoted(s), v)
	}
}

// local refuses paths that leave the release's folder or mean different files on different systems.
func (c *checker) local(p string) {
	switch {
	case len(p) > 512:
		c.must(fmt.Errorf("%w: the path is longer than 512 bytes", ErrTooLarge))
	case p == "." || path.Clean(p) != p || !filepath.IsLocal(filepath.FromSlash(p)) || strings.ContainsAny(p, "\\:"):
		c.fail("the path is not inside the release's folder")
	case strings.ContainsFunc(p, unicode.IsControl):
		c.fail("the path has control characters")
	}
}

func (c *checker) digest(what string, d digest.Digest) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		c.fail("%s: %s is not a sha256 digest", what, quoted(string(d)))
	}
}

func (c *checker) variable(s string) {
	if !variablePattern.MatchString(s) {
		c.fail("%s is not the name of a variable", quoted(s))
	}
}

// quoted makes a foreign text safe and short enough for an error message.
func quoted(s string) string { return strconv.Quote(fmt.Sprintf("%.80s", s)) }

// sorted makes the first problem found the same one every time.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
