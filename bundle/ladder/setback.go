package ladder

import (
	"fmt"

	"dhow/manifest"
)

// Setback is a rung that failed.
type Setback struct {
	Layer manifest.Layer
	Rung  Rung
	Err   error
	Next  Kind // what is done instead; empty when nothing is
	// Fetched is set when the blob came and did not give the layer, rather than not coming.
	Fetched bool
	// Lasting says that the same would happen the next time: the blob is not to be tried again.
	Lasting bool
}

// Text is a sentence for people. name says which layer that is, for example "layer 3 of backend".
func (s Setback) Text(name string) string {
	what := name + " as zstd"
	if s.Rung.Kind == Delta {
		what = fmt.Sprintf("the delta from %s to %s", s.Rung.From, name)
	}
	how := "could not be had"
	switch {
	case noRoom(s.Err):
		how = "found no room"
	case s.Fetched:
		how = "did not fit"
	}
	text := fmt.Sprintf("%s %s: %v", what, how, s.Err)
	switch s.Next {
	case Delta:
		return text + "; a delta is taken"
	case Full, Carried:
		return text + "; fetched whole"
	}
	return text
}
