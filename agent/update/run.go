package update

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dhow/agent/change"
	"dhow/agent/database"
	"dhow/agent/health"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/manifest"
)

const (
	// defaultWithin is how long a release may take to become healthy when its checks don't say.
	defaultWithin = 15 * time.Minute
	// defaultMigrate is how long a migration may take when the release doesn't say.
	defaultMigrate = 2 * time.Hour
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
func (m *Manager) start(ctx context.Context, t *change.Task, s side, insist bool) error {
	limit, cancel := context.WithTimeout(ctx, within(s.doc))
	defer cancel()
	err := m.Compose.Up(limit, s.project, stack.UpOptions{Closed: true, Progress: func(line string) {
		t.Progress(change.Progress{Message: line})
	}})
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("release %s did not start in %s: %w", s.Release, within(s.doc), err)
	}
	if err != nil || !insist {
		return err
	}
	return m.waitHealthy(ctx, s)
}

// startsAgain is how often a service that ends is started again while the release is watched, as its restart policy would.
const startsAgain = 5

// waitHealthy waits until every service is well. Restart policies are off meanwhile, so it does what they say: a service that waits for
// another one by ending, or that a power cut has stopped, is started again.
func (m *Manager) waitHealthy(ctx context.Context, s side) error {
	started := map[string]int{}
	return health.Wait(ctx, func(ctx context.Context) ([]health.Service, error) {
		containers, err := m.Engine.Containers(ctx, s.Project)
		if err != nil {
			return nil, err
		}
		for _, c := range containers {
			if c.OneOff || c.State != "exited" || !comesBack(s.project.Restart(c.Service), c.ExitCode) || started[c.ID] >= startsAgain {
				continue
			}
			started[c.ID]++
			if err := m.Engine.Start(ctx, c.ID); err != nil {
				return nil, err
			}
		}
		return m.services(ctx, s.Project, s.project)
	}, health.Options{Within: within(s.doc), Settle: settle})
}

// startNote counts the attempts that the engine, not the release, made fail.
type startNote struct {
	Attempts int `json:"attempts"`
}

// engineAttempts is how often a start is tried again when the engine fails at it without a service being the reason.
const engineAttempts = 3

// startRelease replaces the old containers by the new release's, with the doors still closed. Begun once before, it starts from the data of the
// snapshot again: what an interrupted migration has left must not be migrated a second time.
func (m *Manager) startRelease(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note startNote
	again, err := t.Note(&note)
	if err != nil {
		return err
	}
	if err := t.Save(note); err != nil {
		return err
	}
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	if err := m.Compose.Down(ctx, p.To.Project, stopGrace); err != nil {
		return err
	}
	var armed restoreNote
	if _, err := t.Change.ReadNote(stepArmRestore, &armed); err != nil {
		return err
	}
	gone, err := m.ensureVolumes(ctx, p.To.Project, armed.Trees)
	if err != nil {
		return err
	}
	hiddenGone, err := m.hiddenGone(ctx, armed.Name)
	if err != nil {
		return err
	}
	if again || gone || hiddenGone {
		if err := m.freshData(ctx, t, p, armed); err != nil {
			return err
		}
	}
	if err := t.Fault("down"); err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, to.images); err != nil {
		return err
	}
	if p.Archive != "" {
		if err := m.loadDumps(ctx, t, p, to); err != nil {
			return err
		}
	}
	for _, step := range to.doc.Migrate {
		if p.Archive != "" {
			break // the data are those of this very release
		}
		if err := m.migrate(ctx, to.project, step); err != nil {
			return m.blame(err)
		}
	}
	if len(to.doc.Migrate) > 0 {
		if err := m.ensureImages(ctx, t, to.images); err != nil {
			return err
		}
	}
	if err := m.start(ctx, t, to, false); err != nil {
		return m.blameStart(ctx, t, note, err)
	}
	m.mu.Lock()
	m.started = t.Change.ID
	m.mu.Unlock()
	return t.Fault("up")
}

// freshData puts in place the data with which the release is to be started.
func (m *Manager) freshData(ctx context.Context, t *change.Task, p applyPlan, armed restoreNote) error {
	if err := m.restore(ctx, t, p, armed); err != nil {
		return err
	}
	return m.returnData(ctx, t)
}

