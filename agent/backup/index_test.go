package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var someDigest = strings.Repeat("0a", 32)

func TestNamesSurviveTheIndex(t *testing.T) {
	for name, want := range map[raw]string{
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
		var back raw
		if err := json.Unmarshal(data, &back); err != nil || back != name {
			t.Errorf("%s is read as %q (%v)", data, back, err)
		}
	}
}

func TestIndexRefusals(t *testing.T) {
	root := `{"path":".","kind":"dir"}` + "\n"
	file := `{"path":"f","kind":"file","sha256":"` + someDigest + `"}` + "\n"
	for _, c := range []struct{ text, want string }{
		{"", "empty index"},
		{`{"format":2}` + "\n", "index of unknown format"},
		{`{"format":1}` + "\n", "index without entries"},
		{`{"format":1,"boot":7}` + "\n", "index of unknown format"},
		{`{"format":1}` + "\n" + file, "index line 2: the first entry is not the folder itself"},
		{root + root, `index line 3: "." stands twice`},
		{root + `{"path":"../x","kind":"fifo"}`, `index line 3: bad path "../x"`},
		{root + `{"path":"..","kind":"fifo"}`, `index line 3: bad path ".."`},
		{root + `{"path":"/x","kind":"fifo"}`, `index line 3: bad path "/x"`},
		{root + `{"path":"","kind":"fifo"}`, `index line 3: bad path ""`},
		{root + `{"path":"x//y","kind":"fifo"}`, `index line 3: bad path "x//y"`},
		{root + `{"path":"%2E%2E/x","kind":"fifo"}`, `index line 3: bad path "../x"`},
		{root + `{"path":"d/x","kind":"fifo"}`, `index line 3: "d/x" is in no folder`},
		{root + file + `{"path":"f/x","kind":"fifo"}`, `index line 4: "f/x" is in no folder`},
		{root + `{"path":"l","kind":"link","link":"/etc"}` + "\n" + `{"path":"l/x","kind":"fifo"}`, `index line 4: "l/x" is in no folder`},
		{root + `{"path":"x%00","kind":"fifo"}`, `index line 3: name has a bad escape "%00"`},
		{root + `{"path":"x%4","kind":"fifo"}`, "index line 3: name ends in an escape"},
		{root + `{"path":"x","kind":"fifo","mode":65535}`, `index line 3: "x" has a bad mode or size`},
		{root + `{"path":"x","kind":"file","size":-1}`, `index line 3: "x" has a bad mode or size`},
		{root + `{"path":"x","kind":"file"}`, `index line 3: "x" has no checksum`},
		{root + `{"path":"x","kind":"file","hard":"y"}`, `index line 3: "x" is another name of nothing`},
		{
			root + file + `{"path":"g","kind":"file","hard":"f"}` + "\n" + `{"path":"h","kind":"file","hard":"g"}`,
			`index line 5: "h" is another name of nothing`,
		},
		{root + `{"path":"x","kind":"link"}`, `index line 3: "x" links to nothing`},
		{root + `{"path":"x","kind":"socket"}`, `index line 3: "x" is of unknown kind`},
		{root + `{"path":"x","kind":"fifo","size":3}`, `index line 3: "x" cannot have content`},
	} {
		text := c.text
		if strings.HasPrefix(text, root) {
			text = `{"format":1}` + "\n" + text
		}
		_, _, err := readIndex(strings.NewReader(text))
		if !errors.Is(err, ErrDamaged) || err.Error() != "the snapshot is damaged: "+c.want {
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
		boot, entries, err := readIndex(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, e := range entries {
			if !filepath.IsLocal(string(e.Path)) || strings.ContainsRune(string(e.Path), 0) {
				t.Fatalf("accepted path %q", e.Path)
			}
		}
		file := filepath.Join(t.TempDir(), "i")
		if _, err := writeIndex(file, boot, entries); err != nil {
			t.Fatal(err)
		}
		again, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		bootBack, back, err := readIndex(again)
		if err != nil || len(back) != len(entries) || bootBack != boot {
			t.Fatalf("%d entries of boot %q became %d of %q: %v", len(entries), boot, len(back), bootBack, err)
		}
		for i := range back {
			if back[i].Path != entries[i].Path || !back[i].same(entries[i]) {
				t.Fatalf("%v became %v", entries[i], back[i])
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"format":1,"release":"1.0.0","made":"2026-11-21T21:03:42Z",` +
		`"trees":[{"name":"data","files":1,"bytes":2,"index":"` + someDigest + `"}]}`))
	f.Add([]byte(`{"format":1,"dumps":[{"file":"../x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			return
		}
		for _, tree := range s.Trees {
			if filepath.Base(tree.Name) != tree.Name || !filepath.IsLocal(tree.Name) {
				t.Fatalf("accepted tree %q", tree.Name)
			}
		}
		for _, d := range s.Dumps {
			if filepath.Base(d.File) != d.File || !filepath.IsLocal(d.File) {
				t.Fatalf("accepted dump %q", d.File)
			}
		}
	})
}
