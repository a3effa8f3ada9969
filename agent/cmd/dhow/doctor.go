package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/words"
)

// Results of a check.
const (
	isGood    = "good"
	isWarning = "warning"
	isBad     = "bad"
)

// finding is what a check has found, in words. ID stays the same from version to version, whatever the words are.
type finding struct {
	Name   string `json:"name"`   // of the check
	ID     string `json:"id"`     // such as disk.little
	Result string `json:"result"` // good, warning or bad
	Text   string `json:"text"`   // what is good, or the cause of what is not
	Remedy string `json:"remedy,omitempty"`

	text, remedy string // keys of package words; where text is empty, Text is what somebody else has said, a detail of "doctor.because.ID"
	args         []any
	err          *api.Error // of which Text and Remedy are
	said         *api.Said  // Text for other languages
}

// diagnosis is what doctor prints with --json, in English. Result is the worst of all checks.
type diagnosis struct {
	Result string    `json:"result"`
	Checks []finding `json:"checks"`
}

// checks are all that doctor looks at, in the order of the output. Names are at most ten letters long. A check returns a finding for
// everything that it has looked at; it takes bounded time, and changes nothing. All of them run at the same time, but for those that come after the
// others. Those that need no site are also what install looks at before it makes one.
var checks = []struct {
	name  string
	check func(context.Context, *patient) []finding
	after bool
	early scope
}{
	{"agent", checkAgent, false, whole},
	{"dhow", checkDhow, false, whole},
	{"service", checkService, false, whole},
	{"settings", checkSettings, false, whole},
	{"language", checkLanguage, false, ofMachine},
	{"source", checkSources, false, ofWay},
	{"dns", checkNames, false, ofWay},
	{"proxy", checkProxy, false, ofWay},
	{"tls", checkCertificates, false, ofWay},
	{"login", checkLogins, false, ofWay},
	{"clock", checkClock, true, ofWay}, // the sources tell the time
	{"time zone", checkZone, false, ofWay},
	{"manifest", checkManifest, false, whole},
	{"root", checkRootExpiry, false, whole},
	{"engine", checkEngine, false, ofMachine},
	{"store", checkStore, false, whole},
	{"disk", checkDisk, false, ofMachine},
	{"inodes", checkInodes, false, ofMachine},
	{"memory", checkMemory, false, ofMachine},
	{"ports", checkPorts, false, ofDoors},
	{"stack", checkStack, false, whole},
	{"images", checkImages, false, whole},
	{"volumes", checkVolumes, false, whole},
	{"database", checkLocks, false, whole},
}

// scope is which checks are asked for.
type scope int

// Scopes of an examination, and of install before there is a site: once the engine answers; once the root is known, by which sources are judged; and once the
// settings are, with which the ports of a release are named.
const (
	whole scope = iota // of checks that need a site, and of an examination of one
	ofMachine
	ofWay
	ofDoors
)

// doctorTime bounds a whole examination, in which servers may be silent; checkTime bounds one check.
const (
	doctorTime = 40 * time.Second
	checkTime  = 25 * time.Second
)

