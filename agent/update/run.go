package update

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dhow/agent/backup"
	"dhow/agent/change"
	"dhow/agent/health"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/manifest"
)

const (
	// defaultWithin is how long a release may take to become healthy when its checks don't say.
	defaultWithin = 15 * time.Minute
	// settle is how long everything must have been well without a break.
	settle = 2 * time.Second
)

// within is how long a release may take to become healthy: the longest of its checks, or the default.
func within(r *manifest.Release) time.Duration {
	var longest time.Duration
	for _, c := range r.Checks {
		longest = max(longest, c.Within)
	}
	if longest == 0 {
		return defaultWithin
	}
	return longest
}

// start brings a project up behind closed doors and, when insist is set, waits until it is healthy.
func (m *Manager) start(ctx context.Context, t *change.Task, project *stack.Project, r *manifest.Release, insist bool) error {
	limit, cancel := context.WithTimeout(ctx, within(r))
	defer cancel()
	err := m.Compose.Up(limit, project, stack.UpOptions{Closed: true, Progress: func(line string) {
		t.Progress(change.Progress{Message: line})
	}})
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("release %s did not start in %s: %w", r.Version, within(r), err)
	}
	if err != nil || !insist {
		return err
	}
	return m.waitHealthy(ctx, project, r)
}

func (m *Manager) waitHealthy(ctx context.Context, project *stack.Project, r *manifest.Release) error {
	return health.Wait(ctx, func(ctx context.Context) ([]health.Service, error) {
		return m.services(ctx, project.Name(), project.Restart)
	}, health.Options{Within: within(r), Settle: settle})
}

// startRelease replaces the old containers by the new release's, with the doors still closed.
func (m *Manager) startRelease(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	if err := t.Save(struct{}{}); err != nil {
		return err
	}
	r, err := m.releaseOf(p.To)
	if err != nil {
		return err
	}
	images, err := m.pin(ctx, p.To, r)
	if err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, images); err != nil {
		return err
	}
	project, err := m.project(ctx, p.To, r)
	if err != nil {
		return err
	}
	if err := m.Compose.Down(ctx, p.To.Project, stopGrace); err != nil {
		return err
	}
	if err := t.Fault("down"); err != nil {
		return err
	}
	for _, step := range r.Migrate {
		if err := m.migrate(ctx, project, step); err != nil {
			return m.blame(err)
		}
	}
	if err := m.start(ctx, t, project, r, false); err != nil {
		return m.blame(err)
	}
	return t.Fault("up")
}

func (m *Manager) migrate(ctx context.Context, project *stack.Project, step manifest.Migrate) error {
	limit := ctx
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, step.Timeout)
		defer cancel()
	}
	if _, err := m.Compose.RunOnce(limit, project, step.Service); err != nil {
		return fmt.Errorf("migration %s failed: %w", step.Service, err)
	}
	return nil
}

// stopRelease takes the new release's containers away. Volumes stay.
func (m *Manager) stopRelease(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	return m.Compose.Down(ctx, p.To.Project, stopGrace)
}

// checkHealth decides whether the new release works: every service, then every check of the release.
func (m *Manager) checkHealth(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	r, err := m.releaseOf(p.To)
	if err != nil {
		return err
	}
	project, err := m.project(ctx, p.To, r)
	if err != nil {
		return err
	}
	if err := m.waitHealthy(ctx, project, r); err != nil {
		return m.blame(err)
	}
	if err := t.Fault("healthy"); err != nil {
		return err
	}
	var ahead copyNote
	if _, err := t.Change.ReadNote(stepCopyAhead, &ahead); err != nil {
		return err
	}
	for _, c := range r.Checks {
		previous := ahead.Previous[c.Name]
		if c.AtLeast == "previous" && (previous == "" || p.ReturnTo != "") {
			c.AtLeast = "" // the release before had no such table, or older data were put in place: there is nothing to compare with
		}
		probe := health.Probe{
			Address: func(service string) (string, error) { return m.address(ctx, p.To.Project, service) },
			Query: func(ctx context.Context, service, query string) (string, error) {
				return m.query(ctx, p.To, r, service, query)
			},
			Previous: previous,
		}
		if _, err := health.Check(ctx, c, probe); err != nil {
			return m.blame(fmt.Errorf("check %q failed: %w", c.Name, err))
		}
	}
	return nil
}

// address returns an IP address at which this computer reaches a service.
func (m *Manager) address(ctx context.Context, project, service string) (string, error) {
	containers, err := m.Engine.Containers(ctx, project)
	if err != nil {
		return "", err
	}
	for _, c := range containers {
		if c.Service == service && !c.OneOff && len(c.IPs) > 0 {
			return c.IPs[0], nil
		}
	}
	return "", fmt.Errorf("service %s has no address", service)
}

func (m *Manager) query(ctx context.Context, g Good, r *manifest.Release, service, query string) (string, error) {
	containers, err := m.Engine.Containers(ctx, g.Project)
	if err != nil {
		return "", err
	}
	for _, s := range serversOf(r, containers) {
		if s.Service == service {
			return backup.Query(ctx, m.Engine.Exec, s, query)
		}
	}
	return "", fmt.Errorf("service %s is not a database of this release", service)
}

// blame turns what went wrong while the new release started into a failure of the release. A shutdown, a full disk and a step's request to try
// again stay what they are. Values of settings are taken out of the text.
func (m *Manager) blame(err error) error {
	retry, failure := (*change.Retry)(nil), (*change.Failure)(nil)
	if errors.Is(err, context.Canceled) || errors.As(err, &retry) || errors.As(err, &failure) || space(err) != err {
		return err
	}
	return broken("%s", m.masked(err.Error()))
}

// masked replaces the values of this site's settings in a text: what a service says of its trouble may hold a password.
func (m *Manager) masked(text string) string {
	settings, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return "the reason can't be shown: " + err.Error()
	}
	for _, v := range settings {
		if len(v) >= 4 {
			text = strings.ReplaceAll(text, v, "***")
		}
	}
	return text
}