// blameStart tells a release that does not start from an engine that does not start it.
func (m *Manager) blameStart(ctx context.Context, t *change.Task, note startNote, err error) error {
	if errors.Is(err, stack.ErrNoImage) {
		return err
	}
	if s := (*stack.ServiceError)(nil); errors.As(err, &s) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return m.blame(err)
	}
	if note.Attempts++; note.Attempts >= engineAttempts {
		return m.blame(err)
	}
	if serr := t.Save(note); serr != nil {
		return serr
	}
	return &change.Retry{After: 3 * time.Second, Err: err}
}

func (m *Manager) migrate(ctx context.Context, project *stack.Project, step manifest.Migrate) error {
	timeout := step.Timeout
	if timeout == 0 {
		timeout = defaultMigrate
	}
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
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
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, to.images); err != nil {
		return err
	}
	m.mu.Lock()
	fresh := m.started == t.Change.ID
	m.started = 0
	m.mu.Unlock()
	if !fresh { // after a power cut nothing runs: all of it is started again before it is judged
		limit, cancel := context.WithTimeout(ctx, within(to.doc))
		defer cancel()
		if err := m.Compose.Up(limit, to.project, stack.UpOptions{Closed: true, KeepDone: true}); err != nil {
			return m.blame(err)
		}
	}
	if err := m.waitHealthy(ctx, to); err != nil {
		return m.blame(err)
	}
	if err := t.Fault("healthy"); err != nil {
		return err
	}
	var ahead copyNote
	if _, err := t.Change.ReadNote(stepCopyAhead, &ahead); err != nil {
		return err
	}
	if p.takesBack() {
		ahead.Previous = nil // older data are in place: there is nothing to compare with
	}
	return m.runChecks(ctx, to, ahead.Previous)
}

// runChecks asks a running release what its checks ask. Previous holds the answers of the release before, by name of the check.
func (m *Manager) runChecks(ctx context.Context, to side, previous map[string]string) error {
	for _, c := range to.doc.Checks {
		if c.AtLeast == "previous" && previous[c.Name] == "" {
			c.AtLeast = "" // the release before had no such table
		}
		probe := health.Probe{
			Address: func(service string) (string, error) { return m.address(ctx, to.Project, service) },
			Query: func(ctx context.Context, service, query string) (string, error) {
				return m.query(ctx, to, service, query)
			},
			Previous: previous[c.Name],
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

func (m *Manager) query(ctx context.Context, s side, service, query string) (string, error) {
	containers, err := m.Engine.Containers(ctx, s.Project)
	if err != nil {
		return "", err
	}
	for _, db := range serversOf(s.doc, containers) {
		if db.Service == service {
			return database.Query(ctx, m.Engine.Exec, db, query)
		}
	}
	return "", fmt.Errorf("service %s is not a database of this release", service)
}

// blame turns what went wrong while the new release started into a failure of the release. A shutdown, a full disk and a step's request to try
// again stay what they are.
func (m *Manager) blame(err error) error {
	retry, failure := (*change.Retry)(nil), (*change.Failure)(nil)
	if errors.Is(err, context.Canceled) || errors.Is(err, stack.ErrNoImage) || errors.As(err, &retry) || errors.As(err, &failure) || space(err) != err {
		return err
	}
	if noSpace(err) {
		return space(fmt.Errorf("%w (%w)", err, syscall.ENOSPC))
	}
	return broken("%w", err)
}

// secretName finds settings whose values are secrets however short they are.
var secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|cred|auth|salt`)

// masked replaces the values of this site's settings in a text that is to be recorded: what a service says of its trouble may hold a password.
func (m *Manager) masked(text string) string {
	settings, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return "the reason can't be shown: " + err.Error()
	}
	var secrets []string
	for name, v := range settings {
		if len(v) < 4 || len(v) < 12 && !secretName.MatchString(name) {
			continue // a port, a user: reasons are to be understood
		}
		quoted := strconv.Quote(v)
		secrets = append(secrets, v, quoted[1:len(quoted)-1])
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, v := range secrets {
		text = strings.ReplaceAll(text, v, "***")
	}
	return text
}
