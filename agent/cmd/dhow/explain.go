package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// States of a step of an explanation.
const (
	stepGood    = "good"
	stepWarning = "warning" // holds, and a person should know something
	stepUnknown = "unknown" // could not be looked at
	stepBroken  = "broken"
)

var marks = map[string]string{stepGood: "✓", stepWarning: "!", stepUnknown: "?", stepBroken: "✗"}

// explanation is the chain from the root of trust to the running images, and what verify --explain --json prints.
type explanation struct {
	Site   string `json:"site"`
	Bundle string `json:"bundle,omitempty"`
	Steps  []step `json:"steps"`

	code int // exit code, as far as it is not that of a broken step
}

type step struct {
	Step  string `json:"step"`
	State string `json:"state"`
	Text  string `json:"text"`
}

func (e *explanation) add(state, name, format string, args ...any) {
	e.Steps = append(e.Steps, step{Step: name, State: state, Text: fmt.Sprintf(format, args...)})
}

// broken returns the first step that does not hold.
func (e *explanation) broken() *step {
	for i := range e.Steps {
		if e.Steps[i].State == stepBroken {
			return &e.Steps[i]
		}
	}
	return nil
}

// explain shows why this site runs what it runs, or with a path why a bundle is good for it. Every step is verified now.
func (s *shell) explain(ctx context.Context, path string) (*explanation, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	client, err := trust.Open(s.paths().Trust(), trust.Options{Now: fault.Now, Floor: buildTime()})
	if err != nil {
		return nil, trustError(err)
	}
	e := &explanation{Site: config.Site, Bundle: path}
	if path != "" {
		return e, s.explainBundle(ctx, e, client.Scratch(), config, path)
	}
	m := explainChain(e, client)
	s.explainSite(ctx, e, client, config, m)
	return e, nil
}

func (s *shell) runExplain(ctx context.Context, path string, asJSON bool) error {
	e, err := s.explain(ctx, path)
	if err != nil {
		return err
	}
	if asJSON {
		if err := s.json(e); err != nil {
			return err
		}
		return e.outcome()
	}
	s.tellExplained(e)
	return e.outcome()
}

func (s *shell) tellExplained(e *explanation) {
	for _, st := range e.Steps {
		s.printf("%s %-14s %s\n", marks[st.State], st.Step, st.Text)
	}
}

// outcome is the error that goes with an explanation.
func (e *explanation) outcome() error {
	if b := e.broken(); b != nil {
		hint, kind := "look at it with: dhow doctor   and tell the central team", "chain_broken"
		if e.Bundle != "" {
			hint, kind = "do not use it; ask the central team for another one", "chain_broken_bundle"
		}
		return api.Fail(api.CodeNotTrusted, hint, "the chain is broken at %s: %s", b.Step, b.Text).In(kind, "step", b.Step, "cause", b.Text)
	}
	if e.code != api.CodeOK {
		return api.Fail(e.code, "start the agent and repeat", "the chain holds as far as it could be looked at, but the journal could not be asked").In("chain_unasked")
	}
	return nil
}

// explainChain adds the documents from the root to the fleet. It returns nil when there is no manifest that holds.
func explainChain(e *explanation, client *trust.Client) *trust.Manifest {
	links, err := client.Explain()
	for n, l := range links {
		name, text := linkWords(l, n)
		if n > 0 && l.Document == "root" {
			name, text = "root", rootText(l, links[n-1].Number)
		}
		switch {
		case l.Err != nil:
			e.add(stepBroken, name, "%v", l.Err)
		case l.Document != "fleet": // which is described below
			e.add(stepGood, name, "%s", text)
		}
	}
	if err != nil {
		e.add(stepBroken, "manifest", "%v", err)
		return nil
	}
	m, err := client.Current()
	if err != nil {
		e.add(stepBroken, "manifest", "%v", err)
		return nil
	}
	for _, w := range m.Warnings {
		e.add(stepWarning, "manifest", "%s", w)
	}
	if e.broken() != nil {
		return nil
	}
	e.add(stepGood, "fleet", "%s: %s, %s; the very documents that manifest %d names",
		m.Fleet.Name, count(len(m.Fleet.Rings), "ring"), count(len(m.Releases), "release"), m.Number)
	return m
}

