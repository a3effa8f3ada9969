package sign_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"dhow/manifest"
	"dhow/manifest/sign"
)

func TestCeremonyFile(t *testing.T) {
	c := &sign.Ceremony{
		Format: sign.CeremonyFormat, Fleet: "drc", Note: "hello", Root: []byte(`{"signed":{"version":2}}`),
		Files: map[string][]byte{"targets/x.fleet": {0, 1, 255}}, Roots: nil,
	}
	c.Roots = append(c.Roots, []byte(`{"signed":{"version":1}}`))
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := sign.ParseCeremony(data)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Encode()
	if err != nil || string(second) != string(data) || !reflect.DeepEqual(again.Files, c.Files) {
		t.Errorf("%v\n got %s\nwant %s", err, second, data)
	}
}

func TestHostileCeremonyFiles(t *testing.T) {
	for _, test := range []struct {
		name, data, want string
		kind             error
	}{
		{"empty", ``, "it was not made by dhowctl publish --prepare", sign.ErrCeremony},
		{"page", "\ufeff\n <!DOCTYPE html><html>login</html>", "it is a web page, not a file of dhowctl publish --prepare", sign.ErrCeremony},
		{"image", "\x89PNG", "it was not made by dhowctl publish --prepare", sign.ErrCeremony},
		{"half", `{"format":1,"fleet":"drc","roots":[`, "not JSON at byte 35", sign.ErrCeremony},
		{"other", `{"hello":"world"}`, "it was not made by dhowctl publish --prepare", sign.ErrCeremony},
		{"list", `[1]`, "it was not made by dhowctl publish --prepare", sign.ErrCeremony},
		{"newer", `{"format":2,"surprise":1}`, "format 2, this one reads up to 1", manifest.ErrNewer},
		{"twice", `{"format":1,"format":1}`, `the key "format" stands twice in one object`, sign.ErrCeremony},
		{"null", `{"format":1,"root":null}`, "null at byte 23", sign.ErrCeremony},
		{"deep", `{"format":1,"root":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested more than 16 deep", manifest.ErrTooLarge},
		{"large", `{"format":1,"note":"` + strings.Repeat("x", sign.MaxCeremony) + `"}`, "more than 67108864 bytes", manifest.ErrTooLarge},
		{"unknown", `{"format":1,"secret":1}`, `unknown field "secret"`, sign.ErrCeremony},
		{"type", `{"format":1,"fleet":{}}`, "cannot unmarshal object", sign.ErrCeremony},
		{"name", `{"format":1,"fleet":"../x","roots":[{}],"root":{}}`, `the name "../x"`, sign.ErrCeremony},
		{"rootless", `{"format":1,"fleet":"drc","root":{}}`, "it has no root", sign.ErrCeremony},
		{"nothing", `{"format":1,"fleet":"drc","roots":[{}]}`, "there is nothing in it to sign", sign.ErrCeremony},
		{"path", `{"format":1,"fleet":"drc","roots":[{}],"root":{},"files":{"targets/../../x":""}}`, `is not the path of a document`, sign.ErrCeremony},
		{"place", `{"format":1,"fleet":"drc","roots":[{}],"root":{},"files":{"metadata/timestamp.json":""}}`, `is not the path of a document`, sign.ErrCeremony},
	} {
		_, err := sign.ParseCeremony([]byte(test.data))
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.want)
		}
	}
}
