package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/installer"
)

// shell is what all commands share.
type shell struct {
	prefix   string
	lang     string
	words    *words.Reader
	in       io.Reader
	out, err io.Writer
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	// The compose library warns about variables by way of a global logger, with parts of their values. Nothing of it may be printed.
	logrus.SetOutput(io.Discard)
	s := &shell{in: in, out: out, err: errOut, words: readerFor(args)}
	root := s.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return api.CodeOK
	}
	e := s.hinted(explain(err))
	message, hint := s.said(e)
	fmt.Fprintf(errOut, "dhow: %s\n", message)
	if hint != "" {
		fmt.Fprintln(errOut, s.say("cli.hint", "hint", hint))
	}
	return e.Code
}

func (s *shell) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "dhow",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          known,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := s.checkLanguage(); err != nil || s.prefix == "" {
				return err
			}
			abs, err := filepath.Abs(s.prefix)
			s.prefix = abs
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&s.prefix, "prefix", os.Getenv("DHOW_PREFIX"),
		"help.flag.prefix")
	cmd.PersistentFlags().StringVar(&s.lang, "lang", "", "help.flag.lang")
	cmd.SetFlagErrorFunc(flagError)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(
		s.installCommand(), s.uninstallCommand(), s.agentCommand(), s.updateCommand(), s.laterCommand(), s.pauseCommand(), s.resumeCommand(), s.statusCommand(), s.reportCommand(), s.historyCommand(),
		s.rollbackCommand(), s.backupCommand(), s.bundleCommand(), s.verifyCommand(), s.doctorCommand(), s.logsCommand(), s.supportCommand(), s.pageCommand(), s.serveCommand(), s.fetchCommand(), s.versionCommand(), s.emptyFolderCommand(),
		s.manCommand(), s.packageFilesCommand(), s.packagePutCommand(), s.idleCommand(), s.configTopic(), exitCodes(),
	)
	cmd.InitDefaultHelpCmd()
	for _, c := range cmd.Commands() {
		if c.Name() == "help" {
			c.Args = helped
		}
	}
	s.localize(cmd)
	s.completions(cmd)
	return cmd
}

// known refuses what is no command of cmd.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	name := strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "dhow ")
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		meant := cmd.CommandPath() + " " + like[0]
		return api.Fail(api.CodeUsage, "did you mean: "+meant, "there is no command %q", name).In("no_command_like", "command", name, "like", meant)
	}
	return api.Fail(api.CodeUsage, "see: "+cmd.CommandPath()+" --help", "there is no command %q", name).In("no_command", "command", name)
}

// helped refuses help on what is no command.
func helped(cmd *cobra.Command, args []string) error {
	if found, rest, err := cmd.Root().Find(args); err != nil || len(rest) > 0 && found.HasSubCommands() {
		return known(found, rest)
	}
	return nil
}

// exactly wants n arguments, named as in the usage line.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

// between wants at least and at most so many arguments.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		usage := cmd.Parent().CommandPath() + " " + cmd.Use
		return api.Fail(api.CodeUsage, "see: "+cmd.CommandPath()+" --help", "use it like this: %s", usage).In("usage", "usage", usage)
	}
}

// explain gives every error a code, and where it can a hint.
func explain(err error) *api.Error {
	var e *api.Error
	var mistake *site.ConfigError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &mistake):
		place := strings.TrimSuffix(strings.TrimSuffix(err.Error(), mistake.Message), ": ")
		return api.Fail(api.CodeUsage, "correct the file and try again", "%s: %s", place, mistake.Message).In("config", append(mistake.Problem(), "place", place)...)
	case errors.Is(err, context.Canceled):
		return api.Fail(api.CodeInternal, "", "interrupted").In("interrupted")
	case errors.Is(err, fs.ErrPermission):
		return api.Fail(api.CodeInternal, "try it with sudo", "%v", err).In("not_allowed", "cause", err.Error())
	}
	return api.Fail(api.CodeInternal, "", "%v", err)
}

// hinted names the right command for the agent of a prefix: no service runs it.
func (s *shell) hinted(e *api.Error) *api.Error {
	if e.Code != api.CodeNoAgent {
		return e
	}
	command := s.command("agent")
	if s.prefix == "" {
		if command = installer.ServiceCommand("start", installer.Name); e.Kind != "no_agent" || strings.HasPrefix(command, "sudo systemctl ") {
			return e // its own hint names systemd
		}
	}
	hinted := *e
	hinted.Hint = "start it with: " + command
	if e.Kind != "no_agent" {
		hinted.Kind = "" // its own hint names the service
		return &hinted
	}
	return hinted.In("no_agent_here", "command", command)
}

// command is how a person calls dhow for this site.
func (s *shell) command(args string) string {
	if s.prefix == "" {
		return "dhow " + args
	}
	return "dhow --prefix " + s.prefix + " " + args
}

// count says how many of something there are.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *shell) paths() site.Paths { return site.Paths{Prefix: s.prefix} }

func (s *shell) client() *api.Client { return api.NewClient(s.paths().Socket()) }

// config reads the configuration of this site.
func (s *shell) config() (*site.Config, error) {
	c, err := site.LoadConfig(s.paths().Config())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Fail(api.CodeUsage, "install it first: dhow install --help", "dhow is not installed on this computer").In("not_installed")
	}
	return c, err
}

func (s *shell) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// json prints v as it is read by scripts.
func (s *shell) json(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// ask prints a question and reads a line. Without a terminal nobody can answer.
func (s *shell) ask(question string) (answer string, ok bool) {
	if !terminal(s.in) {
		return "", false
	}
	s.printf("%s", question)
	line, err := bufio.NewReader(io.LimitReader(s.in, 4096)).ReadString('\n')
	return strings.TrimSpace(line), err == nil
}

func terminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// draws reports whether a line can be drawn again and again there.
func draws(v any) bool { return terminal(v) && os.Getenv("TERM") != "dumb" }
