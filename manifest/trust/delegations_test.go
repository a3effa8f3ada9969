package trust

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "file", true},
		{"*", "dir/file", false},
		{"*/*", "dir/file", true},
		{"*.tgz", "a.tgz", true},
		{"*.tgz", "a.tar", false},
		{"targets/*.tgz", "targets/foo.tgz", true},
		{"targets/*.tgz", "targets/foo.txt", false},
		{"foo-version-?.tgz", "foo-version-2.tgz", true},
		{"foo-version-?.tgz", "foo-version-alpha.tgz", false},
		{"dir?file", "dir/file", false},
		{"dir[!a]file", "dir/file", false},
		{"[abc]", "b", true},
		{"[!abc]", "b", false},
		{"[!abc]", "d", true},
		{"[", "[", false},
		{`a\*`, `a\b`, true},
		{`\*`, "*", false},
		{"", "", true},
		{"", "a", false},
		{"dir/", "dir/", true},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, name := range []string{"targets", "../role", "/", "100%", "ä?#", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted := Quote(name)
		if back, err := url.PathUnescape(quoted); err != nil || back != name {
			t.Errorf("%q came back as %q, %v", name, back, err)
		}
		if strings.Trim(quoted, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%") != "" {
			t.Errorf("%q", quoted)
		}
	})
}

// FuzzDelegations follows whatever a signed list may say about others: it may be refused, and must do no harm.
func FuzzDelegations(f *testing.F) {
	f.Add([]byte(`{"keys":{},"roles":[{"name":"a","keyids":["k"],"threshold":1,"terminating":false,"paths":["*","[!a]/?"]}]}`), "a/b")
	f.Add([]byte(`{"keys":{"k":{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"`+strings.Repeat("ab", 32)+`"}}},`+
		`"roles":[{"name":"a","keyids":["k"],"threshold":1,"terminating":true,"path_hash_prefixes":["8","f"]}]}`), "file")
	f.Add([]byte(`{"keys":{"k":{"keytype":"ecdsa","scheme":"ecdsa-sha2-nistp384","keyval":{"public":"-----BEGIN PUBLIC KEY-----\n"}}},`+
		`"succinct_roles":{"keyids":["k"],"threshold":1,"bit_length":14,"name_prefix":"bin"}}`), "file")
	f.Add([]byte(`{"keys":{"k":{"keytype":"rsa","scheme":"rsassa-pss-sha256","keyval":{}}},"succinct_roles":{"bit_length":-5}}`), "file")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		var d metadata.Delegations
		if checkJSON("delegations", data, maxTargets) != nil || json.Unmarshal(data, &d) != nil {
			return
		}
		list := metadata.Targets(time.Now())
		list.Signed.Delegations = &d
		if checkDelegations("list", list) != nil {
			return
		}
		for _, to := range delegatedTo(&d, name) {
			if to.role == "" || to.role == metadata.ROOT || to.role == metadata.TARGETS {
				t.Errorf("delegated to %q", to.role)
			}
			other := metadata.Targets(time.Now())
			for id := range d.Keys {
				other.Signatures = append(other.Signatures, metadata.Signature{KeyID: id, Signature: []byte("signature")})
			}
			if list.VerifyDelegate(to.role, other) == nil {
				t.Error("a signature of nothing was good")
			}
		}
	})
}
