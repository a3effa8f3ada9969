package update

import (
	"fmt"
	"time"

	"dhow/agent/api"
	"dhow/agent/journal"

	"github.com/opencontainers/go-digest"
)

// Names of the facts in the journal.
const (
	factGood  = "known-good"
	factPast  = "past"
	factReady = "ready"
	factBad   = "bad"
	factPoll  = "poll"
	factSeen  = "trusted"
	factRoots = "roots"
	factNoted = "noted"
)

// Witness is what the journal remembers of the manifest that was accepted last. Should the trusted metadata be lost, an older manifest is
// refused all the same, a key that was replaced does not count again, and a clock that has lost the time is known to be wrong.
type Witness struct {
	Number int64     `json:"number"` // 0 means none
	Signed time.Time `json:"signed"` // a moment that has certainly passed
	Roots  [][]byte  `json:"-"`      // from the root of the installation to the newest one; a fact of its own
}

// Seen returns what the journal remembers.
func Seen(j *journal.Journal) (w Witness, err error) {
	if _, err = j.Fact(factSeen, &w); err == nil {
		_, err = j.Fact(factRoots, &w.Roots)
	}
	return w, err
}

// Good is the release that runs and has passed its checks here. Manifest is the number of the manifest that asked for it: an older
// manifest is refused even when the trusted metadata were lost.
type Good struct {
	Release  string        `json:"release"`
	Digest   digest.Digest `json:"digest,omitempty"` // of the release document; empty for an adopted stack
	Folder   string        `json:"folder"`           // its folder under Paths.Stacks
	Project  string        `json:"project"`
	Manifest int64         `json:"manifest"`
	Since    time.Time     `json:"since"`
	// Dir is the folder from which an adopted stack was started; relative paths of its compose files refer to it.
	Dir string `json:"dir,omitempty"`
}

// same reports whether two records speak of the same stay of a release.
func (g Good) same(o Good) bool {
	return g.Release == o.Release && g.Digest == o.Digest && g.Folder == o.Folder && g.Since.Equal(o.Since)
}

// Past is a release that ran before, with the snapshot of its data at the moment when it was left.
type Past struct {
	Good
	Backup string    `json:"backup"`
	Left   time.Time `json:"left"`
	// TakenBack is set when a rollback put older data in place: the backup is then the only copy of what was entered since.
	TakenBack bool `json:"taken_back,omitempty"`
}

// Ready is a release whose bytes are all here.
type Ready struct {
	Release  string        `json:"release"`
	Digest   digest.Digest `json:"digest"`
	Manifest int64         `json:"manifest"`
	Fetch    uint64        `json:"fetch"` // the change that fetched it
	Bytes    int64         `json:"bytes"` // moved for it
	Now      bool          `json:"now,omitempty"`
	// Archive is set on a new computer that begins with the data of this backup.
	Archive string `json:"archive,omitempty"`
	// Setbacks say why more had to move.
	Setbacks []string `json:"setbacks,omitempty"`
	// NotBefore is set when an apply was refused, so that the same refusal does not come every minute.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Bad is a release that did not work here. It is not tried again by itself while the manifest asks this site for the same document.
type Bad struct {
	Release string        `json:"release"`
	Digest  digest.Digest `json:"digest"`
	Reason  string        `json:"reason"`
	When    time.Time     `json:"when"`
	// ByHand is set when the release is not broken: a person chose another one.
	ByHand bool `json:"by_hand,omitempty"`
}

// text says what is known, for people.
func (b Bad) text() string {
	when := b.When.Local().Format("2 Jan 15:04")
	if b.ByHand {
		return fmt.Sprintf("%s is not put in place by itself: %s on %s", b.Release, b.Reason, when)
	}
	return fmt.Sprintf("%s did not work here on %s and is not tried again: %s", b.Release, when, b.Reason)
}

// said is text for other languages.
func (b Bad) said() *api.Said {
	if b.ByHand {
		return api.Say("warn_left", "release", b.Release, "cause", b.Reason, "moment", plainDate(b.When))
	}
	return api.Say("warn_bad", "release", b.Release, "cause", b.Reason, "moment", plainDate(b.When))
}

// Poll is how the last look at the sources ended.
type Poll struct {
	Last  time.Time `json:"last,omitzero"` // when a source last answered
	Error string    `json:"error,omitempty"`
	// First is when a source was first asked and did not answer, while none ever has. Refused is set when the last answer was not trusted: the kind
	// of that failure in package words.
	First   time.Time `json:"first,omitzero"`
	Refused string    `json:"refused,omitempty"`
}

// failed notes that a look has ended without a good answer at a moment, zero when no clock could tell. A last answer that lies ahead of it was
// written by a clock that was wrong, and would never grow old.
func (p *Poll) failed(text string, now time.Time) {
	p.Error = text
	switch {
	case now.IsZero():
	case p.Last.IsZero() && (p.First.IsZero() || p.First.After(now)):
		p.First = now
	case p.Last.After(now.Add(time.Hour)):
		p.Last = now
	}
}

// since is when it began that no source answers; zero when nobody knows.
func (p *Poll) since() time.Time {
	if p.Last.IsZero() {
		return p.First
	}
	return p.Last
}

// good returns the known-good release, or nil on a new site.
func (m *Manager) good() (*Good, error) {
	g := new(Good)
	found, err := m.Journal.Fact(factGood, g)
	if !found {
		g = nil
	}
	return g, err
}

func (m *Manager) past() (list []Past, err error) {
	_, err = m.Journal.Fact(factPast, &list)
	return list, err
}

func (m *Manager) ready() (*Ready, error) {
	r := new(Ready)
	found, err := m.Journal.Fact(factReady, r)
	if !found {
		r = nil
	}
	return r, err
}

func (m *Manager) bad() (list []Bad, err error) {
	_, err = m.Journal.Fact(factBad, &list)
	return list, err
}

// findBad returns the entry of a release document, or nil.
func findBad(list []Bad, d digest.Digest) *Bad {
	for i := range list {
		if list[i].Digest == d {
			return &list[i]
		}
	}
	return nil
}
