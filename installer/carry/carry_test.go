package carry_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/agent/words"
	"dhow/installer/carry"
)

// fake is a program for a platform that says how it was called, and ends with 3.
func fake(platform string) carry.Program {
	text := "#!/bin/sh\n[ \"$1\" != version ] || exit 0\nfor a in \"$@\"; do printf '%s|' \"$a\"; done\necho " + platform + "\nexit 3\n"
	return carry.Program{Platform: platform, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// stick is a folder with a bundle, the installer beside it, and a computer of a kind whose user has an id.
type stick struct {
	dir, bin string
	env      []string
}

func newStick(t *testing.T, c carry.Contents) *stick {
	t.Helper()
	s := &stick{dir: filepath.Join(t.TempDir(), "a stick"), bin: t.TempDir()}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if c.Bundle != "" {
		s.write(t, filepath.Join(s.dir, c.Bundle), "a bundle")
	}
	if _, err := carry.Write(t.Context(), s.dir, c); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"), "DHOW_PREFIX="+t.TempDir())
	s.computer(t, "x86_64", "0")
	return s
}

func (s *stick) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (s *stick) computer(t *testing.T, machine, user string) {
	t.Helper()
	s.write(t, filepath.Join(s.bin, "uname"), "#!/bin/sh\n[ \"$1\" = -s ] && echo Linux || echo "+machine+"\n")
	s.write(t, filepath.Join(s.bin, "id"), "#!/bin/sh\necho "+user+"\n")
}

func (s *stick) install(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"./install"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), s.dir, "STICK"), code
}

func all() []carry.Program { return []carry.Program{fake("linux/arm/v7"), fake("linux/amd64")} }

func TestInstall(t *testing.T) {
	s := newStick(t, carry.Contents{Bundle: "it's emr.tgz", Sources: []string{"oci://r.example.org/emr", "https://x/y"}, Programs: all()})
	for _, c := range []struct {
		machine, user string
		args          []string
		code          int
		want          string
	}{
		{"x86_64", "0", []string{"--site", "kin 001"}, 3, "install|--from|STICK/it's emr.tgz|--site|kin 001|--source|oci://r.example.org/emr|--source|https://x/y|linux/amd64\n"},
		{"armv7l", "0", []string{"--source=x"}, 3, "install|--from|STICK/it's emr.tgz|--source=x|linux/arm/v7\n"},
		{"x86_64", "0", []string{"--from", "x", "--source", "y"}, 3, "install|--from|x|--source|y|linux/amd64\n"},
		{"x86_64", "1000", []string{"--help", "--source=y"}, 3, "install|--from|STICK/it's emr.tgz|--help|--source=y|linux/amd64\n"},
		{"x86_64", "1000", []string{"--set", "PASSWORD=secret"}, 1, "install: only root can make this computer a site\nhint: sudo sh ./install …\n"},
		{"aarch64", "0", nil, 4, "install: this stick has no program for this computer (Linux aarch64)\nhint: ask the central team for a stick with one\n"},
		{
			"i686", "0", nil, 4, "install: there is no dhow for this kind of computer (Linux i686)\n" +
				"hint: it needs Linux on a PC (64 bits) or on ARM (version 7 or later)\n",
		},
	} {
		s.computer(t, c.machine, c.user)
		if text, code := s.install(t, c.args...); code != c.code || text != c.want {
			t.Errorf("%s, user %s, %q: %d\n%swant %d\n%s", c.machine, c.user, c.args, code, text, c.code, c.want)
		}
	}
}

