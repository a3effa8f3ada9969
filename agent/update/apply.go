package update

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/change"
	"dhow/agent/doors"
	"dhow/agent/stack"
	"dhow/manifest"
)

// applyPlan is what an apply or a rollback is about. From is nil on a new site. To.Since and To.Manifest are those of the plan.
type applyPlan struct {
	From  *Good  `json:"from,omitempty"`
	To    Good   `json:"to"`
	Fetch uint64 `json:"fetch,omitempty"` // the change that brought the bytes
	Bytes int64  `json:"bytes,omitempty"` // moved for it
	// Setbacks say why more had to move when it was fetched.
	Setbacks []string `json:"setbacks,omitempty"`
	// ReturnTo names the backup whose volumes are put in place (rollback with data).
	ReturnTo string `json:"return_to,omitempty"`
	// Archive names the portable backup whose data are put in place (restore).
	Archive string `json:"archive,omitempty"`
	// ByHand is set when a person ordered to go back: the release that is left is then not applied again by itself.
	ByHand bool `json:"by_hand,omitempty"`
}

// Names of steps whose notes other steps read.
const (
	stepCopyAhead    = "copy-ahead"
	stepCloseDoors   = "close-doors"
	stepArmRestore   = "arm-restore"
	stepBackUp       = "back-up"
	stepStartRelease = "start-release"
	stepOpenDoors    = "open-doors"
)

// takesBack reports whether the change puts earlier data in place.
func (p applyPlan) takesBack() bool { return p.ReturnTo != "" || p.Archive != "" }

func planOf(t *change.Task) (p applyPlan, err error) {
	err = t.Change.ReadPlan(&p)
	return p, err
}

// goodFor describes a release as it will be recorded once it has passed its checks.
func (m *Manager) goodFor(r *manifest.Release, d digest.Digest, number int64) Good {
	project := r.Project
	if m.Config.Project != "" {
		project = m.Config.Project
	}
	return Good{
		Release: r.Version, Digest: d, Manifest: number, Project: project,
		Folder: r.Version + "-" + d.Encoded()[:12],
	}
}

// side is one of the two releases of a change with all that handlers need of it. It is read anew in every handler: nothing of it may be
// older than the folder that it comes from.
type side struct {
	Good
	doc     *manifest.Release
	images  []pinned
	project *stack.Project
}

// side reads a release from its folder, where it was staged.
func (m *Manager) side(ctx context.Context, g Good) (s side, err error) {
	s.Good = g
	if s.doc, err = m.releaseOf(g); err != nil {
		return s, err
	}
	if s.images, err = m.pin(ctx, g, s.doc); err != nil {
		return s, err
	}
	s.project, err = m.project(ctx, g, s.doc)
	return s, err
}

func (m *Manager) folder(g Good) string { return filepath.Join(m.Paths.Stacks(), g.Folder) }

// behind wraps the handlers that work while the doors are closed: the maintenance page comes back first.
func (m *Manager) behind(h change.Handler) change.Handler {
	return m.patient(func(ctx context.Context, t *change.Task) error {
		if err := m.keepPage(ctx, t.Change); err != nil {
			return err
		}
		return h(ctx, t)
	})
}

// patient wraps the handlers that must not be undone because the engine is away for a while: nothing is held against anybody until it
// answers again.
func (m *Manager) patient(h change.Handler) change.Handler {
	return func(ctx context.Context, t *change.Task) error {
		err := h(ctx, t)
		if errors.Is(err, stack.ErrNoImage) && ctx.Err() == nil {
			return &change.Retry{After: time.Second, Err: fmt.Errorf("somebody has removed an image: %w", err)}
		}
		if err != nil && ctx.Err() == nil && m.engineGone(ctx) {
			return &change.Retry{After: 3 * time.Second, Err: fmt.Errorf("the engine does not answer: %w", err)}
		}
		return space(err)
	}
}

// closeNote says which doors were closed, and when; Opened is set when a rollback has opened them again.
type closeNote struct {
	Ports   []doors.Port  `json:"ports"`
	Closed  time.Time     `json:"closed"`
	Opened  time.Time     `json:"opened,omitzero"`
	Away    time.Duration `json:"away,omitempty"` // until Opened
	Healthy bool          `json:"healthy"`        // whether the old release was healthy before
	// LettingIn is set when, going back, the old release runs again and only its doors have to be opened.
	LettingIn bool `json:"letting_in,omitempty"`
}

// openNote says when the doors were opened after the commit.
type openNote struct {
	Opened time.Time     `json:"opened"`
	Away   time.Duration `json:"away,omitempty"` // since they were closed
}

// timeAway is for how long a change kept users out; 0 when it did not, or not yet, or when nobody could tell.
func timeAway(c *change.Change) (time.Duration, error) {
	var shut closeNote
	var open openNote
	if _, err := c.ReadNote(stepCloseDoors, &shut); err != nil {
		return 0, err
	}
	if _, err := c.ReadNote(stepOpenDoors, &open); err != nil {
		return 0, err
	}
	if open.Opened.IsZero() {
		return shut.Away, nil
	}
	return open.Away, nil
}

// expectedDowntime comes from this computer's own history; before the second release it is a guess.
func (m *Manager) expectedDowntime() time.Duration {
	const guess = 5 * time.Minute
	list, err := m.updatesDone()
	if err != nil {
		return guess
	}
	if usual := usualDowntime(list); usual > 0 {
		return usual
	}
	return guess
}
