package author

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest"
)

func TestFilesOfOtherFiles(t *testing.T) {
	o := options(t, map[string]string{
		"compose.yaml":     "include: [sub/compose.yaml]\n" + app + "    extends: {file: base/common.yaml, service: common}\n",
		"sub/compose.yaml": "services:\n  db:\n    image: store:1\n    volumes: [\"./conf:/conf\"]\n",
		"sub/conf/a.conf":  "a", "sub/conf/deep/b.conf": "b",
		"base/common.yaml": "services:\n  common:\n    environment: {NAME: \"${NAME:?}\"}\n    volumes: [\"./common.conf:/c\"]\n",
		"base/common.conf": "c",
		"over/prod.yaml":   "services:\n  app:\n    volumes: [\"./top.conf:/t\"]\n    env_file: [{path: missing.env, required: false}]\n",
		"top.conf":         "t", ".env": "NAME=secret\n",
	})
	dir := filepath.Dir(o.Files[0])
	check(t, os.Rename(filepath.Join(dir, ".env"), filepath.Join(dir, "site.env"))) // beside no included file: it would not be read
	check(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("NAME=secret\n"), 0o600))
	check(t, os.Chmod(filepath.Join(dir, "sub/conf/a.conf"), 0o755))
	check(t, os.Symlink("a.conf", filepath.Join(dir, "sub/conf/link.conf")))
	o.Files = append(o.Files, filepath.Join(dir, "over", "prod.yaml"))
	r, _, err := Create(t.Context(), o)
	check(t, err)
	var files []string
	for _, f := range r.Files {
		files = append(files, f.Path)
		if f.Path == "sub/conf/a.conf" {
			equal(t, "mode", f.Mode, uint32(0o755))
		}
	}
	equal(t, "compose", r.Compose, []string{"compose.yaml", "over/prod.yaml"})
	equal(t, "files", files, []string{
		"base/common.conf", "base/common.yaml", "compose.yaml", "over/prod.yaml", "sub/compose.yaml",
		"sub/conf/a.conf", "sub/conf/deep/b.conf", "sub/conf/link.conf", "top.conf",
	})
	equal(t, "settings", r.Settings, []manifest.Setting{{Name: "NAME", Required: true}})
	data, err := r.Encode()
	check(t, err)
	if strings.Contains(string(data), "secret") {
		t.Error("the .env file was read")
	}
}

func TestLinkOutOfTheFolder(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app + "    volumes: [\"./conf:/conf\"]\n", "conf/a": "a"})
	check(t, os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(o.Files[0]), "conf", "evil")))
	_, _, err := Create(t.Context(), o)
	fails(t, err, "compose.yaml:4: cannot take along conf/evil: openat conf/evil: path escapes from parent", "")
}

func TestTooManyFiles(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app + "    volumes: [\"./conf:/conf\"]\n", "conf/big": strings.Repeat("x", 2000)})
	o.MaxFiles = 1500
	_, _, err := Create(t.Context(), o)
	fails(t, err, "compose.yaml:4: the files of the release are larger than 2 kB together (conf/big is one of 2)",
		"data belongs into a volume, and large files into an image")
}
