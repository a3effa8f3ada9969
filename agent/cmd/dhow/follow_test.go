package main

import (
	"bytes"
	"testing"

	"dhow/agent/api"
	"dhow/agent/words"
)

// TestAMistakeIsToldAfterAnOrder: what somebody wrote into dhow.yaml did not count, and he hears of it.
func TestAMistakeIsToldAfterAnOrder(t *testing.T) {
	for tag, want := range map[string]string{
		"en": "warning: The configuration can’t be used: dhow.yaml, line 3, column 5: unknown key\n  Correct the file. Until then the last good one counts.\n",
		"fr": "attention : La configuration est inutilisable : dhow.yaml, ligne 3, colonne 5 : unknown key\n  Corrigez le fichier. D’ici là, le dernier fichier correct reste valable.\n",
	} {
		var said bytes.Buffer
		s := &shell{err: &said, words: words.For(tag)}
		s.tellMistake(api.Status{Needs: []api.Need{{Kind: api.NeedDisk}}})
		if said.Len() > 0 {
			t.Errorf("without a mistake it says %q", said.String())
		}
		s.tellMistake(api.Status{Needs: []api.Need{{Kind: api.NeedConfig, Args: map[string]string{
			"file": "dhow.yaml", "line": "3", "column": "5", "problem": "unknown key",
		}}}})
		if got := said.String(); got != want {
			t.Errorf("it says\n%q, want\n%q", got, want)
		}
	}
}
