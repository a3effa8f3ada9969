package site

import (
	"errors"
	"testing"
)

// The place of a mistake is a true one, and what nobody knows is left out.
func TestPlaceOfAMistake(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"site: kin-001\nsite: \"abc\n", "dhow.yaml:2:7: found unexpected end of stream"},
		{"site: \"abc\n", "dhow.yaml:1:7: found unexpected end of stream"},
		{"\"site: abc\nx: y\n", "dhow.yaml:1:1: found unexpected end of stream"},
		{"# é\nsite: é\ncontact: é \"\nhook: 'x\n", "dhow.yaml:4:7: found unexpected end of stream"},
		{"site: kin-001\r\nsite: \"abc\r\n", "dhow.yaml:2:7: found unexpected end of stream"},
		{"site: a\nsources: [a\n", "dhow.yaml:2:10: did not find expected ',' or ']'"},
		{"site: a\npage: {cert: b\nkey: c\n", "dhow.yaml:2:7: did not find expected ',' or '}'"},
		{"site: @foo\n", "dhow.yaml:1:7: found character that cannot start any token"},
		{"a: b\nc: d: e\n", "dhow.yaml:2:5: mapping values are not allowed in this context"},
		{"site: a\n  b: c\n", "dhow.yaml:2:4: mapping values are not allowed in this context"},
		{"site: a\ncontact: b\n- b\n", "dhow.yaml:3: did not find expected key"},
		{"site: a\nsources:\n - a\n b: c\n", "dhow.yaml:4: did not find expected '-' indicator"},
		{"site: a\nsources: [a,\n b]\nx: \"a\" b\n", "dhow.yaml:4: did not find expected key"},
		{"site: a\nx: *foo\n", "dhow.yaml: unknown anchor 'foo' referenced"},
		{"site: \xff\n", "dhow.yaml:1:7: invalid leading UTF-8 octet"},
		{"# é\nsite: é\xff\n", "dhow.yaml:2:8: invalid leading UTF-8 octet"},
		{"site: a\ncontact: a\x01b\n", "dhow.yaml:2:11: control characters are not allowed"},
		{"site: a\nbackup:\n  \tkeep: 3\n", "dhow.yaml:3:3: found character that cannot start any token"},
		{"site: a\n\tfetch: b\n", "dhow.yaml:2:1: found a tab character that violates indentation"},
		{"", "dhow.yaml: the configuration is empty"},
		{"site: a\nwindwo: b\n", `dhow.yaml:2:1: unknown key "windwo" (did you mean "window"?)`},
	} {
		_, err := ParseConfig([]byte(c.text))
		var e *ConfigError
		if !errors.As(err, &e) {
			t.Errorf("%q is no mistake: %v", c.text, err)
			continue
		}
		if e.Path = "dhow.yaml"; e.Error() != c.want {
			t.Errorf("%q: %s, want %s", c.text, e, c.want)
		}
	}
}
