package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

// known refuses what is no command of cmd.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "did you mean: " + cmd.CommandPath() + " " + like[0]
	}
	return fail(api.CodeUsage, "there is no command "+strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "dhowctl "), hint)
}

// wrongArguments matches what cobra says of too few or too many.
var wrongArguments = regexp.MustCompile(`^(accepts|requires) .*arg\(s\)`)

// misused says how the command is used that was called in a wrong way.
func misused(cmd *cobra.Command, e *api.Error) *api.Error {
	said := *e
	if cmd.HasParent() && wrongArguments.MatchString(said.Message) {
		said.Message = "use it like this: " + cmd.Parent().CommandPath() + " " + cmd.Use
	}
	if said.Hint == "" {
		said.Hint = "see: " + cmd.CommandPath() + " --help"
	}
	return &said
}
