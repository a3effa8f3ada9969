package main

import (
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) pauseCommand() *cobra.Command {
	var asJSON bool
	var text string
	cmd := &cobra.Command{
		Use:  "pause",
		Long: "help.long.pause",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			length, err := pauseLength(text, cmd.Flags().Changed("for"))
			if err != nil {
				return err
			}
			p, err := s.client().Pause(cmd.Context(), api.PauseRequest{Seconds: int64(length / time.Second)})
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(p)
			}
			s.printf("%s\n", sentence(s.say("cli.paused", "paused", s.pauseText(p.Pause, fault.Now()))))
			s.sayln("cli.ends_with", "command", s.command("resume"))
			return nil
		},
	}
	cmd.Flags().StringVar(&text, "for", "", "help.flag.pause.for")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}

// pauseLength is 0 for a pause without an end.
func pauseLength(text string, given bool) (time.Duration, error) {
	if !given {
		return 0, nil
	}
	const hint = "write it like --for 3h or --for 90m"
	length, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, api.Fail(api.CodeUsage, hint, "--for %q is no length of time", text).In("no_length", "value", text)
	case length < time.Minute:
		return 0, api.Fail(api.CodeUsage, hint, "--for is %s: a pause lasts a minute at least", length).In("short_pause", "value", text)
	}
	return length, nil
}

// pauseText says who has ordered that nothing is fetched, and for how long.
func (s *shell) pauseText(p *api.Pause, now time.Time) string {
	if p.Until == nil {
		return s.say("cli.paused_since", "moment", s.clock(p.Since, now))
	}
	return s.say("cli.paused_until", "moment", s.clock(*p.Until, now))
}
