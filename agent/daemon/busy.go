package daemon

import (
	"context"
	"encoding/json"

	"dhow/agent/api"
)

// The orders of a Manager, answered with busy where that is set.

func (t told) Update(ctx context.Context, r api.UpdateRequest) (api.Started, error) {
	if t.busy != nil {
		return api.Started{}, t.busy
	}
	return t.Manager.Update(ctx, r)
}

func (t told) Rollback(ctx context.Context, r api.RollbackRequest) (api.Started, error) {
	if t.busy != nil {
		return api.Started{}, t.busy
	}
	return t.Manager.Rollback(ctx, r)
}

func (t told) Backup(ctx context.Context, r api.BackupRequest) (api.Started, error) {
	if t.busy != nil {
		return api.Started{}, t.busy
	}
	return t.Manager.Backup(ctx, r)
}

func (t told) Bundle(ctx context.Context, r api.BundleRequest) (api.Started, error) {
	if t.busy != nil {
		return api.Started{}, t.busy
	}
	return t.Manager.Bundle(ctx, r)
}

func (t told) Pause(ctx context.Context, r api.PauseRequest) (api.Paused, error) {
	if t.busy != nil {
		return api.Paused{}, t.busy
	}
	return t.Manager.Pause(ctx, r)
}

func (t told) Resume(ctx context.Context) (api.Paused, error) {
	if t.busy != nil {
		return api.Paused{}, t.busy
	}
	return t.Manager.Resume(ctx)
}

func (t told) Later(ctx context.Context, r api.LaterRequest) (api.Put, error) {
	if t.busy != nil {
		return api.Put{}, t.busy
	}
	return t.Manager.Later(ctx, r)
}

func (t told) Noted(ctx context.Context, receipt string) error {
	if t.busy != nil {
		return t.busy
	}
	return t.Manager.Noted(ctx, receipt)
}

// Report gives no report while orders are not taken: it has a number, which is written down.
func (t told) Report(ctx context.Context) (json.RawMessage, error) {
	if t.busy != nil {
		return nil, t.busy
	}
	return t.Manager.Report(ctx)
}
