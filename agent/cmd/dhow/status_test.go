package main

import (
	"bytes"
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/agent/words"
)

func told(language string, st api.Status) string {
	var out bytes.Buffer
	s := &shell{out: &out, words: words.For(language)}
	s.tellStatus(st, noon)
	return out.String()
}

// What a person must see to comes first, with what to do, and is said once.
func TestNeedsComeFirst(t *testing.T) {
	st := api.Status{Site: "kin-001", Release: "1.0.0", Pinned: "1.0.0", State: api.StateIdle, Health: "unknown", Needs: []api.Need{
		{Kind: api.NeedEngine},
		{Kind: api.NeedDisk, Args: map[string]string{"missing": "1.1 GB", "missing_bytes": "1200000000"}},
		{Kind: api.NeedClock, Args: map[string]string{"now": "1970-01-01 00:03"}},
	}}
	st.Warn("this computer's clock looks wrong: it says 1970-01-01", api.Say("warn_clock", "now", "1970-01-01", "floor", "2026-11-21"))
	st.Warn("the agent can't go on and tries again: the Docker Engine does not answer", api.Say("warn_engine", "cause", "the Docker Engine does not answer"))
	st.Warn("something else", nil)
	st.Warn("the last backup could not be made: input/output error", api.Say("warn_backup", "cause", "input/output error"))
	for language, want := range map[string]string{
		"en": `The Docker Engine of this computer does not answer. Start the computer again. If that does not help, call for help.
The disk is too full: 1.2 GB more must be free. Delete what is not needed, such as films and downloads, but nothing of the system. It goes on by itself.
The clock of this computer is wrong: it says 1970-01-01 00:03. Set the date and the time of this computer.
kin-001   1.0.0 (pinned 1.0.0)   unknown
warning: something else
warning: the last backup could not be made: input/output error
`,
		"fr": `Le moteur Docker de cet ordinateur ne répond pas. Redémarrez l’ordinateur. Si cela ne suffit pas, appelez à l’aide.
Le disque est trop plein : il faut libérer encore 1,2 Go. Supprimez ce qui est inutile, comme des films et des téléchargements, mais rien du système. Cela reprend tout seul.
L’horloge de cet ordinateur est fausse : elle indique 1970-01-01 00:03. Réglez la date et l’heure de cet ordinateur.
kin-001   1.0.0 (fixée : 1.0.0)   santé inconnue
attention : something else
attention : la dernière sauvegarde n’a pas pu être faite : input/output error
`,
	} {
		if got := told(language, st); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", language, got, want)
		}
	}
}

// Why a fetch waits, and how long it takes, is said in the language of who reads.
func TestWaitsInWords(t *testing.T) {
	st := api.Status{Site: "kin-001", Release: "1.0.0", State: api.StateIdle, Fetch: &api.Fetching{
		Release: "1.1.0", Done: 12_400_000, Total: 34_000_000, Waits: "15 of 15 MB used today; it goes on tomorrow",
		WaitsSaid:    api.Say("hold_day", "used", "15 MB", "used_bytes", "15000000", "budget", "15 MB", "budget_bytes", "15000000"),
		Estimate:     "about 2 days with 15 MB a day",
		EstimateSaid: api.Say("estimate_day", "size", "15 MB", "size_bytes", "15000000", "long", "2 days", "long_seconds", "172800"),
	}}
	const want = "1.1.0 : 12,4 sur 34,0 Mo sont ici ; utilisé aujourd’hui : 15,0 Mo sur 15,0 Mo ; cela continue demain ; encore environ 2 jours avec 15,0 Mo par jour"
	if got := told("fr", st); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := told("en", st); !strings.Contains(got, "1.1.0: 12.4 of 34.0 MB are here; 15 of 15 MB used today; it goes on tomorrow; about 2 days with 15 MB a day to go") {
		t.Error(got)
	}
}

// Columns stand below each other although isolates and marks, which take no room, fill some cells.
func TestColumns(t *testing.T) {
	var out bytes.Buffer
	s := &shell{out: &out}
	s.columns([][]string{{"\u2068abc\u2069", "حُ", "x"}, {"abcd", "b", "y"}})
	if got, want := out.String(), "\u2068abc\u2069    حُ   x\nabcd   b   y\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := clip("\u2068abcdef\u2069", 3); got != "\u2068abc" {
		t.Errorf("clipped: %q", got)
	}
}
