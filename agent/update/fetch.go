package update

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// fetchPlan is what a fetch is about. From is a path given by a person; empty means the configured sources.
type fetchPlan struct {
	From   string `json:"from,omitempty"`
	Now    bool   `json:"now,omitempty"`
	Person bool   `json:"person,omitempty"` // a person asked for it
	Retry  bool   `json:"retry,omitempty"`  // also a release that did not work here
	// Release is the one that the person was shown: another one is not taken.
	Release string `json:"release,omitempty"`
}

// refreshNote says what the sources answered. Unreachable is set when none did; the newest manifest seen before counts then.
type refreshNote struct {
	Unreachable string   `json:"unreachable,omitempty"`
	Warnings    []string `json:"warnings,omitempty"`
}

// targetNote is what the plan step found. Nothing says in words why there is nothing to fetch, and Said the same for other languages.
type targetNote struct {
	Nothing  string        `json:"nothing,omitempty"`
	Said     *api.Said     `json:"said,omitempty"`
	Release  string        `json:"release,omitempty"`
	Digest   digest.Digest `json:"digest,omitempty"`
	Manifest int64         `json:"manifest,omitempty"`
	Bytes    int64         `json:"bytes,omitempty"`    // to fetch, when the plan was made
	Disk     int64         `json:"disk,omitempty"`     // that this takes at once, with what is made of it
	Verified bool          `json:"verified,omitempty"` // everything was here and verified before
	Archive  string        `json:"archive,omitempty"`  // the backup from which a new computer begins
}

// blobsNote counts what crossed the line, over all attempts. Kept is the most that the store has held after one, and Idle counts the
// attempts since then: bytes that come again and again, or turn out to be wrong, are no progress. Done and Total are how far it is, in bytes.
type blobsNote struct {
	Moved int64 `json:"moved"`
	Kept  int64 `json:"kept,omitempty"`
	Idle  int   `json:"idle"`
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Liars are the names of sources that have sent something else than they were asked for. They are asked for nothing more in this change.
	Liars []string `json:"liars,omitempty"`
	// Setbacks are the deltas that did not fit, the parts of a bundle that parity had to make up for, and Dearer, in words.
	Setbacks []string `json:"setbacks,omitempty"`
	// Dearer says how many bytes would move in place of how many if there were more room.
	Dearer     string    `json:"dearer,omitempty"`
	DearerSaid *api.Said `json:"dearer_said,omitempty"` // the same for other languages
}

const (
	stepPlan  = "plan"
	stepFetch = "fetch-blobs"

	maxTimestamp = 1 << 16 // bytes of timestamp.json, to see whether there is one
	idleAttempts = 3
)

// idleDelay is the time before a fetch that was cut is tried again; shorter in tests.
var idleDelay = 5 * time.Second

// tried notes how much the store holds after an attempt.
func (n *blobsNote) tried(kept int64) {
	if kept > n.Kept {
		n.Kept, n.Idle = kept, 0
	} else {
		n.Idle++
	}
}

// honest leaves those out of sources that have lied. A path stays: there is another stick in it, maybe.
func (n *blobsNote) honest(sources []bundle.Source) (rest []bundle.Source) {
	for _, src := range sources {
		if fetch.Reach(src) == fetch.Local || !slices.Contains(n.Liars, src.Name()) {
			rest = append(rest, src)
		}
	}
	return rest
}

// sources opens what the fetch may use, in the order in which bytes are asked for: what a person gives, then the nearest first; with none
// that opens it returns the last error. What a stick can't give, a copy of it may that was found. A file with images and no manifest (docker save) gives bytes only: what else a release needs comes
// from the configured sources.
func (m *Manager) sources(ctx context.Context, p fetchPlan) ([]bundle.Source, error) {
	sources := m.config().Sources
	if p.From == "" {
		if len(sources) == 0 {
			return nil, refuse("add one to "+m.Paths.Config()+", or use: dhow update --from PATH", "this site has no source").In("no_source", "file", m.Paths.Config())
		}
		open, err := m.Network.OpenAll(ctx, sources)
		return open, untrusted(err)
	}
	given, err := m.Network.Open(ctx, p.From)
	copies, _ := m.Network.OpenAll(ctx, m.copiesOf(p.From))
	switch {
	case err != nil && len(copies) == 0:
		return nil, untrusted(err)
	case err != nil:
		return copies, nil
	case len(copies) > 0 || !bytesOnly(ctx, given):
		return append([]bundle.Source{given}, copies...), nil
	}
	others, _ := m.Network.OpenAll(ctx, sources)
	return append([]bundle.Source{given}, others...), nil
}

