package words

import "strings"

// Step says in plain words what a step of a change does ("keeping a safe copy"), or what undoing it means.
func (r *Reader) Step(step string, undoing bool) string {
	switch key := "step." + step; {
	case undoing && r.Has(key+".undo"):
		return r.Say("step.going_back_by", "step", r.Say(key+".undo"))
	case undoing:
		return r.Say("step.going_back")
	case r.Has(key):
		return r.Say(key)
	}
	return strings.ReplaceAll(step, "-", " ")
}

// Undo says what is done to take a step back, in a sentence that says that it goes backwards.
func (r *Reader) Undo(step string) string {
	if key := "step." + step + ".undo"; r.Has(key) {
		return r.Say(key)
	}
	return r.Say("step.going_back")
}