// linkWords says what a link is and by what it holds.
func linkWords(l trust.Link, place int) (name, text string) {
	signed := "signed"
	if !l.Made.IsZero() {
		signed += " on " + l.Made.Format("2006-01-02 15:04Z")
	}
	if l.By != "" {
		signed += " by " + l.By
	}
	signed += " with " + keysText(l)
	until := "good until " + l.Expires.Format(time.DateOnly)
	switch l.Document {
	case "root":
		return "root of trust", fmt.Sprintf("root %d, given at install: fingerprint %s; %s", l.Number, l.Fingerprint, until)
	case "targets":
		return "manifest", fmt.Sprintf("manifest %d, %s, %s", l.Number, signed, until)
	case "fleet":
		return "fleet", ""
	}
	return l.Document, fmt.Sprintf("%s %d, %s, %s", l.Document, l.Number, signed, until)
}

func rootText(l trust.Link, before int64) string {
	return fmt.Sprintf("root %d, fingerprint %s: signed with %s of root %d; good until %s",
		l.Number, l.Fingerprint, keysText(l), before, l.Expires.Format(time.DateOnly))
}

func keysText(l trust.Link) string {
	text := "key "
	if len(l.Signers) != 1 {
		text = "keys "
	}
	text += strings.Join(l.Signers, ", ")
	if l.Of > 1 {
		text += fmt.Sprintf(" (%d of %d needed)", l.Needed, l.Of)
	}
	return text
}

// explainPin adds what the manifest asks of this site. It returns the release, empty when there is none.
func explainPin(e *explanation, m *trust.Manifest, name string) (pin string, as manifest.Assignment) {
	as, err := m.Fleet.Assignment(name)
	if err != nil {
		e.add(stepBroken, "this site", "%v", err)
		return "", as
	}
	text := fmt.Sprintf("%s, ring %s: ", as.Site, as.Ring)
	switch {
	case as.Pin == "":
		e.add(stepWarning, "this site", "%sno release is pinned", text)
		return "", as
	case m.Fleet.Sites[name].Pin != "":
		text += "pinned to " + as.Pin + " by itself"
	default:
		text += "pinned to " + as.Pin + " with its ring"
	}
	if as.Asked != "" {
		text += " (asked for: " + as.Asked + ")"
	}
	if as.Hold != nil {
		text += "; held: " + as.Hold.Reason
	}
	e.add(stepGood, "this site", "%s", text)
	return as.Pin, as
}

// explainBundle adds what a bundle brings: its chain, this site's release and its bytes.
func (s *shell) explainBundle(ctx context.Context, e *explanation, client *trust.Client, config *site.Config, path string) error {
	src, err := fetch.Open(ctx, path)
	if err != nil {
		return trustError(err)
	}
	defer src.Close()
	_, err = client.Refresh(ctx, src, true)
	switch {
	case errors.Is(err, bundle.ErrUnreachable), errors.Is(err, context.Canceled):
		return trustError(err)
	case err != nil:
		for _, root := range client.Roots()[:1] {
			if print, err := trust.Fingerprint(root); err == nil {
				e.add(stepGood, "root of trust", "given at install: fingerprint %s", print)
			}
		}
		e.add(stepBroken, "manifest", "%v", err)
		return nil
	}
	m := explainChain(e, client)
	if m == nil {
		return nil
	}
	pin, _ := explainPin(e, m, config.Site)
	if pin == "" {
		return nil
	}
	release, d, err := client.Release(ctx, src, pin)
	if err != nil {
		e.add(stepBroken, "release", "%v", err)
		return nil
	}
	e.add(stepGood, "release", "%s, document %s, as manifest %d lists it", release.Version, d, m.Number)
	v, err := s.verify(ctx, path)
	if err != nil {
		e.add(stepBroken, "bytes", "%v", err)
		return nil
	}
	images, err := release.PlatformImages(v.Platform)
	if err != nil {
		e.add(stepBroken, "images", "%v", err)
		return nil
	}
	for n, image := range images {
		e.add(stepGood, "image", "%s: configuration %s", release.Images[n].Ref, image.Config.Digest)
	}
	e.add(stepGood, "bytes", "%s, %s, %s for %s, every one read", count(v.Images, "image"), count(v.Files, "file"), size(v.Bytes), v.Platform)
	return nil
}
