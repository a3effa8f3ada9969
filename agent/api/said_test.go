package api

import (
	"fmt"
	"slices"
	"testing"
)

type echo struct{}

func (echo) Said(kind string, args map[string]string, english string) string {
	return fmt.Sprintf("%s(%s)", kind, args["cause"])
}

func TestSaidIn(t *testing.T) {
	var none *Said
	loop := &Said{Kind: "loop"}
	loop.Why = loop
	for got, want := range map[string]string{
		none.In(echo{}, "as it is"):                                       "as it is",
		Say("a", "cause", "x").In(echo{}, ""):                             "a(x)",
		Say("a", "cause", "x").For(nil).In(echo{}, ""):                    "a(x)",
		Say("a", "cause", "x").For(Say("b", "cause", "y")).In(echo{}, ""): "a(b(y))",
		loop.In(echo{}, ""):                                               "loop(loop(loop(loop())))",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A Need takes the place of the warning that says the same, whatever stands between warnings that have words and those that have none.
func TestFurther(t *testing.T) {
	var s Status
	s.Warn("plain", nil)
	s.Warn("the clock is wrong", Say("warn_clock"))
	s.Warn("plain too", nil)
	s.Warn("old copies", Say("warn_untidy"))
	texts := func() (list []string) {
		for _, w := range s.Further() {
			kind := ""
			if w.Said != nil {
				kind = w.Said.Kind
			}
			list = append(list, w.Text+"/"+kind)
		}
		return list
	}
	if got, want := texts(), []string{"plain/", "the clock is wrong/warn_clock", "plain too/", "old copies/warn_untidy"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Needs = []Need{{Kind: NeedClock}, {Kind: NeedDisk}}
	if got, want := texts(), []string{"plain/", "plain too/", "old copies/warn_untidy"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
