package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// withoutJSON are the commands whose answer no script reads, and why.
var withoutJSON = map[string]string{
	"dhow install":   "talks with the technician; how it went is its exit code, and dhow status --json",
	"dhow uninstall": "talks with the technician, too",
	"dhow agent":     "is the service; it writes a log",
	"dhow serve":     "goes on until it is ended",
	"dhow page pin":  "reads a PIN, and answers nothing",
}

// TestJSON: every command that answers something answers in JSON when it is asked to.
func TestJSON(t *testing.T) {
	s := &shell{in: strings.NewReader(""), out: io.Discard, err: io.Discard, words: english}
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			look(below)
		}
		if c.HasAvailableSubCommands() && c.Flags().Lookup("json") == nil || c.Hidden || !c.Runnable() || c.Name() == "help" {
			return
		}
		why, without := withoutJSON[c.CommandPath()]
		if got := c.Flags().Lookup("json") == nil; got != without {
			t.Errorf("%s: --json is missing: %v; expected: %v %s", c.CommandPath(), got, without, why)
		}
	}
	look(s.root())
}
