// Package audit reads the history of a fleet out of its signed metadata: who pinned what, when, and with which key.
//
// Nothing but signed documents is believed. Every root is held against the one before it, every signed list against the release keys
// of a root that was in force when it was signed: the first one, not older than that of the list before, whose keys have signed it. What is
// missing or does not verify is said in place of what it would have told; the changes that it made then show with the next list that is there.
//
// The dates and names are those that the lists carry (custom fields "made" and "by", see manifest/sign): whoever had the release key
// wrote them. A fleet repository keeps every list; a published place or a bundle as many as its publisher left there.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/trust"
)

// Options say what of a history is wanted.
type Options struct {
	Site  string           // only what concerns this site
	Ring  string           // only what concerns this ring
	Since time.Time        // only what was signed then or later; documents without a date count
	Now   func() time.Time // the computer's clock; nil means time.Now
}

// History is what happened, the newest first.
type History struct {
	Fleet    string   `json:"fleet"`
	Manifest int64    `json:"manifest"` // number of the newest
	Root     int64    `json:"root"`     // number of the newest
	Entries  []Entry  `json:"entries"`
	Damaged  []string `json:"damaged"` // what is there and can't be believed, in sentences
}

// Entry is one signed document. Problem is set, and nothing else is known, where it is missing or does not verify.
type Entry struct {
	Kind    string    `json:"kind"` // manifest or root
	Number  int64     `json:"number"`
	Last    int64     `json:"last,omitempty"` // of several missing ones in a row: the last
	Made    time.Time `json:"made,omitzero"`
	By      string    `json:"by,omitempty"`
	Keys    []string  `json:"keys,omitempty"` // that have signed it
	Root    int64     `json:"signed_under_root,omitempty"`
	Changes []Change  `json:"changes"`
	Problem string    `json:"problem,omitempty"`
}

