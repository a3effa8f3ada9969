package api

import "maps"

// Said is a sentence of the agent for other languages than English: "said.KIND" of package words, filled with Args. Why, where it is set, is a
// sentence in it, which fills the argument cause.
//
// Where Args has NAME_bytes or NAME_seconds, a number, NAME is said by it in the words of who reads; NAME itself stays as English has it.
type Said struct {
	Kind string            `json:"kind"`
	Args map[string]string `json:"args,omitempty"`
	Why  *Said             `json:"why,omitempty"`
}

// Say makes a Said of a kind and names and values by turns.
func Say(kind string, args ...string) *Said { return &Said{Kind: kind, Args: pairs(args)} }

// For returns s with a sentence in it.
func (s *Said) For(why *Said) *Said {
	said := *s
	said.Why = why
	return &said
}

// Speaker puts a kind and its arguments into words, or leaves the English text as it is: *words.Reader.
type Speaker interface {
	Said(kind string, args map[string]string, english string) string
}

// maxWhy bounds how deep sentences lie in each other: the agent makes two.
const maxWhy = 4

// In says s to who reads. english is what the agent has said, which stays where s is nil or not known.
func (s *Said) In(r Speaker, english string) string { return s.in(r, english, maxWhy) }

func (s *Said) in(r Speaker, english string, deep int) string {
	if s == nil || deep == 0 {
		return english
	}
	args := s.Args
	if s.Why != nil {
		args = maps.Clone(args)
		if args == nil {
			args = map[string]string{}
		}
		args["cause"] = s.Why.in(r, args["cause"], deep-1)
	}
	return r.Said(s.Kind, args, english)
}

// Warning is a sentence of Status.Warnings. Said is nil where there is none for other languages.
type Warning struct {
	Text string
	Said *Said
}

// Warn adds a warning. said may be nil.
func (s *Status) Warn(text string, said *Said) {
	s.Warnings = append(s.Warnings, text)
	if said != nil {
		for len(s.WarningsSaid) < len(s.Warnings)-1 {
			s.WarningsSaid = append(s.WarningsSaid, Said{})
		}
		s.WarningsSaid = append(s.WarningsSaid, *said)
	}
}

// Warned lists all warnings.
func (s *Status) Warned() []Warning {
	list := make([]Warning, len(s.Warnings))
	for i, text := range s.Warnings {
		list[i].Text = text
		if i < len(s.WarningsSaid) && s.WarningsSaid[i].Kind != "" {
			list[i].Said = &s.WarningsSaid[i]
		}
	}
	return list
}

// sameAs names the Need that says what a kind of warning says, with what to do.
var sameAs = map[string]string{
	"warn_clock":            NeedClock,
	"warn_engine":           NeedEngine,
	"warn_manifest_expired": NeedExpired,
}

// Further lists the warnings that no Need says already: who shows both needs and warnings shows these.
func (s *Status) Further() (list []Warning) {
	needed := map[string]bool{}
	for _, n := range s.Needs {
		needed[n.Kind] = true
	}
	for _, w := range s.Warned() {
		if w.Said != nil && needed[sameAs[w.Said.Kind]] {
			continue
		}
		list = append(list, w)
	}
	return list
}
