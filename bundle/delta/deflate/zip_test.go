package deflate

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Info-ZIP's zip has a deflate of its own, older than zlib, which ends blocks of longer streams elsewhere. What has less than 4096 bytes must
// be exact; the log says how much of the rest is.
func TestStreamsOfInfoZIP(t *testing.T) {
	program, err := exec.LookPath("zip")
	if err != nil {
		t.Fatal("missing: zip, Info-ZIP's, to compare with: apt-get install zip")
	}
	files := 40
	if streams(t) > 1000 {
		files = 300
	}
	dir, content := t.TempDir(), map[string][]byte{}
	for n := range files {
		r := rand.New(rand.NewPCG(uint64(n), 11))
		name := fmt.Sprintf("%03d", n)
		content[name] = material(r, 64+sizes(r))
		if err := os.WriteFile(filepath.Join(dir, name), content[name], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, exact := 0, 0
	for level := 1; level <= 9; level++ {
		name := fmt.Sprintf("level-%d.zip", level)
		cmd := exec.Command(program, "-q", "-X", "-r", fmt.Sprintf("-%d", level), name, ".", "-i", "[0-9]*")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("zip: %v: %s", err, out)
		}
		n, same := zipped(t, filepath.Join(dir, name), level, content)
		t.Logf("zip -%d: %d of %d streams are exact", level, same, n)
		all, exact = all+n, exact+same
	}
	t.Logf("zip: %d of %d streams are exact", exact, all)
}

// zipped counts the streams of a zip, and those that are made again by the level with one of the two memLevels that are in use.
func zipped(t *testing.T, path string, level int, content map[string][]byte) (n, exact int) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if f.Method != zip.Deflate {
			continue
		}
		raw, err := f.OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(raw)
		if err != nil {
			t.Fatal(err)
		}
		same := false
		for mem := 8; mem <= 9 && !same; mem++ {
			var got bytes.Buffer
			d, err := NewWriter(&got, Params{level, mem})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(content[f.Name]); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			same = bytes.Equal(got.Bytes(), want)
		}
		n++
		if same {
			exact++
		} else if len(content[f.Name]) < 4096 {
			t.Errorf("zip -%d, %d bytes of %s: not what zip writes", level, len(content[f.Name]), f.Name)
		}
	}
	if n < len(content)*3/4 {
		t.Errorf("zip -%d: only %d streams", level, n)
	}
	return n, exact
}
