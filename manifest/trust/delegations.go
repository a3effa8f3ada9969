package trust

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// delegation is a role that a list hands a name on to.
type delegation struct {
	role        string
	terminating bool // nobody else is asked
}

// delegatedTo returns the roles that d hands name on to, in their order. The patterns are judged here and not by go-tuf, which
// compares path_hash_prefixes with base64 in place of hexadecimal digits.
func delegatedTo(d *metadata.Delegations, name string) []delegation {
	if d == nil {
		return nil
	}
	if d.SuccinctRoles != nil {
		return []delegation{{bin(d.SuccinctRoles, name), true}}
	}
	var found []delegation
	for _, role := range d.Roles {
		if covers(&role, name) {
			found = append(found, delegation{role.Name, role.Terminating})
		}
	}
	return found
}

func covers(role *metadata.DelegatedRole, name string) bool {
	if slices.ContainsFunc(role.Paths, func(pattern string) bool { return matches(pattern, name) }) {
		return true
	}
	sum := sha256.Sum256([]byte(name))
	digest := hex.EncodeToString(sum[:])
	return slices.ContainsFunc(role.PathHashPrefixes, func(prefix string) bool { return strings.HasPrefix(digest, prefix) })
}

// matches compares a name with a pattern of the shell, part by part: no wildcard goes beyond a slash.
func matches(pattern, name string) bool {
	patterns, parts := strings.Split(pattern, "/"), strings.Split(name, "/")
	if len(patterns) != len(parts) {
		return false
	}
	for i, part := range parts {
		one := strings.ReplaceAll(strings.ReplaceAll(patterns[i], `\`, `\\`), "[!", "[^")
		if ok, err := path.Match(one, part); err != nil || !ok {
			return false
		}
	}
	return true
}

// bin returns the role of a hash bin (TAP 15): the first bits of the name's SHA-256 say which.
func bin(roles *metadata.SuccinctRoles, name string) string {
	sum := sha256.Sum256([]byte(name))
	number := binary.BigEndian.Uint32(sum[:4]) >> (32 - roles.BitLength)
	digits := len(fmt.Sprintf("%x", uint64(1)<<roles.BitLength-1))
	return fmt.Sprintf("%s-%0*x", roles.NamePrefix, digits, number)
}

// checkDelegations sees to it that the delegations of a list can be followed safely: keys that the crypto libraries take without a
// panic, and names that mean one role each and none of the top.
func checkDelegations(path string, list *metadata.Metadata[metadata.TargetsType]) error {
	d := list.Signed.Delegations
	if d == nil {
		return nil
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s is %w: %s", path, ErrDamaged, fmt.Sprintf(format, args...))
	}
	if err := checkKeys(d.Keys); err != nil {
		return fail("%v", err)
	}
	if s := d.SuccinctRoles; s != nil && (s.BitLength < 1 || s.BitLength > 32 || s.NamePrefix == "") {
		return fail("its bins are impossible")
	}
	seen := map[string]bool{}
	for _, role := range d.Roles {
		if role.Name == "" || slices.Contains(metadata.TOP_LEVEL_ROLE_NAMES[:], role.Name) || seen[role.Name] {
			return fail("it delegates to %.80q, which is taken", role.Name)
		}
		seen[role.Name] = true
	}
	return nil
}
