package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// refuse is a failure of the site, found before any downtime.
func refuse(hint, format string, args ...any) *change.Failure {
	return &change.Failure{Class: change.ClassSite, Code: api.CodeRefused, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// broken is a failure of the release itself.
func broken(format string, args ...any) error {
	return &change.Failure{
		Class: change.ClassRelease, Code: api.CodeRefused, Err: fmt.Errorf(format, args...),
		Hint: "tell the central team: the release needs to be mended",
	}
}

// space turns a full disk into a failure of its own class and leaves other errors alone.
func space(err error) error {
	if err == nil || !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	f := &change.Failure{
		Class: change.ClassSpace, Code: api.CodeRefused, Err: err,
		Hint: "make room on this disk; dhow tries again by itself",
	}
	return f.In("disk_full", "cause", err.Error())
}

// unreadable is a failure of the site when the disk does not give back what was written to it, and leaves other errors alone.
func unreadable(err error) error {
	retry, known := (*change.Retry)(nil), (*change.Failure)(nil)
	if errors.As(err, &retry) || errors.As(err, &known) {
		return err
	}
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EUCLEAN) && !errors.Is(err, syscall.EBADMSG) {
		return err
	}
	return refuse("the disk may be failing: make a backup to another disk and have it looked at; a file that nobody needs may be deleted", "%w", err).In("disk_failing", "cause", err.Error())
}

// untrusted classifies what goes wrong between a source and the store.
func untrusted(err error) error {
	if err == nil {
		return nil
	}
	f, kind := &change.Failure{Class: change.ClassTrust, Code: api.CodeNotTrusted, Err: err}, ""
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ENOSPC):
		return space(err)
	case errors.Is(err, bundle.ErrUnreachable):
		kind, f.Class, f.Code, f.Hint = "unreachable", change.ClassNetwork, api.CodeUnreachable, "check the line or the stick; dhow tries again at the next check"
	case errors.Is(err, trust.ErrOtherFleet):
		kind, f.Hint = "other_fleet", "this stick or registry belongs to somebody else: nothing was changed"
	case errors.Is(err, trust.ErrStale):
		kind, f.Hint = "stale", "use a newer stick: this one was made before what the site has already seen"
	case errors.Is(err, trust.ErrExpired):
		kind, f.Hint = "expired", "ask the central team to publish again"
	case errors.Is(err, bundle.ErrDamaged), errors.Is(err, trust.ErrDamaged):
		kind, f.Hint = "damaged", "copy the bundle to the stick again, or use another stick"
	case errors.Is(err, trust.ErrForged), errors.Is(err, bundle.ErrTooLarge), errors.Is(err, bundle.ErrUnsafePath):
		kind, f.Hint = "forged", "do not use it; tell the central team"
	case errors.Is(err, bundle.ErrNoMetadata):
		kind, f.Hint = "no_metadata", "use a bundle made by dhowctl, or connect the site once so that it knows the signed manifest"
	case errors.Is(err, fetch.ErrSeveral):
		kind, f.Class, f.Code, f.Hint = "several", change.ClassSite, api.CodeUsage, "name the file, not the folder"
	case errors.Is(err, manifest.ErrNewer):
		kind, f.Class, f.Code, f.Hint = "newer", change.ClassSite, api.CodeRefused, "install the newest dhow on this computer"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		kind, f.Class, f.Code, f.Hint = "no_path", change.ClassSite, api.CodeUsage, "check the path, and whether the stick is plugged in"
	default:
		f.Class, f.Code = change.ClassInternal, api.CodeInternal
		return f
	}
	return f.In(kind, "cause", err.Error())
}

// asFailure gives an error that is meant for people its code and hint in the record of a change.
func asFailure(err error) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	return &change.Failure{Class: change.ClassSite, Code: e.Code, Hint: e.Hint, Kind: e.Kind, Args: e.Args, Err: err}
}

// infoWithin is how long the engine may take to say how it is when it gives a sign of life. Then it is not gone, however slow.
const infoWithin = 30 * time.Second

// engineGone reports whether the engine does not answer now, be it that it is gone or that it hangs: then an error of the last call says nothing
// about the release.
func (m *Manager) engineGone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, infoWithin)
	defer cancel()
	_, err := m.Engine.Info(ctx)
	return errors.Is(err, engine.ErrNotRunning)
}

// watchEngine remembers that the engine was away or hung during a change, and lets followers know, until ctx ends. One that is slow was not: a release
// that is too much for the computer makes it so, and must not be tried again every night.
func (m *Manager) watchEngine(ctx context.Context, id uint64) {
	for {
		m.Engine.Attend(ctx)
		if ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.away = id
		m.mu.Unlock()
		for held := false; ; held = true {
			gone := m.engineGone(ctx)
			if ctx.Err() != nil {
				return
			}
			if gone && !held {
				m.hub.hold(id)
			} else if !gone && held {
				m.hub.hold(0)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			if !gone {
				break
			}
		}
	}
}

// acquit takes the blame from a release, and from us, when the engine stopped in the middle of the change: while it stops it still answers,
// but it starts nothing and ends what runs.
func (m *Manager) acquit(c *change.Change) {
	m.mu.Lock()
	away := m.away == c.ID
	m.mu.Unlock()
	if away && (c.Cause.Class == change.ClassRelease || c.Cause.Class == change.ClassInternal) {
		c.Cause.Class = change.ClassEngine
		c.Cause.Hint = "the engine was stopped in the middle of it; dhow tries again by itself"
		c.Cause.Kind, c.Cause.Args = "engine_stopped", map[string]string{"cause": c.Cause.Message}
	}
}
