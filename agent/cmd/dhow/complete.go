package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

// completeWithin is how long somebody who has pressed Tab waits for the agent.
const completeWithin = time.Second

// takesFiles are the commands whose arguments are files or folders; the other ones get no file names offered.
var takesFiles = map[string]bool{"verify": true, "man": true, "package-files": true}

// completions says what the shell offers where cobra can't know it.
func (s *shell) completions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		s.completions(cmd)
		if cmd.ValidArgsFunction == nil && cmd.Runnable() && !cmd.HasSubCommands() && !takesFiles[cmd.Name()] {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	if root.HasParent() {
		return
	}
	for _, path := range [][]string{{"backup", "verify"}, {"backup", "restore"}, {"backup", "export"}, {"backup", "delete"}} {
		if cmd, _, err := root.Find(path); err == nil {
			cmd.ValidArgsFunction = s.offer(true, func(b api.Backup) string { return b.Name })
		}
	}
	if cmd, _, err := root.Find([]string{"rollback"}); err == nil {
		_ = cmd.RegisterFlagCompletionFunc("to", s.offer(false, func(b api.Backup) string {
			if b.Restore {
				return b.Release
			}
			return ""
		}))
		_ = cmd.RegisterFlagCompletionFunc("data", cobra.FixedCompletions([]string{"restore", "keep"}, cobra.ShellCompDirectiveNoFileComp))
	}
	var languages []cobra.Completion
	for _, l := range s.words.Languages() {
		languages = append(languages, cobra.CompletionWithDesc(l.Tag, l.Name))
	}
	_ = root.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(languages, cobra.ShellCompDirectiveNoFileComp))
}

// offer completes with what pick takes from the site's backups; once says that one is enough. Without an agent nothing is offered.
func (s *shell) offer(once bool, pick func(api.Backup) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if once && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completeWithin)
		defer cancel()
		list, err := s.client().Backups(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		seen := map[string]bool{"": true}
		for _, b := range list {
			if name := pick(b); !seen[name] && strings.HasPrefix(name, begin) {
				seen[name] = true
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}