func (s *shell) doctorCommand() *cobra.Command {
	var asJSON, deep, yes bool
	var fix string
	cmd := &cobra.Command{
		Use:  "doctor",
		Long: "help.long.doctor",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			p, err := s.patient(ctx)
			if err != nil {
				return err
			}
			switch fix {
			case "":
			case fixLock:
				return s.releaseLocks(ctx, p, yes)
			default:
				return api.Fail(api.CodeUsage, "what it can mend: dhow doctor --fix "+fixLock, "there is nothing called %q to mend", fix).In("fix_unknown", "value", fix, "fix", fixLock)
			}
			p.deep = deep
			limit := doctorTime
			if deep {
				limit = 12 * time.Hour
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			d := examine(ctx, p, whole)
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
				what := s.words.Count("doctor.checks", n)
				return api.Fail(api.CodeUnwell, "", "%s of %d found something wrong", count(n, "check"), len(d.Checks)).
					In("doctor_wrong", "checks", what, "all", strconv.Itoa(len(d.Checks)))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "help.flag.json")
	f.BoolVar(&deep, "deep", false, "help.flag.deep")
	f.StringVar(&fix, "fix", "", "help.flag.fix")
	f.BoolVar(&yes, "yes", false, "help.flag.fix_yes")
	return cmd
}

// examine runs all checks, or those of a scope.
func examine(ctx context.Context, p *patient, only scope) diagnosis {
	found := make([][]finding, len(checks))
	for _, after := range []bool{false, true} {
		var all sync.WaitGroup
		for i, c := range checks {
			if c.after != after || only != whole && c.early != only {
				continue
			}
			all.Go(func() { found[i] = p.bounded(ctx, c.check) })
		}
		all.Wait()
	}
	d := diagnosis{Result: isGood}
	for i, list := range found {
		for _, f := range list {
			f.Name = checks[i].name
			f.fill()
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

// bounded lets a check run for checkTime. One that does not listen is left behind, to end by itself.
func (p *patient) bounded(ctx context.Context, check func(context.Context, *patient) []finding) []finding {
	limit := checkTime
	if p.deep {
		limit = 12 * time.Hour
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan []finding, 1)
	go func() { done <- check(ctx, p) }()
	select {
	case list := <-done:
		return list
	case <-ctx.Done():
	}
	select {
	case list := <-done:
		return list
	case <-time.After(2 * time.Second): // for what it has found till then
		return warn("doctor.slow", "")
	}
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
	r := s.words
	s.tellFindings(d)
	switch n := d.count(isGood); {
	case n == len(d.Checks):
		s.printf("✓ %s\n", r.Count("doctor.all", n))
	case n > 0:
		s.printf("✓ %s\n", r.Count("doctor.others", n))
	}
}

// tellFindings prints what is not good, the worst first, each with its remedy.
func (s *shell) tellFindings(d diagnosis) {
	for _, sort := range []struct{ result, mark string }{{isBad, "✗"}, {isWarning, "!"}} {
		for _, f := range d.Checks {
			if f.Result != sort.result {
				continue
			}
			text, remedy := f.in(s.words)
			name := s.say("doctor.name." + strings.ReplaceAll(f.Name, " ", "_"))
			s.printf("%s %s %s\n", sort.mark, pad(name, 10), text)
			if remedy != "" {
				s.printf("             %s\n", s.say("doctor.remedy", "remedy", remedy))
			}
		}
	}
}

// in says a finding in the language of who reads it.
func (f finding) in(r *words.Reader) (text, remedy string) {
	text, remedy = f.Text, f.Remedy
	switch {
	case f.said != nil:
		text = f.said.In(r, f.Text)
	case f.err == nil && f.text == "" && r.Language() != "en":
		text = r.Say("doctor.because."+f.ID, "cause", f.Text)
	}
	if f.err != nil {
		text, remedy = r.Error(f.err.Kind, f.err.Message, f.err.Hint, f.err.Args)
	}
	if f.text != "" {
		text = r.Map(f.text, pairs(f.args))
	}
	if f.remedy != "" {
		remedy = r.Map(f.remedy, pairs(f.args))
	}
	return text, remedy
}

// pairs makes a map of names and values by turns.
func pairs(args []any) map[string]string {
	all := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		all[fmt.Sprint(args[i])] = fmt.Sprint(args[i+1])
	}
	return all
}

// sized are the arguments of a sentence that names a size, in every language.
func sized(name string, n int64, args ...any) []any {
	return append([]any{name, size(n), name + "_bytes", n}, args...)
}

// fill says it in English.
func (f *finding) fill() {
	f.Text, f.Remedy = f.in(words.For("en"))
	if f.ID == "" {
		f.ID = strings.TrimPrefix(f.text, "doctor.")
	}
}

// good, warn and bad make findings. Text and remedy are keys of package words, filled with the same args: names and values by turns.
func good(text string, args ...any) []finding {
	return []finding{{Result: isGood, text: text, args: args}}
}

func warn(text, remedy string, args ...any) []finding {
	return []finding{{Result: isWarning, text: text, remedy: remedy, args: args}}
}

func bad(text, remedy string, args ...any) []finding {
	return []finding{{Result: isBad, text: text, remedy: remedy, args: args}}
}

// failed makes a finding of an error, with its hint for a remedy.
func failed(result, id string, e *api.Error) []finding {
	return []finding{{Result: result, ID: id, Text: e.Message, Remedy: e.Hint, err: e}}
}

// said makes a finding of a sentence that another part of the agent has made. The remedy is a key.
func said(result, id, text, remedy string, args ...any) []finding {
	return []finding{{Result: result, ID: id, Text: text, remedy: remedy, args: args}}
}
