package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	for _, c := range []struct {
		what    string
		damage  func(snap string) error
		verify  string
		restore bool // seen by Restore before it touches anything
	}{
		{
			"a flipped bit", func(s string) error { return os.WriteFile(s+"/trees/data/file", []byte("contenT"), 0o644) },
			"cannot verify volume data: the snapshot is damaged: file has another content than was copied", false,
		},
		{
			"a file cut short", func(s string) error { return os.Truncate(s+"/trees/data/file", 3) },
			"cannot verify volume data: the snapshot is damaged: file has another kind or size", true,
		},
		{
			"a missing file", func(s string) error { return os.Remove(s + "/trees/data/file") },
			"cannot verify volume data: the snapshot is damaged: file is missing", true,
		},
		{
			"a missing link", func(s string) error { return os.Remove(s + "/trees/data/link") },
			"cannot verify volume data: the snapshot is damaged: link is missing", true,
		},
		{
			"a changed index", func(s string) error { return replace(s+"/index/data.jsonl", `"uid":0`, `"uid":9`) },
			"cannot verify volume data: the snapshot is damaged: the index has another checksum", true,
		},
		{
			"an index cut short", func(s string) error { return os.Truncate(s+"/index/data.jsonl", 90) },
			"cannot verify volume data: the snapshot is damaged: the index is damaged: line 2: unexpected end of JSON input", true,
		},
		{
			"a missing tree", func(s string) error { return os.RemoveAll(s + "/trees/data") },
			"cannot verify volume data: the snapshot is damaged: open SNAP/trees/data: no such file or directory", true,
		},
		{
			"no record", func(s string) error { return os.Remove(s + "/snapshot.json") },
			"cannot read snapshot SNAP: the snapshot is not complete", true,
		},
		{
			"a torn record", func(s string) error { return os.Truncate(s+"/snapshot.json", 10) },
			"cannot read snapshot SNAP: the snapshot is damaged: snapshot.json: unexpected end of JSON input", true,
		},
		{
			"a newer format", func(s string) error { return replace(s+"/snapshot.json", `"format": 1`, `"format": 7`) },
			"cannot read snapshot SNAP: it has format 7, this program reads up to 1: update dhow", true,
		},
		{
			"a path instead of a name", func(s string) error { return replace(s+"/snapshot.json", `"name": "data"`, `"name": "../x"`) },
			`cannot read snapshot SNAP: the snapshot is damaged: snapshot.json: tree "../x"`, true,
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			snap, trees, _ := snapshot(t, dir)
			must(t, c.damage(snap))
			err := Verify(t.Context(), snap)
			if err == nil || strings.ReplaceAll(err.Error(), snap, "SNAP") != c.verify {
				t.Errorf("verify: %v\nwant %s", err, c.verify)
			}
			live := filepath.Join(t.TempDir(), "live")
			must(t, os.MkdirAll(live, 0o755))
			must(t, os.WriteFile(filepath.Join(live, "mine"), nil, 0o644))
			trees[0].Path = live
			if err := Restore(t.Context(), snap, trees, nil); err == nil {
				t.Error("restored from a damaged snapshot")
			}
			if _, err := os.Stat(filepath.Join(live, "mine")); c.restore && err != nil {
				t.Errorf("the volume was touched before the damage was seen: %v", err)
			}
		})
	}
}

func replace(file, from, to string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(data), from, to, 1)), 0o600)
}

// TestHealsCopies damages a copy between the passes, as a power cut may: the last pass must notice and copy again.
func TestHealsCopies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	must(t, os.WriteFile(filepath.Join(dir, "c"), []byte("other"), 0o644))
	settled(t)
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), to, trees, nil))
	must(t, os.WriteFile(filepath.Join(to, "trees", "data", "a"), []byte("CONTENT"), 0o644))
	must(t, os.WriteFile(filepath.Join(to, "index", ".dhow-tmp-1"), nil, 0o600))
	_, err := Finish(t.Context(), to, trees, Info{Made: made}, nil)
	must(t, err)
	must(t, Verify(t.Context(), to))
	equal(t, "copy", capture(t, filepath.Join(to, "trees", "data")), capture(t, dir))
	if _, err := os.Lstat(filepath.Join(to, "index", ".dhow-tmp-1")); !os.IsNotExist(err) {
		t.Errorf("a leftover stayed: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	must(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 3<<20), 0o644))
	small := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(small, 0o755))
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("cannot mount a small file system for the test: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(small, 0)) })
	trees := []Tree{{"data", dir}}
	if err := CopyAhead(t.Context(), filepath.Join(small, "snap"), trees, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("first pass on a full disk: %v", err)
	}
	if _, err := Finish(t.Context(), filepath.Join(small, "snap"), trees, Info{}, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("last pass on a full disk: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(small, "snap")))
	snap, trees, _ := snapshot(t, dir)
	trees[0].Path = filepath.Join(small, "volume")
	if err := Restore(t.Context(), snap, trees, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("restore on a full disk: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	snap, _, _ := snapshot(t, dir)
	for _, c := range []struct {
		trees []Tree
		want  string
	}{
		{[]Tree{{"", dir}}, `"" cannot be the name of a volume or dump`},
		{[]Tree{{"a/b", dir}}, `"a/b" cannot be the name of a volume or dump`},
		{[]Tree{{"..", dir}}, `".." cannot be the name of a volume or dump`},
		{[]Tree{{"data", dir}, {"data", dir}}, "volume data is named twice"},
		{[]Tree{{"data", ""}}, "volume data has no path"},
		{[]Tree{{"other", dir}}, "cannot restore volume other: the snapshot of 2026-11-21 21:03 does not hold it"},
	} {
		if err := Restore(t.Context(), snap, c.trees, nil); err == nil || err.Error() != c.want {
			t.Errorf("restore of %v: %v\nwant %s", c.trees, err, c.want)
		}
	}
	gone := filepath.Join(dir, "none")
	err := CopyAhead(t.Context(), snap, []Tree{{"data", gone}}, nil)
	if err == nil || err.Error() != "cannot read volume data: open "+gone+": no such file or directory" {
		t.Errorf("a missing volume: %v", err)
	}
	must(t, Verify(t.Context(), snap)) // and the snapshot that was there is still one
	_, err = Finish(t.Context(), snap, []Tree{{"data", dir}}, Info{Dumps: []Dump{{File: "db.sql.zst", SHA256: strings.Repeat("0", 64)}}}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot verify dump db.sql.zst: ") {
		t.Errorf("a missing dump: %v", err)
	}
}
