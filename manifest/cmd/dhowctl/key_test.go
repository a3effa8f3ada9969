package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/manifest/sign"
)

// TestExpiryWarnings: what comes to an end is said by every command that signs or shows keys, with what to do.
func TestExpiryWarnings(t *testing.T) {
	keyOptions = []sign.Option{sign.WithWork(4)}
	t.Cleanup(func() { keyOptions = nil })
	t.Setenv(passphraseVariable, "correct horse")
	dir := t.TempDir()
	fleet, web := filepath.Join(dir, "fleet"), filepath.Join(dir, "web")
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	dhowctl := func(days int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{in: os.Stdin, out: &out, err: &errs, now: func() time.Time { return start.AddDate(0, 0, days) }}
		root := a.root()
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err != nil {
			e := explain(err, a.running)
			return e.Message + "\nhint: " + e.Hint + "\n"
		}
		return errs.String()
	}
	dhowctl(0, "init", fleet, "--name", "f")
	dhowctl(0, "-C", fleet, "publish", "--to", web)
	const root90 = "warning: the fleet's root expires on 2031-11-20, in 85 days: dhowctl key renew, then dhowctl publish\n"
	for _, test := range []struct {
		days int
		args []string
		want string
	}{
		{1, []string{"key", "list"}, ""},
		{70, []string{"key", "list"}, "warning: the manifest's date of signing expires soon: on 2027-02-19, in 20 days: dhowctl publish\n"},
		{70, []string{"root", "show"}, "warning: the manifest's date of signing expires soon: on 2027-02-19, in 20 days: dhowctl publish\n"},
		{70, []string{"publish", "--to", web}, ""},
		{1740, []string{"publish", "--to", web}, root90},
		{1740, []string{"root", "show"}, root90},
		{1819, []string{"publish", "--to", web}, "warning: the fleet's root expires very soon: on 2031-11-20, in 6 days: dhowctl key renew, then dhowctl publish\n"},
		{1840, []string{"publish", "--to", web}, "cannot sign: the root has expired: it was good until 2031-11-20, and this computer's clock says 2031-12-05\n" +
			"hint: dhowctl key renew makes a new root; or is this computer's clock wrong?\n"},
		{1840, []string{"key", "renew"}, ""},
		{1840, []string{"publish", "--to", web}, ""},
	} {
		if got := dhowctl(test.days, append([]string{"-C", fleet}, test.args...)...); got != test.want {
			t.Errorf("day %d, %v:\n got %s\nwant %s", test.days, test.args, got, test.want)
		}
	}
}
