package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) agentRemove() *cobra.Command {
	c := a.command("remove VERSION", "Take back a version of dhow that was never signed", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		agent, err := r.Agent(args[0])
		if err != nil {
			return unknownAgent(err)
		}
		if err := r.RemoveAgent(agent.Version); err != nil {
			return err
		}
		a.printf("Agent %s is removed. Its bytes stay in %s.\n", agent.Version, r.StoreDir())
		return nil
	})
	return c
}
