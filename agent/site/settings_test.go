package site

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsAreReadBackAsTheyWereWritten(t *testing.T) {
	want := map[string]string{
		"PLAIN": "openmrs", "EMPTY": "", "SPACES": "  two  words ", "HASH": "a #b", "DOLLAR": "pa$$w${X}$x", "QUOTE": `it's "so"`,
		"BACKSLASH": `c:\new\`, "BOTH": `\'"$\$`, "LINES": "one\ntwo\r\nthree", "UNICODE": "é\u00a0漢", "EQUALS": "a=b=c", "TAB": "\ta\t",
		"URL": "jdbc:mysql://db:3306/openmrs?a=b&c=d", "ESCAPES": `\n\t\0101\x`,
	}
	path := filepath.Join(t.TempDir(), "site.env")
	if err := WriteSettings(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSettings(path)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
}

func TestSettingsSyntaxOfCompose(t *testing.T) {
	t.Setenv("FROM_OUTSIDE", "secret")
	got, err := ParseSettings([]byte("# a comment\nexport A=1\nB='x y' # why\nC=${A}2\nD=${FROM_OUTSIDE:-none}\nFROM_OUTSIDE\nE=\"a\nb\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "1", "B": "x y", "C": "12", "D": "none", "E": "a\nb"}
	if !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSettingsErrorsHoldNoValue(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"A=1\nB='hunter2\n", "a quote is opened and never closed"},
		{"A=1\nhunter2!\n", "line 2: not in the form NAME=VALUE"},
		{"MY hunter2=3\n", "line 1: not in the form NAME=VALUE"},
		{"A=${hunter2\n", "a value refers to another in a form that is not understood; write $$ for a dollar sign"},
		{"A=\x00hunter2", "line 1: not a text file"},
	} {
		path := filepath.Join(t.TempDir(), "site.env")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadSettings(path)
		if want := "cannot read settings: " + path + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, want)
		}
	}
	if _, err := ReadSettings(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriteSettingsRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.env")
	for _, c := range []struct {
		values map[string]string
		want   string
	}{
		{map[string]string{"A B": "x"}, `cannot write settings: "A B" can't be the name of a setting: use letters, digits and '_', a letter first`},
		{map[string]string{"A": "hunter2\x00"}, "cannot write settings: a value holds characters that a .env file can't hold"},
	} {
		err := WriteSettings(path, c.values)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: %v", c.values, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: the file was written", c.values)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{"A=1", "A='b'\n", "A=\"$B\"", "export A=1", "A=${B:-${C}}", "A", "=", "\xff", "A=$$", "A.b-c[0]=x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := ParseSettings(data)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "site.env")
		if err := WriteSettings(path, values); err != nil {
			return
		}
		back, err := ReadSettings(path)
		if err != nil || !maps.Equal(back, values) {
			t.Errorf("wrote %q, read %q, %v", values, back, err)
		}
	})
}

func FuzzWriteSettings(f *testing.F) {
	for _, s := range []string{"a", `\`, `'`, `"`, "$", "\n", `\"$'`, "#", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		path := filepath.Join(t.TempDir(), "site.env")
		err := WriteSettings(path, map[string]string{"A": value})
		if err != nil && !strings.Contains(value, "\x00") {
			t.Errorf("%q can't be written: %v", value, err)
		}
	})
}
