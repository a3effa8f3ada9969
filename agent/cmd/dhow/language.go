package main

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
)

// readerFor chooses the language of who reads: --lang, dhow.yaml, then what the environment says. It looks at args before cobra does, whose help is to be
// in that language too.
func readerFor(args []string) *words.Reader {
	return words.For(flagIn(args, "--lang"), configured(site.Paths{Prefix: orElse(flagIn(args, "--prefix"), os.Getenv("DHOW_PREFIX"))}), environment())
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// flagIn finds the value of a flag among arguments that nobody has looked at yet.
func flagIn(args []string, name string) string {
	for i, a := range args {
		if a == "--" {
			return ""
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
		if value, ok := strings.CutPrefix(a, name+"="); ok {
			return value
		}
	}
	return ""
}

// maxConfig bounds what is read of dhow.yaml to find a line in it.
const maxConfig = 64 << 10

var languageLine = regexp.MustCompile(`(?m)^language:[ \t]*["']?([A-Za-z][A-Za-z0-9_-]*)`)

// configured is the language of dhow.yaml. It is found in one that is not valid too: that it is not valid is said in the same language.
func configured(paths site.Paths) string {
	f, err := os.Open(paths.Config())
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return ""
	}
	if m := languageLine.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}

// environment is the language for messages, as POSIX looks for it: C is English.
func environment() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// checkLanguage refuses a --lang that nobody can read here.
func (s *shell) checkLanguage() error {
	if s.lang == "" || words.Speaks(s.lang) {
		return nil
	}
	var tags []string
	for _, l := range s.words.Languages() {
		tags = append(tags, l.Tag)
	}
	return api.Fail(api.CodeUsage, "there are: "+strings.Join(tags, ", "), "there is no language %q", s.lang).
		In("no_language", "language", s.lang, "languages", strings.Join(tags, ", "))
}

// say returns a sentence in the reader's language.
func (s *shell) say(key string, args ...any) string { return s.words.Say(key, args...) }

// sayln prints a sentence in the reader's language as a line.
func (s *shell) sayln(key string, args ...any) { s.printf("%s\n", s.words.Say(key, args...)) }

// said puts an error into the reader's language.
func (s *shell) said(e *api.Error) (message, hint string) {
	return s.words.Error(e.Kind, e.Message, e.Hint, e.Args)
}

// localize gives cmd, and what is below it, the words that help shows. What a command is for stands in package words under "help.PATH"; flags, and
// commands that have more to say, name keys of their own.
func (s *shell) localize(cmd *cobra.Command) {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if key := "help." + orElse(strings.ReplaceAll(path, " ", "."), "dhow"); s.words.Has(key) {
		cmd.Short = s.say(key)
	}
	if cmd.Flags().Lookup("help") == nil {
		cmd.Flags().BoolP("help", "h", false, s.say("help.heading.help", "command", cmd.Name()))
	}
	switch {
	case s.words.Has(cmd.Long):
		cmd.Long = s.say(cmd.Long)
	case path == "help":
		cmd.Long = "" // cobra's own, in English
	}
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if s.words.Has(f.Usage) {
				f.Usage = s.say(f.Usage)
			}
		})
	}
	cmd.SetUsageFunc(s.usage)
	for _, c := range cmd.Commands() {
		s.localize(c)
	}
}

// usage prints how cmd is used. It leaves the last line open, as cobra's own does.
func (s *shell) usage(cmd *cobra.Command) error {
	var b strings.Builder
	heading := func(key string) { b.WriteString("\n\n" + s.say(key)) }
	b.WriteString(s.say("help.heading.usage"))
	if cmd.Runnable() {
		b.WriteString("\n  " + strings.Replace(cmd.UseLine(), "[flags]", s.say("help.value.flags"), 1))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n  " + cmd.CommandPath() + " " + s.say("help.value.command"))
		heading("help.heading.commands")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() || c.Name() == "help" {
				b.WriteString("\n  " + c.Name() + strings.Repeat(" ", max(0, c.NamePadding()-len(c.Name()))) + " " + c.Short)
			}
		}
	}
	if cmd.HasAvailableLocalFlags() {
		heading("help.heading.flags")
		b.WriteString(s.flagUsages(cmd.LocalFlags()))
	}
	if cmd.HasAvailableInheritedFlags() {
		heading("help.heading.global")
		b.WriteString(s.flagUsages(cmd.InheritedFlags()))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n\n" + s.say("help.heading.more", "command", cmd.CommandPath()+" "+s.say("help.value.command")+" --help"))
	}
	b.WriteString("\n")
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// flagUsages lists flags as pflag does, in the reader's words.
func (s *shell) flagUsages(set *pflag.FlagSet) string {
	var rows [][2]string
	wide := 0
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		left := "      --" + f.Name
		if f.Shorthand != "" {
			left = "  -" + f.Shorthand + ", --" + f.Name
		}
		kind := f.Value.Type()
		if kind == "stringSlice" || kind == "stringArray" {
			kind = "strings"
		}
		if key := "help.value." + kind; s.words.Has(key) {
			left += " " + s.say(key)
		}
		text := f.Usage
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
			value := f.DefValue
			if f.Value.Type() == "string" {
				value = strconv.Quote(value)
			}
			text += " " + s.say("help.value.default", "value", value)
		}
		rows = append(rows, [2]string{left, text})
		wide = max(wide, displayed(left))
	})
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("\n" + pad(row[0], wide) + "   " + row[1])
	}
	return b.String()
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	e := api.Fail(api.CodeUsage, "see: "+cmd.CommandPath()+" --help", "%v", err)
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return e.In("flag_unknown", "flag", dashed(unknown.GetSpecifiedName()))
	case errors.As(err, &bare):
		return e.In("flag_bare", "flag", dashed(bare.GetSpecifiedName()))
	case errors.As(err, &wrong):
		return e.In("flag_wrong", "flag", "--"+wrong.GetFlag().Name, "value", wrong.GetValue())
	}
	return e
}

func dashed(flag string) string {
	if len(flag) == 1 {
		return "-" + flag
	}
	return "--" + flag
}
