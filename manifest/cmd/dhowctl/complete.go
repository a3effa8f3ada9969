package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// takesFiles are the commands whose arguments are files or folders; the other ones get no file names offered.
var takesFiles = map[string]bool{
	"init": true, "man": true, "sign": true, "bundle verify": true, "bundle split": true, "key add": true, "key export": true, "site import": true,
	"agent add": true, "fleet status": true, "support open": true,
}

// completions says what the shell offers: names from the fleet repository, for arguments and for the flags of every command.
func (a *app) completions(root *cobra.Command) {
	for path, names := range map[string]func() []string{
		"pin": a.versions, "promote": a.versions, "release show": a.versions, "release remove": a.versions,
		"ring set": a.rings, "ring remove": a.rings,
		"site set": a.sites, "site remove": a.sites, "hold": a.sites, "release-hold": a.sites,
	} {
		if cmd, _, err := root.Find(strings.Fields(path)); err == nil {
			cmd.ValidArgsFunction = offer(1, names)
		}
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for flag, names := range map[string]func() []string{
			"release": a.versions, "since": a.versions, "deltas-from": a.versions, "site": a.sites, "ring": a.rings, "from": nil, "to": nil,
		} {
			if cmd.Name() == "promote" && names == nil {
				names = a.rings
			}
			if f := cmd.LocalNonPersistentFlags().Lookup(flag); f != nil && names != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, offer(-1, names))
			}
		}
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		if cmd.ValidArgsFunction == nil && cmd.Runnable() && !cmd.HasSubCommands() && !takesFiles[path] {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// offer completes with names, for at most so many arguments; -1 for a flag. Without a repository there are none.
func offer(most int, names func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begin string) (list []string, _ cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, n := range names() {
			if strings.HasPrefix(n, begin) {
				list = append(list, n)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func (a *app) versions() []string {
	r, err := a.repository()
	if err != nil {
		return nil
	}
	list, err := r.Releases()
	if err != nil {
		return nil
	}
	return list
}

func (a *app) rings() []string {
	r, err := a.repository()
	if err != nil {
		return nil
	}
	return sorted(r.Fleet().Fleet().Rings)
}

func (a *app) sites() []string {
	r, err := a.repository()
	if err != nil {
		return nil
	}
	return sorted(r.Fleet().Fleet().Sites)
}
