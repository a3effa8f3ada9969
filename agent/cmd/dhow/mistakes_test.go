package main

import (
	"errors"
	"strings"
	"testing"

	"dhow/agent/site"
	"dhow/agent/words"
)

// Every mistake in dhow.yaml is told in the reader's language; in English as errors and logs have it.
func TestMistakesInWords(t *testing.T) {
	kinds := map[string]bool{}
	for _, text := range []string{
		"", "site: [\n", "- a\n", "site: a\nwindwo: x\n", "site: a\nzzzzzzzz: x\n", "site: a\nsite: b\n", "site: [a]\n", "site: a\nsources: b\n",
		"site: a\nsources: ['']\n", "site: a\nadopt: {dir: /x}\n", "window: 21:00-05:00\n", "site: '?'\n", "site: a\nmirrors: [b]\n",
		"site: a\nmirrors: {docker.io: r.local:5000, registry-1.docker.io: r.local:5000, index.docker.io: r.local:5000}\n",
		"site: a\nmirrors: {'a b': c}\n", "site: a\npage: maybe\n", "site: a\npage: {cert: /x}\n", "site: a\npage: {listen: x}\n", "site: a\npage: {hosts: ['a b']}\n",
		"site: a\npage: {cert: x}\n", "site: a\nmetrics: x\n", "site: a\nnotify: x\n", "site: a\nhook: [x]\n", "site: a\nbackup: {folders: [x]}\n",
		"site: a\nsticks: {folder: x}\n", "site: a\nrestore: {from: x}\n", "site: a\nbackup: {keep: x}\n", "site: a\nbackup: {days: x}\n", "site: a\nbudget: {day: x}\n",
		"site: a\nrate: fast\n", "site: a\nquiet: x\n", "site: a\nwindow: x\n", "site: a\nwindow: 21:00-21:00\n", "site: a\ntime_zone: x\n",
		"site: a\nfetch: CRON_TZ=UTC 0 20 * * *\n", "site: a\nfetch: x\n", "site: a\nserve: x\n", "site: a\nserve: h:8911\n",
	} {
		_, err := site.ParseConfig([]byte(text))
		var e *site.ConfigError
		if !errors.As(err, &e) {
			t.Errorf("%q is no mistake: %v", text, err)
			continue
		}
		kinds[e.Kind] = true
		e.Path = "dhow.yaml"
		told := explain(e)
		for _, l := range words.For().Languages() {
			got := words.For(l.Tag).Map("error."+told.Kind, told.Args)
			switch {
			case strings.Contains(got, "?") && strings.Contains(got, "config."):
				t.Errorf("%q in %s: %s", text, l.Tag, got)
			case l.Tag == "en" && got != told.Message:
				t.Errorf("%q: %q, and in English words %q", text, told.Message, got)
			case l.Tag != "en" && e.Kind != "yaml" && e.Kind != "other" && strings.Contains(got, e.Message):
				t.Errorf("%q in %s is English: %s", text, l.Tag, got)
			}
		}
	}
	for kind := range kinds {
		if !words.For("en").Has("config." + kind) {
			t.Errorf("there is no sentence config.%s", kind)
		}
	}
	if len(kinds) < 35 {
		t.Errorf("found only %d kinds of mistakes: %v", len(kinds), kinds)
	}
}
