package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dhow/manifest/audit"
	"dhow/manifest/sign"
)

// signLines is how many changes a signer is shown; --json has all.
const signLines = 20

// proposal is what is shown of a ceremony: everything that its documents change against those that were signed last.
type proposal struct {
	*sign.Proposal
	changes []audit.Change
	effect  *sign.Effect // nil when only the keys change
}

// propose compares the fleets of a ceremony. r may be nil; it tells what releases let sites do as far as it has those of the ceremony.
func propose(r *sign.Repository, p *sign.Proposal) (*proposal, error) {
	out := &proposal{Proposal: p}
	if number, _ := p.Manifest(); number == 0 {
		return out, nil
	}
	if p.Behind {
		r = nil
	}
	if r != nil {
		known, err := r.Releases()
		if err != nil {
			return nil, err
		}
		for _, v := range p.Added {
			if !slices.Contains(known, v) {
				r = nil
				break
			}
		}
	}
	before, after := p.Fleets()
	out.changes = append(audit.Compare(before, after, p.Removed, p.Added), audit.Ways(p.Ways, p.NoWays)...)
	out.changes = append(out.changes, audit.Agents(p.Agents)...)
	var err error
	if r != nil {
		out.effect, err = r.Effect(after)
	} else {
		out.effect, err = sign.EffectOf(before, after)
	}
	return out, err
}

// proposalText shows people what a ceremony would change.
func proposalText(p *proposal, dir string) string {
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
		texts := changeTexts(p.changes)
		head := "changes   "
		for _, text := range texts[:min(len(texts), signLines)] {
			line("%s %s", head, text)
			head = "          "
		}
		switch more := len(texts) - signLines; {
		case len(texts) == 0:
			line("changes    none")
		case more > 0:
			line("           and %d more, see --json", more)
		}
		line("sites      %s", effectText(p.effect))
		for _, text := range effectLines(p.effect) {
			line("           %s", text)
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
	Compared    bool          `json:"compared"` // with a repository of the fleet
	Behind      bool          `json:"behind"`   // which is older than the file
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
	Number   int64          `json:"number"`
	Expires  time.Time      `json:"expires"`
	Unproven bool           `json:"unproven"` // what was signed last can't be believed: everything counts as new
	Changes  []audit.Change `json:"changes"`  // as those of diff --json
	*sign.Effect
}

type jsonWanting struct {
	Document string   `json:"document"`
	Need     int      `json:"need"`
	Signed   []string `json:"signed,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

func proposalJSON(p *proposal) jsonProposal {
	out := jsonProposal{Fleet: p.Fleet, Fingerprint: p.Fingerprint, Compared: p.Compared, Behind: p.Behind, By: p.By, Complete: true}
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
		out.Manifest = &jsonManifest{number, expires, p.Unproven, p.changes, p.effect}
	}
	for _, w := range p.Wanting() {
		out.Signatures = append(out.Signatures, jsonWanting{w.Document, w.Need, w.Signed, w.Missing})
		out.Complete = out.Complete && w.Done()
	}
	return out
}
