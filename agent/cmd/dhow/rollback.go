package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) rollbackCommand() *cobra.Command {
	var req api.RollbackRequest
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:  "rollback",
		Long: "help.long.rollback",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Data != "" && req.Data != "restore" && req.Data != "keep" {
				return api.Fail(api.CodeUsage, "see: dhow rollback --help", "--data is %q: use restore or keep", req.Data).In("data_flag", "value", req.Data)
			}
			return s.rollback(cmd.Context(), req, yes, asJSON)
		},
	}
	cmd.Flags().StringVar(&req.To, "to", "", "help.flag.rollback.to")
	cmd.Flags().StringVar(&req.Data, "data", "", "help.flag.rollback.data")
	cmd.Flags().BoolVar(&yes, "yes", false, "help.flag.yes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json_yes")
	return cmd
}

// rollback says what would be lost, asks, and follows what it has ordered.
func (s *shell) rollback(ctx context.Context, req api.RollbackRequest, yes, asJSON bool) error {
	plan, err := s.client().PlanRollback(ctx, req)
	if err != nil {
		return err
	}
	if !asJSON {
		s.tellPlan(plan, fault.Now())
	}
	if err := s.confirm(plan, yes); err != nil {
		return err
	}
	return s.follow(ctx, asJSON, func(c *api.Client) (api.Started, error) { return order(ctx, c, plan) })
}

// order asks for exactly what the plan says, whatever has become newest meanwhile.
func order(ctx context.Context, c *api.Client, plan api.RollbackPlan) (api.Started, error) {
	if plan.Backup != "" {
		return c.Rollback(ctx, api.RollbackRequest{Backup: plan.Backup, Confirm: plan.Site})
	}
	return c.Rollback(ctx, api.RollbackRequest{To: plan.To, Data: plan.Data, Confirm: plan.Site})
}

func (s *shell) tellPlan(p api.RollbackPlan, now time.Time) {
	s.printf("%s\n", arrow(p.From, p.To))
	if p.Data == "restore" && !p.DataSince.IsZero() {
		s.sayln("cli.back_to_data", "moment", s.clock(p.DataSince, now))
	}
	for i, line := range p.Loss {
		if i < len(p.Said) {
			line = s.message(line, &p.Said[i])
		}
		s.printf("%s\n", sentence(line))
	}
}

func (s *shell) confirm(p api.RollbackPlan, yes bool) error {
	if yes {
		return nil
	}
	answer, asked := s.ask(s.say("cli.type_site", "site", p.Site) + " ")
	switch {
	case !asked:
		return api.Fail(api.CodeNotConfirmed, "use a terminal, or --yes", "not confirmed; nothing was done").In("not_asked")
	case answer != p.Site:
		return api.Fail(api.CodeNotConfirmed, "", "that is not the name of the site; nothing was done").In("wrong_name")
	}
	return nil
}