// Change is one thing that a document changed. Text is the whole of it for people.
type Change struct {
	What  string `json:"what"` // release, ways, ring, site, policy, key, threshold, renewed, or state: the first list that is here, and not the first
	Name  string `json:"name,omitempty"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Sites int    `json:"sites,omitempty"` // that it moves
	Text  string `json:"text"`
}

// Limits of the documents in bytes, as a site has them.
const (
	maxRoot    = 256 << 10
	maxTargets = 8 << 20
)

// reader is one reading of a history.
type reader struct {
	ctx     context.Context
	src     trust.Source
	opts    Options
	history *History
	roots   []*metadata.Metadata[metadata.RootType] // 1 to the newest that verifies
	used    int64                                   // roots that a signed list has needed so far
	last    *state                                  // the last list that is known
}

// state is what a signed list says.
type state struct {
	releases map[string]string // version to digest
	ways     map[string]string // version to digest
	fleet    *manifest.Fleet   // nil when its document is not there
}

// Read reads the history from src, beginning with root, which is believed. It fails when the newest manifest itself does not verify.
func Read(ctx context.Context, src trust.Source, root []byte, opts Options) (*History, error) {
	client, err := trust.Scratch(root, trust.Options{Now: opts.Now})
	if err != nil {
		return nil, err
	}
	newest, err := client.Refresh(ctx, src, true)
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, src: src, opts: opts, history: &History{
		Fleet: newest.Fleet.Name, Manifest: newest.Number, Entries: []Entry{}, Damaged: []string{},
	}}
	if err := r.readRoots(root); err != nil {
		return nil, err
	}
	for n := int64(1); n <= newest.Number; n++ {
		if err := r.manifest(n); err != nil {
			return nil, err
		}
	}
	r.rootsUpTo(int64(len(r.roots)))
	slices.Reverse(r.history.Entries)
	return r.history, nil
}

// document reads a document and bounds it before it is parsed. What the source lacks is fs.ErrNotExist; an error of kind errDamaged says
// that it can't be believed; any other ends the reading.
func (r *reader) document(path string, limit int64) ([]byte, error) {
	data, err := r.src.Document(r.ctx, path, limit)
	if err != nil {
		return nil, err
	}
	err = manifest.CheckJSON(data, manifest.JSONLimits{Size: limit, Depth: 12, Values: 500_000, NoNull: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return data, nil
}

var errDamaged = errors.New("damaged")

// manifest adds the signed list number n.
func (r *reader) manifest(n int64) error {
	path := fmt.Sprintf("metadata/%d.targets.json", n)
	data, err := r.document(path, maxTargets)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.missing(n)
		return nil
	case errors.Is(err, errDamaged), errors.Is(err, manifest.ErrTooLarge):
		r.damaged(n, path, err)
		return nil
	case err != nil:
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	m, err := metadata.Targets().FromBytes(data)
	if err != nil || m.Signed.Version != n {
		r.damaged(n, path, errors.New("it is not a signed list of that number"))
		return nil
	}
	root := r.inForce(m)
	if root == 0 {
		r.damaged(n, path, errors.New("it is not signed by the fleet's release key"))
		return nil
	}
	r.rootsUpTo(root)
	e := Entry{Kind: "manifest", Number: n, Root: root, Keys: trust.Signers(r.roots[root-1], metadata.TARGETS, m)}
	e.Made, e.By = trust.MadeBy(m.Signed.UnrecognizedFields)
	now, err := r.state(m)
	if err != nil {
		return err
	}
	if now.fleet == nil {
		e.Problem = "its fleet document is not there"
	}
	if r.last == nil && n > 1 {
		e.Changes = summary(now)
	} else {
		e.Changes = diff(r.last, now, r.opts)
		ways, err := r.ways(m, r.last, now)
		if err != nil {
			return err
		}
		e.Changes = append(e.Changes, ways...)
	}
	switch {
	case now.fleet != nil:
		r.last = now
	case r.last != nil:
		r.last.releases, r.last.ways = now.releases, now.ways
	}
	r.add(e)
	return nil
}

// inForce returns the number of the root under which a list was signed, 0 when there is none. A list is never signed under an older root
// than the one before it: so a key that was replaced adds nothing to the history afterwards.
func (r *reader) inForce(m *metadata.Metadata[metadata.TargetsType]) int64 {
	for n := max(r.used, 1); n <= int64(len(r.roots)); n++ {
		if r.roots[n-1].VerifyDelegate(metadata.TARGETS, m) == nil {
			return n
		}
	}
	return 0
}

// missing joins numbers that are missing in a row.
func (r *reader) missing(n int64) {
	const problem = "not here; what it changed shows with the next one"
	if len(r.history.Entries) > 0 {
		e := &r.history.Entries[len(r.history.Entries)-1]
		if e.Kind == "manifest" && e.Problem == problem {
			e.Last = n
			return
		}
	}
	r.history.Entries = append(r.history.Entries, Entry{Kind: "manifest", Number: n, Problem: problem, Changes: []Change{}})
}

func (r *reader) damaged(n int64, path string, cause error) {
	problem := fmt.Sprintf("%s can't be believed: %v", path, cause)
	r.history.Damaged = append(r.history.Damaged, problem)
	r.history.Entries = append(r.history.Entries, Entry{Kind: "manifest", Number: n, Problem: problem, Changes: []Change{}})
}

// add keeps an entry that has something to say to who asks.
func (r *reader) add(e Entry) {
	if !r.opts.Since.IsZero() && !e.Made.IsZero() && e.Made.Before(r.opts.Since) {
		return
	}
	filtered := r.opts.Site != "" || r.opts.Ring != ""
	if filtered && len(e.Changes) == 0 && e.Problem == "" {
		return
	}
	if e.Changes == nil {
		e.Changes = []Change{}
	}
	if len(e.Changes) == 0 && e.Problem == "" {
		e.Changes = []Change{{What: "renewed", Text: "signed anew, nothing changed"}}
	}
	r.history.Entries = append(r.history.Entries, e)
}
