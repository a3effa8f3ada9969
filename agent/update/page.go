package update

import (
	"context"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/doors"
)

// keepPage puts the maintenance page back after a restart of the agent, when the doors of c are closed.
func (m *Manager) keepPage(ctx context.Context, c *change.Change) error {
	var shut closeNote
	var open openNote
	found, err := c.ReadNote(stepCloseDoors, &shut)
	if err != nil || !found || !shut.Opened.IsZero() {
		return err
	}
	if opened, err := c.ReadNote(stepOpenDoors, &open); err != nil || opened {
		return err
	}
	s := c.Step(stepCloseDoors)
	if s.Status == change.StepUndone {
		return nil
	}
	if s.Status != change.StepDone {
		// The step itself (or its undo) decides; the old release may still hold the ports.
		return nil
	}
	return m.showPage(ctx, c, shut)
}

// showPage answers the closed ports with what is to be said now.
func (m *Manager) showPage(ctx context.Context, c *change.Change, shut closeNote) error {
	if len(shut.Ports) == 0 {
		return nil
	}
	page, err := m.pageOf(c, shut)
	if err != nil {
		return err
	}
	m.mu.Lock()
	there := m.doors
	m.mu.Unlock()
	if there != nil {
		there.Show(page)
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	d, err := doors.Close(wait, shut.Ports, page)
	if err != nil {
		// A page that can't be shown decides nothing: the doors are closed all the same.
		m.Log.Warn("no maintenance page", "error", err)
		return ctx.Err()
	}
	m.mu.Lock()
	m.doors = d
	m.mu.Unlock()
	return nil
}

// pageOf is what the maintenance page says of a change.
func (m *Manager) pageOf(c *change.Change, shut closeNote) (page doors.Page, err error) {
	p := applyPlan{}
	if err := c.ReadPlan(&p); err != nil {
		return page, err
	}
	config := m.config()
	began := shut.Closed
	m.mu.Lock()
	if m.shut.change == c.ID {
		began = m.shut.at // it goes on when the clock is set
	}
	m.mu.Unlock()
	page = doors.Page{
		Title: p.To.Project, To: p.To.Release, Started: began, Expected: m.expectedDowntime(),
		Contact: config.Contact, Language: config.Language,
	}
	if p.From != nil {
		page.From = p.From.Release
	}
	if current, err := m.Trust.Current(); err == nil {
		page.Title = current.Fleet.Name
	}
	if c.Cause != nil {
		page.Code = m.receipt(c)
	}
	return page, nil
}

// receipt names a change for people.
func (m *Manager) receipt(c *change.Change) string {
	return api.Receipt(m.Config.Site, c.ID, c.Cause == nil)
}

// hidePage takes the maintenance page away and frees its ports.
func (m *Manager) hidePage() error {
	m.mu.Lock()
	d := m.doors
	m.doors = nil
	m.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.Open()
}
