package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"dhow/agent/words"
)

// Every command says in every language what it is for, and its help can be read.
func TestHelpInEveryLanguage(t *testing.T) {
	for _, l := range words.For().Languages() {
		s := &shell{words: words.For(l.Tag)}
		root := s.root()
		var walk func(*cobra.Command)
		walk = func(cmd *cobra.Command) {
			_, path, _ := strings.Cut(cmd.CommandPath(), " ")
			if key := "help." + orElse(strings.ReplaceAll(path, " ", "."), "dhow"); !s.words.Has(key) && !cmd.Hidden {
				t.Errorf("%s has no sentence %s", l.Tag, key)
			}
			var out strings.Builder
			args := append(strings.Fields(path), "--help", "--lang", l.Tag)
			if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != 0 {
				t.Errorf("dhow %s: %d\n%s", strings.Join(args, " "), code, out.String())
			}
			for _, want := range []string{cmd.Short, s.say("help.heading.usage"), s.say("help.heading.flags"), s.say("help.heading.help", "command", cmd.Name())} {
				if cmd.Name() != "help" && cmd.Long == "" && !strings.Contains(out.String(), want) {
					t.Errorf("dhow %s: no %q in\n%s", strings.Join(args, " "), want, out.String())
				}
			}
			for _, c := range cmd.Commands() {
				walk(c)
			}
		}
		walk(root)
	}
}

func TestLanguageIsChosen(t *testing.T) {
	prefix := t.TempDir()
	config := filepath.Join(prefix, "etc", "dhow", "dhow.yaml")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, config, all, messages, lang, want string
	}{
		{"status", "", "", "", "", "en"},
		{"status", "", "", "", "fr_CD.UTF-8", "fr"},
		{"status", "", "", "es", "fr_CD.UTF-8", "es"},
		{"status", "", "C", "es", "fr_CD.UTF-8", "en"},
		{"status", "site: a\nlanguage: 'sw' # Kiswahili\n", "pt", "", "", "sw"},
		{"status", "language: sw\nsite: [\n", "", "", "", "sw"},
		{"status", "# language: sw\n  language: sw\n", "ar", "", "", "ar"},
		{"status", "language: de\n", "ar", "", "", "ar"},
		{"status --lang ht", "language: sw\n", "pt", "", "", "ht"},
		{"--lang=ht status", "language: sw\n", "pt", "", "", "ht"},
		{"status -- --lang ht", "language: sw\n", "", "", "", "sw"},
		{"status --lang", "", "pt", "", "", "pt"},
	} {
		if err := os.WriteFile(config, []byte(c.config), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_MESSAGES", c.messages)
		t.Setenv("LANG", c.lang)
		for _, where := range [][]string{{"--prefix", prefix}, {"--prefix=" + prefix}} {
			if got := readerFor(append(where, strings.Fields(c.args)...)).Language(); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		}
		t.Setenv("DHOW_PREFIX", prefix)
		if got := readerFor(strings.Fields(c.args)).Language(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
