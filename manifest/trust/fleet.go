package trust

import (
	"context"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// fleet accepts the documents of the fleet that the targets name, as far as this site needs them; with them the manifest is complete.
func (w *walk) fleet(ctx context.Context) error {
	var err error
	if w.done.Fleet, err = w.fleetTarget(ctx, manifest.FleetPath, w.base.Fleet); err != nil {
		return err
	}
	if w.done.Sites, err = w.fleetTarget(ctx, manifest.SitesPath, w.base.Sites); err != nil {
		return err
	}
	// A part hangs on the signed list by its digest.
	part := func(b manifest.Blob) ([]byte, error) {
		data := w.base.part(b)
		if data == nil {
			var err error
			if data, err = FetchPart(ctx, w.Source, b); err != nil {
				return nil, err
			}
		}
		w.done.Parts = append(w.done.Parts, data)
		return data, nil
	}
	if _, err := manifest.ParseFleet(manifest.FleetFiles{Fleet: w.done.Fleet, Sites: w.done.Sites, Part: part}, w.site); err != nil {
		return err
	}
	w.state.Done, w.state.Site = w.done, w.site
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

// fleetTarget returns one of the two documents, without asking the source when the one that is here is still the signed one.
func (w *walk) fleetTarget(ctx context.Context, name string, here []byte) ([]byte, error) {
	info := w.set.Targets[metadata.TARGETS].Signed.Targets[name]
	if info == nil {
		return nil, fmt.Errorf("the manifest is %w: it names no %s", ErrDamaged, name)
	}
	if here != nil && info.VerifyLengthHashes(here) == nil {
		return here, nil
	}
	return w.Fetch(ctx, info, manifest.MaxFleet)
}

// newer reports whether a timestamp of an interrupted online refresh is ahead of the stick that was just accepted.
func newer(stamp []byte, version int64) bool {
	if stamp == nil {
		return false
	}
	m, err := metadata.Timestamp().FromBytes(stamp)
	return err == nil && m.Signed.Version > version
}
