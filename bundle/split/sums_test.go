package split_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/split"

	"github.com/opencontainers/go-digest"
)

// small is the text for a bundle of two parts and one of parity.
func small(t testing.TB) string {
	t.Helper()
	path, _ := write(t, 1_500_000, split.Options{Parity: 1})
	data, err := os.ReadFile(path + ".sums")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sealed puts the right last line under a changed text.
func sealed(text string) string {
	const last = "# end, sha256 of all lines above: "
	text, _, _ = strings.Cut(text, last)
	return text + last + digest.FromString(text).Encoded() + "\n"
}

func TestSumsForPeople(t *testing.T) {
	lines := strings.Split(small(t), "\n")
	for i, want := range []string{
		"# Dhow: a bundle in parts, format 1",
		"# Keep all files whose names begin with emr.tgz. in one folder, and name that folder: dhow update --from FOLDER",
		"# To check them without Dhow: sha256sum -c emr.tgz.sums",
		"# To join them: cat emr.tgz.[0-9][0-9][0-9] > emr.tgz",
		"# bundle emr.tgz: 1500000 bytes, sha256 ",
		"# parts: 2 of 1000000 bytes",
		"# parity: 1",
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q", i+1, lines[i])
		}
	}
}

func TestBadSums(t *testing.T) {
	good := small(t)
	const foreign = "it is damaged: dhowctl has not written it"
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %s", old, good)
		}
		return sealed(strings.ReplaceAll(good, old, new))
	}
	many := func() string { // 10,000 lines of parts
		line := strings.Repeat("a", 64) + "  emr.tgz.001\n"
		return sealed(strings.Replace(good, "# crc32c", strings.Repeat(line, 10_000)+"# crc32c", 1))
	}
	for _, c := range []struct {
		name, text, want string
		kind             error
	}{
		{"empty", "", foreign, bundle.ErrDamaged},
		{"of sha256sum", strings.Repeat("a", 64) + "  emr.tgz.001\n", foreign, bundle.ErrDamaged},
		{"binary", "\x00\x01\xff", foreign, bundle.ErrDamaged},
		{"format 0", replace("format 1", "format 0"), foreign, bundle.ErrDamaged},
		{"format 2", replace("format 1", "format 2"), "its format is 2 and this program reads up to 1: update dhow", nil},
		{"cut", good[:len(good)/2], "it is damaged: cut short", bundle.ErrDamaged},
		{"cut in the last line", good[:len(good)-2], "it is damaged: it is not as it was written", bundle.ErrDamaged},
		{"a flipped bit", strings.Replace(good, "1500000", "1500001", 1), "it is damaged: it is not as it was written", bundle.ErrDamaged},
		{"more behind", good + "x", "it is damaged: it is not as it was written", bundle.ErrDamaged},
		{"line ends of Windows", strings.ReplaceAll(good, "\n", "\r\n"), foreign, bundle.ErrDamaged},
		{"too long", strings.Repeat(" ", split.MaxSums+1), "it is larger than allowed: 8388609 bytes, at most 8388608", bundle.ErrTooLarge},
		{"few lines", sealed("# Dhow: a bundle in parts, format 1\n"), foreign, bundle.ErrDamaged},
		{"a path", replace("emr.tgz", "../emr.tgz"), `it speaks of a file "../emr.tgz": path outside its folder`, bundle.ErrUnsafePath},
		{"a path from the root", replace("emr.tgz", "/etc/emr"), `it speaks of a file "/etc/emr": path outside its folder`, bundle.ErrUnsafePath},
		{"a path of Windows", replace("emr.tgz", `c:\emr`), `it speaks of a file "c:\\emr": path outside its folder`, bundle.ErrUnsafePath},
		{"a terminal sequence", replace("emr.tgz", "a\x1b[2J"), `it speaks of a file "a\x1b[2J": path outside its folder`, bundle.ErrUnsafePath},
		{"a hidden name", replace("emr.tgz", ".emr"), `it speaks of a file ".emr": damaged`, bundle.ErrDamaged},
		{"one path", replace("  emr.tgz.001", "  ../../x"), foreign, bundle.ErrDamaged},
		{"an absurd size", replace("1500000 bytes", "9223372036854775807 bytes"), "it speaks of what is larger than allowed: 9223372036855 parts, at most 999", bundle.ErrTooLarge},
		{"a size beyond numbers", replace("1500000 bytes", "92233720368547758070 bytes"), foreign, bundle.ErrDamaged},
		{"a negative size", replace("1500000 bytes", "-1 bytes"), "it speaks of what is damaged: -1 bytes in parts of 1000000", bundle.ErrDamaged},
		{"parts of nothing", replace("of 1000000", "of 0"), "it speaks of what is damaged: 1500000 bytes in parts of 0", bundle.ErrDamaged},
		{"parts that FAT does not take", replace("of 1000000", "of 4294967296"), "it speaks of what is damaged: 1500000 bytes in parts of 4294967296", bundle.ErrDamaged},
		{"10,000 parts", replace("1500000 bytes", "9999500000 bytes"), "it speaks of what is larger than allowed: 10000 parts, at most 999", bundle.ErrTooLarge},
		{"10,000 lines", many(), foreign, bundle.ErrDamaged},
		{"another number of parts", replace("parts: 2", "parts: 3"), foreign, bundle.ErrDamaged},
		{"too much parity", replace("parity: 1", "parity: 1000000000"), "it speaks of what is larger than allowed: 1000000000 parity parts, at most 20", bundle.ErrTooLarge},
		{"negative parity", replace("parity: 1", "parity: -1"), "it speaks of what is larger than allowed: -1 parity parts, at most 20", bundle.ErrTooLarge},
		{"parity of another number", replace("parity: 1", "parity: 2"), foreign, bundle.ErrDamaged},
		{"other blocks", replace("of each 1048576", "of each 1048577"), foreign, bundle.ErrDamaged},
		{"no blocks", sealed(good[:strings.Index(good, "# emr.tgz.001")]), foreign, bundle.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := split.Parse([]byte(c.text))
			if err == nil || err.Error() != c.want || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("\n got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestOpenBad: what stands beside the sums is not what it should be.
func TestOpenBad(t *testing.T) {
	made, _ := write(t, 1_500_000, split.Options{Parity: 1})
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path string)
		want string
		kind error
	}{
		{"no sums", func(t *testing.T, p string) { drop(t, p+".sums") }, "emr.tgz.sums is missing, which says what belongs together: copy it too", bundle.ErrDamaged},
		{"nothing", func(t *testing.T, p string) {
			for _, end := range []string{".001", ".002", ".p01", ".sums"} {
				drop(t, p+end)
			}
		}, "lstat %s.sums: no such file or directory", fs.ErrNotExist},
		{"foreign sums", func(t *testing.T, p string) { change(t, p+".sums", func([]byte) []byte { return []byte("photos") }) }, "cannot read emr.tgz.sums: it is damaged: dhowctl has not written it", bundle.ErrDamaged},
		{"huge sums", func(t *testing.T, p string) {
			if err := os.Truncate(p+".sums", 1<<40); err != nil {
				t.Fatal(err)
			}
		}, "emr.tgz.sums is larger than allowed: 1099511627776 bytes, at most 8388608", bundle.ErrTooLarge},
		{"sums of another bundle", func(t *testing.T, p string) {
			change(t, p+".sums", func(d []byte) []byte {
				return []byte(sealed(string(bytes.ReplaceAll(d, []byte("emr.tgz"), []byte("lab.tgz")))))
			})
		}, "emr.tgz.sums speaks of lab.tgz: give it its name back", bundle.ErrDamaged},
		{"a link for the sums", func(t *testing.T, p string) { link(t, p+".sums") }, "emr.tgz.sums is a link or no file: path outside its folder", bundle.ErrUnsafePath},
		{"a link for a part", func(t *testing.T, p string) { link(t, p+".002") }, "emr.tgz.002 is a link or no file: path outside its folder", bundle.ErrUnsafePath},
		{"a folder for a part", func(t *testing.T, p string) {
			drop(t, p+".002")
			if err := os.Mkdir(p+".002", 0o755); err != nil {
				t.Fatal(err)
			}
		}, "emr.tgz.002 is a link or no file: path outside its folder", bundle.ErrUnsafePath},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "emr.tgz")
			if err := os.CopyFS(filepath.Dir(path), os.DirFS(filepath.Dir(made))); err != nil {
				t.Fatal(err)
			}
			c.do(t, path)
			_, err := split.Open(path + ".001")
			if want := strings.ReplaceAll(c.want, "%s", path); err == nil || err.Error() != want || !errors.Is(err, c.kind) {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}

// link puts a link in place of a file, to that file.
func link(t testing.TB, path string) {
	t.Helper()
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(path, away); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(away, path); err != nil {
		t.Fatal(err)
	}
}

func TestOf(t *testing.T) {
	for file, want := range map[string]string{
		"emr.tgz.001": "emr.tgz", "emr.tgz.999": "emr.tgz", "emr.tgz.100": "emr.tgz", "emr.tgz.p01": "emr.tgz", "emr.tgz.sums": "emr.tgz", "a.b.sums": "a.b",
		"emr.tgz": "", "emr.tgz.000": "", "emr.tgz.01": "", "emr.tgz.0001": "", "emr.tgz.p00": "", "emr.tgz.p1": "", "emr.tgz.x01": "", ".sums": "", ".001": "", "": "", "sums": "",
	} {
		if got, ok := split.Of(file); got != want || ok != (want != "") {
			t.Errorf("%q is of %q, %v", file, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	good := small(f)
	for _, s := range []string{good, good[:300], "", strings.ReplaceAll(good, "emr.tgz", "../x"), strings.Replace(good, "1500000", "9999999999999", 1), "# Dhow: a bundle in parts, format 7\n"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, seal bool) {
		if seal {
			text = sealed(text)
		}
		s, err := split.Parse([]byte(text))
		if err != nil {
			return
		}
		if again, err := s.Encode(); err != nil || string(again) != text {
			t.Errorf("it is written as %q, error %v", again, err)
		}
		var total int64
		for i, p := range s.Parts {
			if filepath.Base(p.Name) != p.Name || !filepath.IsLocal(p.Name) || p.Size < 1 || p.Size > split.MaxPart || i > split.MaxParts {
				t.Errorf("part %d is %q with %d bytes", i, p.Name, p.Size)
			}
			total += p.Size
		}
		if total != s.Size {
			t.Errorf("the parts have %d bytes, the bundle %d", total, s.Size)
		}
	})
}
