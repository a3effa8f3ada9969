package main

import (
	"strings"
	"testing"
)

// TestBadFlags: what a person has written wrong is said in words, with what is right.
func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"pause --for 10":                           "dhow: --for \"10\" is no length of time\nhint: write it like --for 3h or --for 90m\n",
		"pause --for 30s":                          "dhow: --for is 30s: a pause lasts a minute at least\nhint: write it like --for 3h or --for 90m\n",
		"help updat":                               "dhow: there is no command \"updat\"\nhint: did you mean: dhow update\n",
		"help backup lst":                          "dhow: there is no command \"backup lst\"\nhint: did you mean: dhow backup list\n",
		"bundle export":                            "dhow: where to is missing: --to PATH\nhint: see: dhow bundle export --help\n",
		"bundle export --to oci://u:p@x/y":         "dhow: cannot write bundle oci://u:xxxxx@x/y: --to must be a path of this computer\nhint: name a file, a folder or a stick; for a network: dhow serve\n",
		"fetch --ring a --from b -o c --rate fast": "dhow: --rate: \"fast\" is no speed: write it like \"64 kB/s\" or \"512 kbit/s\", at least 1 kB/s\nhint: see: dhow fetch --help\n",
	} {
		var out shout
		if code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &out); code != 2 || out.String() != want {
			t.Errorf("dhow %s: %d\n%swant\n%s", args, code, out.String(), want)
		}
	}
}