// again reports whether a fetch that has ended with err is tried again at once. A server that has said when to come back is asked by the
// schedule, which heeds that (see fetch.Network.Pause).
func (p fetchPlan) again(err error, idle int) bool {
	return errors.Is(err, bundle.ErrUnreachable) && !errors.Is(err, fetch.ErrBusy) && p.From == "" && idle < idleAttempts
}

// forDocuments is the order in which the sources are asked for what is newest.
func forDocuments(p fetchPlan, sources []bundle.Source) []bundle.Source {
	if p.From == "" || len(sources) == 0 {
		return fetch.FarFirst(sources)
	}
	return append(sources[:1:1], fetch.FarFirst(sources[1:])...)
}

// bytesOnly reports whether a source has images but no signed manifest.
func bytesOnly(ctx context.Context, src bundle.Source) bool {
	_, err := src.Document(ctx, bundle.TimestampPath, maxTimestamp)
	return errors.Is(err, bundle.ErrNoMetadata)
}

func closeAll(sources []bundle.Source) {
	for _, s := range sources {
		_ = s.Close()
	}
}

// refreshManifest asks the sources, the farthest first, until one brings a manifest that is trusted.
func (m *Manager) refreshManifest(ctx context.Context, t *change.Task) error {
	var p fetchPlan
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	note, facts, err := m.ask(ctx, p)
	if err != nil {
		return err
	}
	for name, v := range facts {
		if err := t.Set(name, v); err != nil {
			return err
		}
	}
	if p.From != "" {
		m.takeAgent(ctx, t, p)
	}
	return t.Save(note)
}

// ask asks the sources for a newer manifest, and returns what the journal should remember of it.
func (m *Manager) ask(ctx context.Context, p fetchPlan) (note refreshNote, facts map[string]any, err error) {
	poll := Poll{Last: m.stamp()}
	if err := m.refresh(ctx, p, &note); err != nil {
		f := (*change.Failure)(nil)
		// A neighbour may lack what concerns this site of a large fleet, which is no answer either.
		unreachable := errors.As(err, &f) && f.Class == change.ClassNetwork || errors.Is(err, fs.ErrNotExist)
		// A registry that lags behind the stick that was used last is no attack: what the site knows already counts.
		behind := errors.Is(err, trust.ErrStale)
		if _, cerr := m.Trust.Current(); cerr != nil || !unreachable && !behind || p.From != "" {
			return note, nil, err
		}
		text := err.Error()
		if unreachable {
			note.Unreachable = text // what was fetched before may be enough
		}
		poll = Poll{}
		if _, err := m.Journal.Fact(factPoll, &poll); err != nil {
			return note, nil, err
		}
		poll.failed(text, m.clockOrNone())
		if behind {
			poll.Refused = "stale"
		}
	}
	if p.From == "" {
		m.reached(note.Unreachable != "")
	}
	current, err := m.Trust.Current()
	if err != nil {
		return note, nil, untrusted(err)
	}
	seen, err := Seen(m.Journal)
	if err != nil {
		return note, nil, err
	}
	facts = map[string]any{factPoll: poll, factSeen: Witness{Number: current.Number, Signed: m.Trust.Clock().Floor}}
	if roots := m.Trust.Roots(); !slices.EqualFunc(roots, seen.Roots, bytes.Equal) {
		facts[factRoots] = roots
	}
	return note, facts, nil
}

func (m *Manager) refresh(ctx context.Context, p fetchPlan, note *refreshNote) error {
	sources, err := m.sources(ctx, p)
	if err != nil {
		return err
	}
	defer closeAll(sources)
	var worst error
	noManifest := false
	for _, src := range forDocuments(p, sources) {
		// The metadata of a path may be older than now without anybody being attacked.
		mf, err := m.Trust.Refresh(ctx, src, fetch.Reach(src) == fetch.Local)
		if err == nil {
			note.Warnings = mf.Warnings
			return nil
		}
		noManifest = noManifest || errors.Is(err, bundle.ErrNoMetadata)
		err = fmt.Errorf("%s: %w", src.Name(), err)
		if worst == nil || errors.Is(worst, bundle.ErrUnreachable) {
			worst = err
		}
	}
	if _, err := m.Trust.Current(); err == nil && noManifest {
		return nil // its bytes may serve what the site knows of already
	}
	return untrusted(worst)
}

