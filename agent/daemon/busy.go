package daemon

import (
	"context"
	"encoding/json"

	"dhow/agent/api"
)

// order gives a Manager an order, unless it is busy.
func order[R, A any](ctx context.Context, t told, give func(Manager, context.Context, R) (A, error), r R) (A, error) {
	if t.busy != nil {
		var none A
		return none, t.busy
	}
	return give(t.Manager, ctx, r)
}

// The orders of a Manager, answered with busy where that is set.

func (t told) Update(ctx context.Context, r api.UpdateRequest) (api.Started, error) {
	return order(ctx, t, Manager.Update, r)
}

func (t told) Rollback(ctx context.Context, r api.RollbackRequest) (api.Started, error) {
	return order(ctx, t, Manager.Rollback, r)
}

func (t told) Backup(ctx context.Context, r api.BackupRequest) (api.Started, error) {
	return order(ctx, t, Manager.Backup, r)
}

func (t told) Bundle(ctx context.Context, r api.BundleRequest) (api.Started, error) {
	return order(ctx, t, Manager.Bundle, r)
}

func (t told) Pause(ctx context.Context, r api.PauseRequest) (api.Paused, error) {
	return order(ctx, t, Manager.Pause, r)
}

func (t told) Later(ctx context.Context, r api.LaterRequest) (api.Put, error) {
	return order(ctx, t, Manager.Later, r)
}

func (t told) Resume(ctx context.Context) (api.Paused, error) {
	if t.busy != nil {
		return api.Paused{}, t.busy
	}
	return t.Manager.Resume(ctx)
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
