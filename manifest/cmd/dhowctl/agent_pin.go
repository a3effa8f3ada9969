package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) agentPin() *cobra.Command {
	var ring string
	var allow bool
	c := a.command("pin VERSION | none [--ring RING]", "Say which version of dhow itself the sites run", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error { return a.pinAgent(args[0], ring, allow) })
	c.Long = "Pins the agent for all sites, or for those of a ring in place of that. A site fetches it, tries it beside the one that it has when nothing\n" +
		"else is under way, and keeps it only when it has worked there for two minutes; else the old one is back by itself, and the site says so.\n" +
		"The system that people use is not touched. A held site keeps its agent, too.\n\n" +
		"A site never goes back to an older agent, unless the pin is made with --allow-downgrade. \"none\" leaves sites on what they have."
	c.Flags().StringVar(&ring, "ring", "", "a ring only")
	c.Flags().BoolVar(&allow, "allow-downgrade", false, "also where sites run a newer one")
	return c
}

func (a *app) pinAgent(version, ring string, allow bool) error {
	r, err := a.repository()
	if err != nil {
		return err
	}
	pin := ""
	var agent *manifest.Agent
	if version != "none" {
		if agent, err = r.Agent(version); err != nil {
			return unknownAgent(err)
		}
		pin = agent.Version
	} else if allow {
		return fail(api.CodeUsage, "--allow-downgrade goes with a version", "")
	}
	was := r.Fleet().Fleet().Agent
	if ring != "" {
		was = r.Fleet().Fleet().Rings[ring].Agent
	}
	if err := r.Fleet().PinAgent(ring, pin, allow); err != nil {
		return usage(err)
	}
	now, err := r.Resolve()
	if errors.Is(err, sign.ErrAgentDowngrade) {
		e := plainly(err)
		return fail(api.CodeRefused, e.Error(), "dhowctl agent pin "+version+" --allow-downgrade takes sites back")
	}
	if err != nil {
		return plainly(err)
	}
	if err := r.SaveFleet(); err != nil {
		return err
	}
	who := "All sites"
	if ring != "" {
		who = "The sites of ring " + ring
	}
	done := "are to run agent " + pin
	if pin == "" {
		done = "are told no agent of their own"
	}
	if was != "" && was != pin {
		done += " (was " + was + ")"
	}
	a.printf("%s %s.\n", who, done)
	last, _, err := r.Signed()
	if err != nil {
		return err
	}
	a.printf("Next publish: %s\n", agentText(agentMoves(last, now)))
	return nil
}

func unknownAgent(err error) error {
	if errors.Is(err, sign.ErrUnknownAgent) {
		return fail(api.CodeUsage, err.Error(), "dhowctl agent add VERSION DIST")
	}
	return usage(err)
}

// agentMoves counts the sites whose agent the next signing changes, by what they get.
func agentMoves(last, now *manifest.Fleet) map[string]int {
	moves := map[string]int{}
	for name := range now.Sites {
		to, err := now.Assignment(name)
		if err != nil || to.Agent == "" || to.Hold != nil {
			continue
		}
		if last != nil {
			if from, err := last.Assignment(name); err == nil && from.Agent == to.Agent && from.Hold == nil {
				continue
			}
		}
		moves[to.Agent]++
	}
	return moves
}

// agentText says what agents will do: "12 sites will try agent 1.4.0".
func agentText(moves map[string]int) string {
	text := ""
	for _, v := range sorted(moves) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s will try agent %s", count(moves[v], "site"), v)
	}
	if text == "" {
		return "no agent will change."
	}
	return text + "."
}