// fetchBlobs brings what is missing into the store. A line that breaks is tried again as long as something arrives that stays. What came before
// stays whatever a stick is like: all that becomes a blob is verified, and what a refused archive brought goes by itself.
func (m *Manager) fetchBlobs(ctx context.Context, t *change.Task) error {
	var p fetchPlan
	var target targetNote
	var note blobsNote
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	if _, err := t.Change.ReadNote(stepPlan, &target); err != nil || target.Nothing != "" {
		return err
	}
	if _, err := t.Note(&note); err != nil {
		return err
	}
	release, _, err := m.Trust.Release(ctx, nil, target.Release)
	if err != nil {
		return untrusted(err)
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	wants, err := fetch.Wants(m.Store, release, platform)
	if err != nil {
		return err
	}
	if len(wants) == 0 {
		return m.dropRungs(ctx, release, platform)
	}
	sources, err := m.sources(ctx, p)
	if err != nil {
		return err
	}
	defer closeAll(sources)
	if err := t.Fault("copy"); err != nil {
		return untrusted(err)
	}
	x, err := m.missingOf(ctx, release, platform, forDocuments(p, sources))
	if err != nil {
		return err
	}
	since := ""
	if p.From != "" {
		since = sinceOf(ctx, sources[0])
	}
	if since != "" {
		clear(x.query.Refused) // it costs nothing to try again what a person has brought, and may be all that the stick has
	}
	if note.Kept == 0 {
		if note.Kept, err = m.Store.Bytes(); err != nil {
			return err
		}
	}
	plan, left, _ := x.plan()
	note.Total = x.total(plan)
	note.Done = note.Total - left
	moved, err := m.transfer(t, p, target.Release, note.honest(sources), left, &note, func(allowed []bundle.Source, o fetch.Options) (fetch.Moved, error) {
		return m.climb(ctx, t, p, x, allowed, o, &note)
	})
	if err == nil {
		note.Setbacks = append(note.Setbacks, m.madeUpFor(sources)...)
	}
	for _, wrong := range moved.Wrong {
		m.Log.Warn("a source sent something else than it was asked for", "error", wrong)
		if lie := (*fetch.WrongError)(nil); errors.As(wrong, &lie) {
			note.Liars = append(note.Liars, lie.Source)
		}
	}
	note.Moved += moved.Bytes
	kept, kerr := m.Store.Bytes()
	if kerr != nil {
		return errors.Join(err, kerr)
	}
	note.tried(kept)
	if serr := t.Save(note); serr != nil {
		return serr
	}
	if held := (*hold)(nil); errors.As(err, &held) {
		return held.failure()
	}
	if p.again(err, note.Idle) && len(note.honest(sources)) > 0 {
		return &change.Retry{After: idleDelay, Err: err}
	}
	if since != "" && errors.Is(err, fs.ErrNotExist) {
		return leftOut(sources[0], since, note.Setbacks, err)
	}
	if known := (*change.Failure)(nil); errors.As(err, &known) {
		return known
	}
	return untrusted(err)
}

// sinceOf is the release that a bundle builds on, "" for one that leaves out nothing.
func sinceOf(ctx context.Context, src bundle.Source) string {
	hint, err := bundle.ReadHint(ctx, src)
	if err != nil {
		return ""
	}
	return hint.Since
}

// leftOut is the failure of a bundle that lacks something because it was made for sites with another release, or of which something did not fit.
func leftOut(src bundle.Source, since string, setbacks []string, err error) error {
	if len(setbacks) > 0 {
		return &change.Failure{
			Class: change.ClassTrust, Code: api.CodeNotTrusted,
			Err:  fmt.Errorf("%s holds only what is new since %s, and %s", src.Name(), since, setbacks[0]),
			Hint: "ask the central team for a bundle made without --since",
		}
	}
	return &change.Failure{
		Class: change.ClassTrust, Code: api.CodeNotTrusted,
		Err:  fmt.Errorf("%s leaves out what release %s has, and this site does not have all of that: %w", src.Name(), since, err),
		Hint: "ask the central team for a bundle made without --since, or update to " + since + " first",
	}
}

// fetchEnded keeps the reason for status.
func (m *Manager) fetchEnded(c *change.Change) map[string]any {
	var p fetchPlan
	if err := c.ReadPlan(&p); err == nil && p.From == "" && !polite(c.Cause.Class) {
		m.reached(c.Cause.Class == change.ClassNetwork)
	}
	if c.Cause.Class == change.ClassWaits || c.Cause.Class == change.ClassYields {
		return m.laid(c)
	}
	var poll Poll
	if _, err := m.Journal.Fact(factPoll, &poll); err != nil || c.Cause.Class == change.ClassReplaced {
		return nil
	}
	poll.failed(c.Cause.Message, m.clockOrNone())
	if p.From == "" && c.Cause.Class == change.ClassTrust {
		poll.Refused = cmp.Or(c.Cause.Kind, "forged")
	}
	return map[string]any{factPoll: poll}
}