// Who is not root reads it in his language, as dhow itself says it.
func TestInstallInWords(t *testing.T) {
	s := newStick(t, carry.Contents{Bundle: "emr.tgz", Programs: all()})
	s.computer(t, "x86_64", "1000")
	env := s.env
	for _, l := range words.For().Languages() {
		r := words.For(l.Tag)
		s.env = append(slices.Clone(env), "LC_ALL=", "LC_MESSAGES=", "LANG="+l.Tag+"_XX.UTF-8")
		// The program isolates arguments in Arabic; the script writes them as they are.
		hint := strings.NewReplacer("\u2068", "", "\u2069", "").Replace(r.Say("cli.hint", "hint", "sudo sh ./install …"))
		want := "install: " + r.Say("error.install-root") + "\n" + hint + "\n"
		if text, code := s.install(t); code != 1 || text != want {
			t.Errorf("%s: %d\n%swant\n%s", l.Tag, code, text, want)
		}
	}
}

func TestInstallOfAnOldSite(t *testing.T) {
	s := newStick(t, carry.Contents{Sources: []string{"https://x/y"}, Programs: all()})
	prefix := t.TempDir()
	if err := os.MkdirAll(filepath.Join(prefix, "etc/dhow"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(prefix, "etc/dhow/dhow.yaml"), "site: kin-001\n")
	s.env = append(s.env, "DHOW_PREFIX="+prefix)
	if text, code := s.install(t); code != 3 || text != "install|--from|STICK|linux/amd64\n" {
		t.Errorf("a site that is there, a bundle that is a folder: %d\n%s", code, text)
	}
}

func TestParts(t *testing.T) {
	s := newStick(t, carry.Contents{Bundle: "emr.tgz", Programs: all()})
	if err := os.Rename(filepath.Join(s.dir, "emr.tgz"), filepath.Join(s.dir, "emr.tgz.sums")); err != nil {
		t.Fatal(err)
	}
	if text, code := s.install(t); code != 3 || text != "install|--from|STICK/emr.tgz.sums|linux/amd64\n" {
		t.Errorf("a bundle in parts: %d\n%s", code, text)
	}
}

func TestDamaged(t *testing.T) {
	s := newStick(t, carry.Contents{Bundle: "emr.tgz", Programs: all()})
	s.write(t, filepath.Join(s.dir, carry.Programs, "dhow-linux-amd64"), "#!/bin/sh\necho ran\n")
	want := "install: STICK/dhow-programs/dhow-linux-amd64 is damaged\nhint: copy it again, or use another stick\n"
	if text, code := s.install(t); code != 5 || text != want {
		t.Errorf("%d\n%swant\n%s", code, text, want)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, carry.Programs)); err != nil {
		t.Fatal(err)
	}
	want = "install: STICK/dhow-programs is not there, or can't be read\nhint: copy the whole stick, not this file alone\n"
	if text, code := s.install(t); code != 5 || text != want {
		t.Errorf("%d\n%swant\n%s", code, text, want)
	}
}

// TestWriteAgain: another bundle on the same stick, without sources.
func TestWriteAgain(t *testing.T) {
	s := newStick(t, carry.Contents{Bundle: "1.tgz", Sources: []string{"https://x/y"}, Programs: all()})
	s.write(t, filepath.Join(s.dir, "2.tgz"), "")
	n, err := carry.Write(t.Context(), s.dir, carry.Contents{Bundle: "2.tgz", Programs: all()})
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	if text, _ := s.install(t); text != "install|--from|STICK/2.tgz|linux/amd64\n" {
		t.Errorf("the second bundle: %s", text)
	}
	info, err := os.Stat(filepath.Join(s.dir, carry.Script))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the script can't be run: %v %v", info, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		carry.Contents
		want string
	}{
		{carry.Contents{}, "cannot write the installer: there is no program for any platform"},
		{carry.Contents{Sources: []string{"a\nb"}, Programs: all()}, `cannot write the installer: "a\nb" is no source`},
		{carry.Contents{Bundle: "a\nb", Programs: all()}, `cannot write the installer: "a\nb" is no name for a bundle`},
	} {
		if _, err := carry.Write(ctx, dir, c.Contents); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	cancel()
	if _, err := carry.Write(ctx, dir, carry.Contents{Programs: all()}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, carry.Script)); err == nil {
		t.Error("a script without its programs")
	}
}
