package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dhow/agent/words"
)

// inEnglish are the commands whose longer text is for the central team and those who write the configuration: it stands in English only.
var inEnglish = []string{"agent", "bundle export", "dhow.yaml", "empty-folder", "exit-codes", "fetch", "idle", "man", "package-files", "serve", "verify"}

// No English stands in the help of a command in another language, but for what names things (a file, a format, a value).
func TestHelpHoldsNoEnglish(t *testing.T) {
	help := map[string]map[string]string{} // by language, and by what it is
	for _, l := range words.For().Languages() {
		texts, seen := map[string]string{}, false
		help[l.Tag] = texts
		s := &shell{words: words.For(l.Tag)}
		var walk func(*cobra.Command)
		walk = func(cmd *cobra.Command) {
			_, path, _ := strings.Cut(cmd.CommandPath(), " ")
			if path == "completion" {
				seen = true
				return // all of it is cobra's own; README says that it is English
			}
			if !cmd.Hidden {
				texts[path] = cmd.Short
				if !slices.Contains(inEnglish, path) {
					texts[path+": more"] = cmd.Long
				}
			}
			for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
				set.VisitAll(func(f *pflag.Flag) { texts[path+" --"+f.Name] = f.Usage })
			}
			for _, c := range cmd.Commands() {
				walk(c)
			}
		}
		root := s.root()
		root.InitDefaultCompletionCmd() // as cobra does when it runs
		if walk(root); !seen {
			t.Error("there is no completion")
		}
	}
	if n := len(help["en"]); n < 150 {
		t.Fatalf("found only %d texts", n)
	}
	for tag, texts := range help {
		for what, text := range texts {
			switch {
			case strings.HasPrefix(text, "help."):
				t.Errorf("%s: there is no sentence %s", what, text)
			case tag != "en" && text != "" && text == help["en"][what]:
				t.Errorf("%s in %s: %q is English", what, tag, text)
			}
		}
	}
}
