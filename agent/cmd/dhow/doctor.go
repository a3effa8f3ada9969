package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// Results of a check.
const (
	isGood    = "good"
	isWarning = "warning"
	isBad     = "bad"
)

// finding is what a check has found, in words.
type finding struct {
	Name   string `json:"name"`
	Result string `json:"result"` // good, warning or bad
	Text   string `json:"text"`   // what is good, or the cause of what is not
	Remedy string `json:"remedy,omitempty"`
}

// diagnosis is what doctor prints with --json. Result is the worst of all checks.
type diagnosis struct {
	Result string    `json:"result"`
	Checks []finding `json:"checks"`
}

// patient is what the checks look at. What could not be read is nil.
type patient struct {
	shell   *shell
	paths   site.Paths
	config  *site.Config
	trust   *trust.Client
	network *fetch.Network
	status  *api.Status // nil: no agent answers

	configErr, trustErr, agentErr error
}

// checks are all that doctor looks at, in the order of the output. Names are at most ten letters long. A check returns a finding for
// everything that it has looked at; it takes bounded time, and changes nothing.
var checks = []struct {
	name  string
	check func(context.Context, *patient) []finding
}{
	{"agent", checkAgent},
	{"settings", checkSettings},
	{"source", checkSources},
	{"clock", checkClock}, // after the sources, which tell the time
	{"time zone", checkZone},
	{"manifest", checkManifest},
	{"root", checkRootExpiry},
	{"engine", checkEngine},
	{"disk", checkDisk},
}

// doctorTime bounds a whole examination, in which servers may be silent.
const doctorTime = 40 * time.Second

func (s *shell) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor",
		Long: "Looks at the agent, the settings, the sources, the clock, the signed manifest, the engine and the disk. It changes nothing, and\n" +
			"also works while the agent does not run. The exit code is 0 when nothing is wrong, and 11 when something is.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTime)
			defer cancel()
			p, err := s.patient(ctx)
			if err != nil {
				return err
			}
			d := examine(ctx, p)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if asJSON {
				if err := s.json(d); err != nil {
					return err
				}
			} else {
				s.tellDiagnosis(d)
			}
			if n := d.count(isBad); n > 0 {
				return api.Fail(api.CodeUnwell, "", "%s of %d found something wrong", count(n, "check"), len(d.Checks))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func examine(ctx context.Context, p *patient) diagnosis {
	d := diagnosis{Result: isGood}
	for _, c := range checks {
		for _, f := range c.check(ctx, p) {
			f.Name = c.name
			d.Checks = append(d.Checks, f)
		}
	}
	for _, result := range []string{isWarning, isBad} {
		if d.count(result) > 0 {
			d.Result = result
		}
	}
	return d
}

func (d diagnosis) count(result string) int {
	n := 0
	for _, f := range d.Checks {
		if f.Result == result {
			n++
		}
	}
	return n
}

// tellDiagnosis prints what is not good, the worst first; of the rest only how much it is.
func (s *shell) tellDiagnosis(d diagnosis) {
	for _, sort := range []struct{ result, mark string }{{isBad, "✗"}, {isWarning, "!"}} {
		for _, f := range d.Checks {
			if f.Result != sort.result {
				continue
			}
			s.printf("%s %-10s %s\n", sort.mark, f.Name, f.Text)
			if f.Remedy != "" {
				s.printf("             remedy: %s\n", f.Remedy)
			}
		}
	}
	switch n := d.count(isGood); {
	case n == len(d.Checks):
		s.printf("✓ all %s are good\n", count(n, "check"))
	case n > 0:
		s.printf("✓ %s\n", count(n, "other check"))
	}
}

func good(format string, args ...any) []finding {
	return []finding{{Result: isGood, Text: fmt.Sprintf(format, args...)}}
}

func warn(remedy, format string, args ...any) []finding {
	return []finding{{Result: isWarning, Text: fmt.Sprintf(format, args...), Remedy: remedy}}
}

func bad(remedy, format string, args ...any) []finding {
	return []finding{{Result: isBad, Text: fmt.Sprintf(format, args...), Remedy: remedy}}
}

// known reports whether an agent's warning is what another check says.
func (p *patient) known(warning string) bool {
	if p.trust == nil {
		return false
	}
	current, err := p.trust.Current()
	return err == nil && slices.Contains(current.Warnings, warning) || warning == p.trust.Clock().Warning()
}
