package update

import (
	"context"
	"errors"
	"slices"
	"time"

	"dhow/agent/change"
	"dhow/agent/doors"
	"dhow/agent/health"
	"dhow/agent/stack"
	"dhow/manifest"
)

// closeDoors keeps users out and stops everything that writes but the databases.
func (m *Manager) closeDoors(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note closeNote
	found, err := t.Note(&note)
	if err != nil {
		return err
	}
	if p.From == nil {
		if found {
			return nil
		}
		return t.Save(closeNote{})
	}
	from, err := m.side(ctx, *p.From)
	if err != nil {
		return err
	}
	if !found {
		m.mu.Lock()
		m.shut.begins(t.Change, t.Step)
		m.mu.Unlock()
		well, _ := m.healthNow(ctx, p.From.Project)
		note = closeNote{Closed: m.stamp(), Healthy: well == "healthy", Ports: doorsOf(from.project)}
		if err := t.Save(note); err != nil {
			return err
		}
	}
	// No container may come back by itself after a power cut: the engine would start it on data that are being copied.
	if err := m.Compose.HoldRestarts(ctx, p.From.Project); err != nil {
		return err
	}
	if err := t.Fault("held"); err != nil {
		return err
	}
	if err := m.Compose.Stop(ctx, p.From.Project, publishing(from.project), stopGrace); err != nil {
		return err
	}
	if err := m.showPage(ctx, t.Change, note); err != nil {
		return err
	}
	if err := t.Fault("page"); err != nil {
		return err
	}
	return m.Compose.Stop(ctx, p.From.Project, writers(from), stopGrace)
}

// doorsOf lists the published TCP ports of a stack.
func doorsOf(project *stack.Project) []doors.Port {
	var list []doors.Port
	for _, p := range project.Ports() {
		if p.Published != 0 && p.Protocol == "tcp" {
			list = append(list, doors.Port{HostIP: p.HostIP, Port: p.Published})
		}
	}
	return list
}

// publishing lists the services that publish ports.
func publishing(project *stack.Project) []string {
	var list []string
	for _, p := range project.Ports() {
		if !slices.Contains(list, p.Service) {
			list = append(list, p.Service)
		}
	}
	return list
}

// writers lists the services that may write, those first that need the others. The databases stay up for a last look.
func writers(from side) []string {
	var list []string
	for _, s := range from.project.Services() {
		if !slices.ContainsFunc(from.doc.Databases, func(db manifest.Database) bool { return db.Service == s }) {
			list = append(list, s)
		}
	}
	slices.Reverse(list)
	return list
}

// returnToOld starts the old release again, from its own documents, and lets users in.
func (m *Manager) returnToOld(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note closeNote
	if found, err := t.Note(&note); err != nil || !found {
		return err
	}
	if p.From == nil {
		return m.Compose.Down(ctx, p.To.Project, stopGrace)
	}
	containers, err := m.Engine.Containers(ctx, p.From.Project)
	if err != nil {
		return engineTrouble(err)
	}
	held := note.LettingIn
	for _, c := range containers {
		held = held || (c.State == "running" && len(c.Ports) > 0)
	}
	if !held {
		if err := m.showPage(ctx, t.Change, note); err != nil {
			return err
		}
	}
	from, err := m.side(ctx, *p.From)
	if err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, from.images); err != nil {
		return err
	}
	if note.LettingIn {
		return m.letOldIn(ctx, t, from, note)
	}
	if err := m.start(ctx, t, from, note.Healthy); err != nil {
		return err
	}
	note.LettingIn = true
	if err := t.Save(note); err != nil {
		return err
	}
	return m.letOldIn(ctx, t, from, note)
}

// letOldIn opens the doors of the old release, which runs.
func (m *Manager) letOldIn(ctx context.Context, t *change.Task, from side, note closeNote) error {
	if err := t.Fault("open"); err != nil {
		return err
	}
	if err := m.letIn(ctx, t.Change, from.project, note); err != nil {
		return err
	}
	m.awaitOpen(ctx, from)
	note.Opened, note.Away = m.stamp(), m.awayFor(t.Change, note.Closed)
	return t.Save(note)
}

// awaitOpen waits until the services that publish, which were made anew to open the doors, answer again: only then is the system back. It
// decides nothing: the release has been judged before.
func (m *Manager) awaitOpen(ctx context.Context, s side) {
	err := health.Wait(ctx, func(ctx context.Context) ([]health.Service, error) {
		return m.services(ctx, s.Project, s.project)
	}, health.Options{Within: within(s.doc), Settle: time.Millisecond})
	if err != nil && ctx.Err() == nil {
		m.Log.Warn("the doors are open, but not all is well", "reason", m.masked(err.Error()))
	}
}

// letIn publishes the ports and gives the containers their restart policies back. The maintenance page goes away when the publishing containers are
// made and only have to be started. When that can't be done the page comes back.
func (m *Manager) letIn(ctx context.Context, c *change.Change, project *stack.Project, shut closeNote) error {
	err := m.Compose.Up(ctx, project, stack.UpOptions{KeepDone: true, BeforeStart: m.hidePage})
	if err == nil {
		err = m.Compose.FreeRestarts(ctx, project)
	}
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, m.showPage(ctx, c, shut))
	}
	return err
}
