package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.add("targets", "file.txt", []byte("one"))
	r.add("targets", "path/to/a/file.txt", []byte("two"))
	r.add("targets", "empty", nil)
	r.publishLists()
	c := newClient(t, r)
	c.good()
	c.has()
	for range 2 {
		if c.download("file.txt", "path/to/a/file.txt", "empty") != 0 {
			t.Fatal(c.said)
		}
		c.has("", "one", "two")
	}
	sum := digest("sha256", []byte("two"))
	if want := "path/to/a/" + sum + ".file.txt"; len(r.fetched) != 3 || r.fetched[1] != want {
		t.Errorf("fetched %q", r.fetched) // each once
	}
}

func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	names := []string{"a b", "ä/ö", "50%", "#", "what?", "../up", "/root", "a//b", ".", "x.json", "%2e%2e"}
	for _, name := range names {
		r.add("targets", name, []byte("content of "+name))
	}
	r.publishLists()
	c := newClient(t, r)
	var want []string
	for _, name := range names {
		if c.download(name) != 0 {
			t.Errorf("%s: %s", name, c.said)
		}
		want = append(want, "content of "+name)
	}
	c.has(want...)
	outside, err := os.ReadDir(filepath.Dir(c.files))
	if err != nil || len(outside) != 1 {
		t.Errorf("beside the folder for files: %v, %v", outside, err)
	}
}

func TestOtherContent(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.add("targets", "one", []byte("first file"))
	r.add("targets", "two", []byte("second file"))
	r.publishLists()
	c := newClient(t, r)
	if c.download("one") != 0 {
		t.Fatal(c.said)
	}
	for _, evil := range [][]byte{[]byte("short"), []byte("2nd file !!"), bytes.Repeat([]byte("endless"), 1<<20), nil} {
		r.files["one"], r.files["two"] = evil, evil
		if c.download("one") != 0 {
			t.Error(c.said)
		}
		if c.download("two") == 0 {
			t.Errorf("%.20q was accepted", evil)
		}
		c.has("first file")
	}
	delete(r.files, "two")
	if c.download("two") == 0 {
		t.Error("a file that is not there was accepted")
	}
	// What was changed on disk is fetched anew.
	r.files["one"] = []byte("first file")
	if err := os.WriteFile(filepath.Join(c.files, "one"), []byte("FIRST FILE"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.download("one") != 0 {
		t.Error(c.said)
	}
	c.has("first file")
}

func TestChangingFiles(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	c := newClient(t, r)
	var others []string
	for i := range 4 {
		content, other := fmt.Sprintf("content %d", i), fmt.Sprintf("other %d", i)
		r.add("targets", "file", []byte(content))
		r.add("targets", other, []byte(other))
		r.publishLists()
		if c.download("file", other) != 0 {
			t.Fatal(c.said)
		}
		others = append(others, other)
		c.has(append(slices.Clone(others), content)...)
		r.files["file"] = []byte("malicious")
		r.publishLists()
		_ = c.download("file")
		c.has(append(slices.Clone(others), content)...)
	}
}

func TestHashesOfFiles(t *testing.T) {
	t.Parallel()
	for _, kinds := range [][]string{{"sha256"}, {"sha512"}, {"sha256", "sha512"}} {
		r := newRepository(t)
		r.add("targets", "file", []byte("content"), kinds...)
		r.publishLists()
		c := newClient(t, r)
		if c.download("file") != 0 {
			t.Errorf("%v: %s", kinds, c.said)
		}
		c.has("content")
		if want := digest(kinds[0], []byte("content")) + ".file"; !slices.Equal(r.fetched, []string{want}) {
			t.Errorf("fetched %q", r.fetched)
		}
		// All that are named must be right.
		r.signed["targets"]["targets"].(object)["file"].(object)["hashes"].(object)[kinds[len(kinds)-1]] = digest(kinds[len(kinds)-1], []byte("changed"))
		r.publishLists()
		if c.download("file") == 0 {
			t.Errorf("%v: accepted", kinds)
		}
	}
	for name, hashes := range map[string]object{
		"of unknown kind": {"unknown-hash": digest("sha512", []byte("content"))},
		"known and not":   {"unknown-hash": "00", "sha256": digest("sha256", []byte("content"))},
		"none":            {},
	} {
		r := newRepository(t)
		r.add("targets", "file", []byte("content"))
		r.signed["targets"]["targets"].(object)["file"].(object)["hashes"] = hashes
		r.publishLists()
		c := newClient(t, r)
		if c.download("file") == 0 {
			t.Errorf("%s: accepted", name)
		}
		c.has()
	}
}

// Without a digest in their names, files are told apart by their content alone.
func TestPlainNames(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.signed["root"]["consistent_snapshot"] = false
	r.add("targets", "dir/file", []byte("one"))
	r.publishTop()
	c := newClient(t, r)
	if c.download("dir/file") != 0 {
		t.Fatal(c.said)
	}
	r.files["dir/file"] = []byte("two")
	if c.download("dir/file") != 0 || !slices.Equal(r.fetched, []string{"dir/file"}) {
		t.Errorf("%s, fetched %q", c.said, r.fetched)
	}
	c.has("one")
}
