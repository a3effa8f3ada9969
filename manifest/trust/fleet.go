package trust

import (
	"context"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// fleet accepts the fleet document that the targets name; with it the manifest is complete.
func (w *walk) fleet(ctx context.Context) error {
	info := w.set.Targets[metadata.TARGETS].Signed.Targets[manifest.FleetPath]
	if info == nil {
		return fmt.Errorf("the manifest is %w: it names no fleet document", ErrDamaged)
	}
	data := w.base.Fleet
	if data == nil || info.VerifyLengthHashes(data) != nil {
		var err error
		if data, err = w.Fetch(ctx, info, manifest.MaxFleet); err != nil {
			return err
		}
	}
	if _, err := manifest.ParseFleet(data); err != nil {
		return err
	}
	w.done.Fleet = data
	w.state.Done = w.done
	stamp := w.set.Timestamp.Signed
	if at := made(stamp.UnrecognizedFields, stamp.Expires); at.After(w.state.Floor) {
		w.state.Floor = at
	}
	w.state.Ahead = documents{}
	if w.offline && newer(w.ahead.Timestamp, stamp.Version) {
		w.state.Ahead = w.ahead
	}
	return nil
}

// newer reports whether a timestamp of an interrupted online refresh is ahead of the stick that was just accepted.
func newer(stamp []byte, version int64) bool {
	if stamp == nil {
		return false
	}
	m, err := metadata.Timestamp().FromBytes(stamp)
	return err == nil && m.Signed.Version > version
}
