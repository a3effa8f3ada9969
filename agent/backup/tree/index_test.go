package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

var someDigest = strings.Repeat("0a", 32)

func TestNamesSurviveTheIndex(t *testing.T) {
	for name, want := range map[Name]string{
		"plain":             `"plain"`,
		"with space":        `"with space"`,
		"100%":              `"100%25"`,
		"a\nb":              `"a%0Ab"`,
		"\xff\x80":          `"%FF%80"`,
		"ünï":               `"ünï"`,
		"\u200b":            `"%E2%80%8B"`,
		"\uFFFD":            `"�"`,
		`back\slash "quote`: `"back\\slash \"quote"`,
	} {
		data, err := json.Marshal(name)
		if err != nil || string(data) != want {
			t.Errorf("%q is written as %s (%v), want %s", name, data, err, want)
		}
		var back Name
		if err := json.Unmarshal(data, &back); err != nil || back != name {
			t.Errorf("%s is read as %q (%v)", data, back, err)
		}
	}
}

func TestIndexRefusals(t *testing.T) {
	root := `{"path":".","kind":"dir"}` + "\n"
	file := `{"path":"f","kind":"file","sha256":"` + someDigest + `"}` + "\n"
	for _, c := range []struct{ text, want string }{
		{"", "it is empty"},
		{`{"format":2}` + "\n", "it has an unknown format"},
		{`{"format":1}` + "\n", "it has no entries"},
		{`{"format":1,"boot":7}` + "\n", "it has an unknown format"},
		{`{"format":1}` + "\n" + file, "line 2: the first Entry is not the folder itself"},
		{root + root, `line 3: "." stands twice`},
		{root + `{"path":"../x","kind":"fifo"}`, `line 3: bad path "../x"`},
		{root + `{"path":"..","kind":"fifo"}`, `line 3: bad path ".."`},
		{root + `{"path":"/x","kind":"fifo"}`, `line 3: bad path "/x"`},
		{root + `{"path":"","kind":"fifo"}`, `line 3: bad path ""`},
		{root + `{"path":"x//y","kind":"fifo"}`, `line 3: bad path "x//y"`},
		{root + `{"path":"%2E%2E/x","kind":"fifo"}`, `line 3: bad path "../x"`},
		{root + `{"path":"d/x","kind":"fifo"}`, `line 3: "d/x" is in no folder`},
		{root + file + `{"path":"f/x","kind":"fifo"}`, `line 4: "f/x" is in no folder`},
		{root + `{"path":"l","kind":"link","link":"/etc"}` + "\n" + `{"path":"l/x","kind":"fifo"}`, `line 4: "l/x" is in no folder`},
		{root + `{"path":"x%00","kind":"fifo"}`, `line 3: name has a bad escape "%00"`},
		{root + `{"path":"x%4","kind":"fifo"}`, "line 3: name ends in an escape"},
		{root + `{"path":"x","kind":"fifo","mode":65535}`, `line 3: "x" has a bad mode or size`},
		{root + `{"path":"x","kind":"file","size":-1}`, `line 3: "x" has a bad mode or size`},
		{root + `{"path":"x","kind":"file"}`, `line 3: "x" has no checksum`},
		{root + `{"path":"x","kind":"file","hard":"y"}`, `line 3: "x" is another name of nothing`},
		{
			root + file + `{"path":"g","kind":"file","hard":"f"}` + "\n" + `{"path":"h","kind":"file","hard":"g"}`,
			`line 5: "h" is another name of nothing`,
		},
		{root + `{"path":"x","kind":"file","size":3,"sha256":"` + someDigest + `","blocks":"AAE="}`, `line 3: "x" has another number of blocks`},
		{root + `{"path":"x","kind":"fifo","blocks":"AAE="}`, `line 3: "x" cannot have content`},
		{root + `{"path":"x","kind":"link"}`, `line 3: "x" links to nothing`},
		{root + `{"path":"x","kind":"socket"}`, `line 3: "x" is of unknown kind`},
		{root + `{"path":"x","kind":"fifo","size":3}`, `line 3: "x" cannot have content`},
	} {
		text := c.text
		if strings.HasPrefix(text, root) {
			text = `{"format":1}` + "\n" + text
		}
		_, _, err := ReadIndex(strings.NewReader(text))
		if !errors.Is(err, ErrIndex) || err.Error() != "the index is damaged: "+c.want {
			t.Errorf("%q: %v\nwant %s", c.text, err, c.want)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"format":1}` + "\n" + `{"path":".","kind":"dir","mode":493,"xattrs":{"user.a%FF":"AAE="}}` + "\n" +
		`{"path":"a%25","kind":"file","size":3,"sha256":"` + someDigest + `"}` + "\n" + `{"path":"b","kind":"file","size":3,"hard":"a%25"}` + "\n" +
		`{"path":"l","kind":"link","link":"../x"}` + "\n"))
	f.Add([]byte(`{"format":1}` + "\n" + `{"path":"../x","kind":"dir"}`))
	f.Add([]byte(`{"format":1,"boot":"0f1e\ufffd"}` + "\n" + `{"path":".","kind":"dir"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		boot, entries, err := ReadIndex(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, e := range entries {
			if !filepath.IsLocal(string(e.Path)) || strings.ContainsRune(string(e.Path), 0) {
				t.Fatalf("accepted path %q", e.Path)
			}
		}
		var again bytes.Buffer
		if err := WriteIndex(&again, boot, entries); err != nil {
			t.Fatal(err)
		}
		bootBack, back, err := ReadIndex(&again)
		if err != nil || len(back) != len(entries) || bootBack != boot {
			t.Fatalf("%d entries of boot %q became %d of %q: %v", len(entries), boot, len(back), bootBack, err)
		}
		for i := range back {
			if back[i].Path != entries[i].Path || !back[i].Same(entries[i]) {
				t.Fatalf("%v became %v", entries[i], back[i])
			}
		}
	})
}
