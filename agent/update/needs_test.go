package update

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/manifest/trust"
)

// TestNeeds is the rule of the package comment: with any fact behind "all is well" unknown, too old, refused or failed there is a need, and without
// such a fact there is none.
func TestNeeds(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	for _, tt := range []struct {
		name string
		make func(k *found)
		want string
	}{
		{"all is well", func(*found) {}, ""},
		{"it starts", func(k *found) { k.Health = "starting" }, ""},
		{"ill", func(k *found) { k.Health = "unhealthy" }, "health"},
		{"nothing runs", func(k *found) { k.Health = "stopped" }, "health"},
		{"the engine is away", func(k *found) { k.Health, k.gone = "unknown", true }, "engine"},
		{"the engine is slow to say", func(k *found) { k.Health = "unknown" }, "unknown"},
		{"no word on health", func(k *found) { k.Health = "" }, "unknown"},
		{"an update runs", func(k *found) { k.Health, k.State = "stopped", api.StateUpdating }, ""},
		{"stuck", func(k *found) { k.Health, k.State = "stopped", api.StateStuck }, "stuck"},
		{"a mistake in dhow.yaml", func(k *found) { k.mistake = &site.ConfigError{} }, "config"},
		{"the journal can't be written", func(k *found) { k.trouble = "read-only file system" }, "trouble"},
		{"no room", func(k *found) { k.missing = 1 }, "disk"},
		{"the clock is lost", func(k *found) { k.now, k.says = time.Time{}, "2010-01-01 00:04" }, "clock"},
		{"the manifest was lost", func(k *found) { k.manifest = trust.ErrNothing }, "manifest"},
		{"the manifest is damaged", func(k *found) { k.manifest = errors.New("damaged") }, "manifest"},
		{"a new computer", func(k *found) { k.manifest, k.Release, k.Health = trust.ErrNothing, "", "" }, ""},
		{"a new computer with a damaged manifest", func(k *found) { k.manifest, k.Release, k.Health = trust.ErrDamaged, "", "" }, "manifest"},
		{"taken from the fleet", func(k *found) { k.assignment = errors.New("no site") }, "unassigned"},
		{"the manifest has expired", func(k *found) { k.expires = ago(1) }, "expired"},
		{"no answer for six days", func(k *found) { k.poll.Last = ago(6) }, ""},
		{"no answer for a week", func(k *found) { k.poll.Last = ago(7) }, "offline"},
		{"no source beyond this computer", func(k *found) { k.poll.Last, k.far = ago(70), false }, ""},
		{"never an answer, since today", func(k *found) { k.poll = Poll{First: ago(0)} }, ""},
		{"never an answer, for a week", func(k *found) { k.poll = Poll{First: ago(7)} }, "offline"},
		{"a forged answer", func(k *found) { k.poll.Refused = "forged" }, "untrusted"},
		{"an expired answer", func(k *found) { k.poll.Refused = "expired" }, "untrusted"},
		{"a registry behind the stick", func(k *found) { k.poll.Refused = "stale" }, ""},
		{"a registry that stays behind", func(k *found) { k.poll.Refused, k.poll.Last = "stale", ago(7) }, "untrusted"},
		{"a forged answer, then none", func(k *found) { k.poll.Refused, k.poll.Last = "forged", ago(9) }, "untrusted"},
		{"no backup", func(k *found) { k.failed = "no space" }, "backup"},
		{"backups that can't be read", func(k *found) { k.unreadable = true }, "backup"},
		{"a backup is due", func(k *found) { k.due = ago(2) }, ""},
		{"a backup is overdue", func(k *found) { k.due = ago(4) }, "backup"},
		{"the trial failed", func(k *found) { k.LastDrill = &api.Drill{} }, "drill"},
		{"the trial worked", func(k *found) { k.LastDrill = &api.Drill{OK: true} }, ""},
		{"the worst first", func(k *found) { k.gone, k.failed, k.poll.Refused, k.manifest = true, "x", "forged", trust.ErrNothing }, "engine manifest untrusted backup"},
	} {
		k := found{
			Status: &api.Status{Release: "1.0.0", Pinned: "1.0.0", State: api.StateIdle, Health: "healthy"},
			now:    now, far: true, expires: now.AddDate(0, 1, 0), poll: Poll{Last: ago(0)}, due: now.Add(time.Hour),
		}
		tt.make(&k)
		var got []string
		for _, n := range k.needs() {
			got = append(got, n.Kind)
		}
		if !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: needs %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPollFails: it is known since when nobody has answered, also where nobody ever did and where the clock was ahead.
func TestPollFails(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		poll Poll
		now  time.Time
		want time.Time
	}{
		{"never answered", Poll{}, now, now},
		{"never answered, for long", Poll{First: now.AddDate(0, 0, -9)}, now, now.AddDate(0, 0, -9)},
		{"never answered, and no clock", Poll{}, time.Time{}, time.Time{}},
		{"answered", Poll{Last: now.AddDate(0, 0, -2)}, now, now.AddDate(0, 0, -2)},
		{"answered in a year to come", Poll{Last: now.AddDate(9, 0, 0)}, now, now},
	} {
		tt.poll.failed("no answer", tt.now)
		if got := tt.poll.since(); !got.Equal(tt.want) || tt.poll.Error != "no answer" {
			t.Errorf("%s: since %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A mistake in the configuration is told with its place as far as that is known, and a file that is gone has none.
func TestPlaceOfAMistakeInWords(t *testing.T) {
	p := site.Paths{Prefix: t.TempDir()}
	for _, c := range []struct{ text, want string }{
		{"", ": the file is gone"},
		{"site: a\nhook: \"x\n", ", line 2, column 7: found unexpected end of stream"},
		{"site: \xff\n", ", line 1, column 7: invalid leading UTF-8 octet"},
		{"site: a\n- b\n", ", line 2: did not find expected key"},
		{"site: a\nx: *b\n", ": unknown anchor 'b' referenced"},
		{strings.Repeat("#", 2<<20), ": cannot read configuration: " + p.Config() + ": larger than 1 MiB"},
	} {
		if c.text != "" {
			if err := os.MkdirAll(filepath.Dir(p.Config()), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p.Config(), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		k := found{Status: &api.Status{Release: "1.0.0", Health: "healthy"}, mistake: configMistake(p)}
		n := k.needs()[0]
		got, want := words.For("en").Map("need."+n.Kind, n.Args), "The configuration can’t be used: "+p.Config()+c.want
		if n.Kind != api.NeedConfig || got != want {
			t.Errorf("%.40q: %s, want %s", c.text, got, want)
		}
	}
}
