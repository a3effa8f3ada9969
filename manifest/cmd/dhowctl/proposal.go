package main

import (
	"fmt"
	"strings"
	"time"

	"dhow/manifest/sign"
)

// proposalText shows people what a ceremony would change.
func proposalText(p *sign.Proposal, dir string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	held := "not held against anything: there is no fleet repository here"
	switch {
	case p.Behind:
		held = "held against " + dir + ", which is older"
	case p.Compared:
		held = "held against " + dir
	}
	line("fleet      %s, root fingerprint %s (%s)", p.Fleet, p.Fingerprint, held)
	if p.By != "" {
		line("prepared   by %s", p.By)
	}
	if number, expires := p.Root(); number > 0 {
		line("root       %d (expires %s)", number, expires.Format(time.DateOnly))
		added, removed, thresholds := p.Keys()
		for _, k := range added {
			line("           key added: %s (%s, %s)", k.Name, k.Role, k.ID[:8])
		}
		for _, k := range removed {
			line("           key removed: %s (%s, %s)", k.Name, k.Role, k.ID[:8])
		}
		for _, text := range thresholds {
			line("           %s", text)
		}
	}
	if number, expires := p.Manifest(); number > 0 {
		line("manifest   %d (expires %s)", number, expires.Format(time.DateOnly))
		if p.Unproven {
			line("           what was signed before it is not signed by the present keys: everything is shown as new")
		}
		for _, text := range p.Policy() {
			line("policy     %s", text)
		}
		for _, v := range p.Added {
			line("release    %s is new", v)
		}
		for _, v := range p.Removed {
			line("release    %s is removed", v)
		}
		if moves := strings.TrimSpace(movesText(p.Changes())); moves != "" {
			line("sites      %s", moves)
		} else {
			line("sites      none will move")
		}
		settings, holds, rings, gone := p.Others()
		for _, o := range []struct {
			n    int
			what string
		}{{settings, "with other settings"}, {holds, "whose hold begins or ends"}, {rings, "in another ring"}, {gone, "no longer in the fleet"}} {
			if o.n > 0 {
				line("           %s %s", count(o.n, "site"), o.what)
			}
		}
	}
	for _, w := range p.Wanting() {
		line("signatures %s", wantingText(w))
	}
	return b.String()
}

// wantingText says who has signed, and who still may: "manifest 7: 1 of 2 have signed (release); missing: 1 of anna, ben".
func wantingText(w sign.Wanting) string {
	text := fmt.Sprintf("%s: %d of %d", w.Document, min(len(w.Signed), w.Need), w.Need)
	if len(w.Signed) > 0 {
		text += " (" + strings.Join(w.Signed, ", ") + ")"
	}
	if !w.Done() {
		text += fmt.Sprintf("; missing: %d of %s", w.Need-len(w.Signed), strings.Join(w.Missing, ", "))
	}
	return text
}

// jsonProposal is what sign --json prints.
type jsonProposal struct {
	Fleet       string        `json:"fleet"`
	Fingerprint string        `json:"fingerprint"`
	Compared    bool          `json:"compared"`
	By          string        `json:"by,omitempty"`
	Root        *jsonRoot     `json:"root,omitempty"`
	Manifest    *jsonManifest `json:"manifest,omitempty"`
	Signatures  []jsonWanting `json:"signatures"`
	Complete    bool          `json:"complete"`
}

type jsonRoot struct {
	Number     int64     `json:"number"`
	Expires    time.Time `json:"expires"`
	Added      []jsonKey `json:"added,omitempty"`
	Removed    []jsonKey `json:"removed,omitempty"`
	Thresholds []string  `json:"thresholds,omitempty"`
}

type jsonKey struct {
	Name string `json:"name"`
	Role string `json:"role"`
	ID   string `json:"id"`
}

type jsonManifest struct {
	Number  int64      `json:"number"`
	Expires time.Time  `json:"expires"`
	Added   []string   `json:"added,omitempty"`
	Removed []string   `json:"removed,omitempty"`
	Policy  []string   `json:"policy,omitempty"`
	Moves   []jsonMove `json:"moves,omitempty"`
}

type jsonMove struct {
	Site string `json:"site"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

type jsonWanting struct {
	Document string   `json:"document"`
	Need     int      `json:"need"`
	Signed   []string `json:"signed,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

func proposalJSON(p *sign.Proposal) jsonProposal {
	out := jsonProposal{Fleet: p.Fleet, Fingerprint: p.Fingerprint, Compared: p.Compared, By: p.By, Complete: true}
	if number, expires := p.Root(); number > 0 {
		added, removed, thresholds := p.Keys()
		keys := func(list []sign.Key) (out []jsonKey) {
			for _, k := range list {
				out = append(out, jsonKey{k.Name, k.Role, k.ID})
			}
			return out
		}
		out.Root = &jsonRoot{number, expires, keys(added), keys(removed), thresholds}
	}
	if number, expires := p.Manifest(); number > 0 {
		out.Manifest = &jsonManifest{number, expires, p.Added, p.Removed, p.Policy(), movesJSON(p.Changes())}
	}
	for _, w := range p.Wanting() {
		out.Signatures = append(out.Signatures, jsonWanting{w.Document, w.Need, w.Signed, w.Missing})
		out.Complete = out.Complete && w.Done()
	}
	return out
}

func movesJSON(changes []sign.Change) (out []jsonMove) {
	for _, c := range changes {
		out = append(out, jsonMove(c))
	}
	return out
}
