package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

// busy are the states in which a restart of the agent would keep users waiting, or begin something anew. A fetch goes on at the byte, and
// what is stuck may be what a newer agent can mend.
var busy = []string{api.StateUpdating, api.StateUndoing, api.StateBackup, api.StateBundle}

// underWay is true in these states, and while another program of the agent is tried: its trial would begin anew.
func underWay(st api.Status) bool {
	return slices.Contains(busy, st.State) || st.Agent != nil && st.Agent.Trial
}

// idleCommand is what the packages ask before they restart the agent (installer/package).
func (s *shell) idleCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:    "idle",
		Short:  "End with 0 when nothing is under way here, with 7 otherwise",
		Hidden: true,
		Args:   exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.idle(cmd.Context(), wait, time.Second)
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "help.flag.idle.wait")
	return cmd
}

// idle is nil when nothing is under way, also when no agent runs. It asks again at every tick until wait is over.
func (s *shell) idle(ctx context.Context, wait, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(wait, 0)+10*time.Second)
	defer cancel()
	over := time.After(wait)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		st, err := s.client().Status(ctx)
		switch {
		case err != nil && api.Code(err) == api.CodeNoAgent:
			return nil
		case err != nil:
			return err
		case !underWay(st):
			return nil
		}
		select {
		case <-tick.C:
		case <-over:
			return api.Fail(api.CodeBusy, "see: "+s.command("status"), "something is under way: %s", st.State).In("idle_busy", "state", st.State)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
