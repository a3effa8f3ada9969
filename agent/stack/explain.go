package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// ServiceError says which service kept the stack from starting, and why: "service db is unhealthy …".
type ServiceError struct {
	Service string
	Reason  string // reads on after the service's name
	Err     error  // what compose or the engine said; may be nil
}

func (e *ServiceError) Error() string {
	s := "service " + e.Service + " " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ServiceError) Unwrap() error { return e.Err }

// maxOutput bounds what an error repeats of a container's own words, in bytes.
const maxOutput = 300

// explain turns an error of compose while it started a project into one that names the service. It looks at the
// containers as they are now, even when ctx has ended.
func explain(ctx context.Context, cl *client.Client, project *types.Project, err error) error {
	var s *ServiceError
	if errors.As(err, &s) {
		return s
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	seen, lerr := inspectAll(look, cl, project.Name)
	if lerr != nil {
		return fmt.Errorf("cannot start %s: %w", project.Name, errors.Join(err, lerr))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if found := waitedFor(project, seen); found != nil {
			found.Err = ctx.Err()
			return found
		}
		return fmt.Errorf("cannot start %s in time: %w", project.Name, ctx.Err())
	}
	if found := culprit(project, seen, err.Error()); found != nil {
		return found
	}
	return fmt.Errorf("cannot start %s: %w", project.Name, err)
}

// needs returns the strongest condition that other services put on this one, "" when nobody waits for it.
func needs(project *types.Project, service string) string {
	condition := ""
	for _, s := range project.Services {
		switch d := s.DependsOn[service]; {
		case d.Condition == types.ServiceConditionCompletedSuccessfully, condition == "" && d.Condition == types.ServiceConditionHealthy:
			condition = d.Condition
		}
	}
	return condition
}

// culprit finds the service that compose's error names, by its container or by itself, and what is wrong with it.
// What is wrong with others may be an old story.
func culprit(project *types.Project, seen []container.InspectResponse, message string) *ServiceError {
	for _, in := range seen {
		name, service := strings.TrimPrefix(in.Name, "/"), in.Config.Labels[labelService]
		if !mentions(message, name) && !strings.Contains(message, fmt.Sprintf("%q", service)) {
			continue
		}
		if reason := trouble(in, needs(project, service)); reason != "" {
			return &ServiceError{Service: service, Reason: reason}
		}
	}
	return nil
}

// mentions reports whether a word of the message is this container's name.
func mentions(message, name string) bool {
	return slices.ContainsFunc(strings.Fields(message), func(w string) bool { return strings.Trim(w, `"':;,()`) == name })
}

// trouble says what is wrong with a container that others wait for, "" when nothing is.
func trouble(in container.InspectResponse, condition string) string {
	st := in.State
	switch {
	case st == nil:
		return ""
	case st.Health != nil && st.Health.Status == container.Unhealthy && st.Running:
		return fmt.Sprintf("is unhealthy (container %s)%s", state(st), output(st))
	case !st.Running && st.Status != container.StateCreated && (st.ExitCode != 0 || condition == types.ServiceConditionHealthy):
		return fmt.Sprintf("ended with exit code %d%s", st.ExitCode, quoted(st.Error))
	case condition == types.ServiceConditionHealthy && st.Running && st.Health == nil:
		return "has no health check, but other services wait until it is healthy"
	}
	return ""
}

// waitedFor finds the service whose condition was not met when the time was over.
func waitedFor(project *types.Project, seen []container.InspectResponse) *ServiceError {
	for _, in := range seen {
		service := in.Config.Labels[labelService]
		condition, st := needs(project, service), in.State
		if condition == "" || st == nil {
			continue
		}
		if reason := trouble(in, condition); reason != "" {
			return &ServiceError{Service: service, Reason: reason}
		}
		switch {
		case condition == types.ServiceConditionHealthy && st.Running && st.Health != nil && st.Health.Status != container.Healthy:
			return &ServiceError{Service: service, Reason: fmt.Sprintf("did not become healthy in time (container %s)%s", state(st), output(st))}
		case condition == types.ServiceConditionCompletedSuccessfully && st.Running:
			return &ServiceError{Service: service, Reason: fmt.Sprintf("did not end in time (container %s)", state(st))}
		}
	}
	return nil
}

func state(st *container.State) string {
	if st.Health != nil && st.Health.Status != container.NoHealthcheck {
		return st.Status + ", " + st.Health.Status
	}
	return st.Status
}

// output repeats the last words of the health check.
func output(st *container.State) string {
	if st.Health == nil || len(st.Health.Log) == 0 || st.Health.Log[len(st.Health.Log)-1] == nil {
		return ""
	}
	return quoted(st.Health.Log[len(st.Health.Log)-1].Output)
}

// quoted puts a container's words after a colon, on one line and bounded; the end is what tells most.
func quoted(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > maxOutput {
		s = "… " + strings.ToValidUTF8(s[len(s)-maxOutput:], "")
	}
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", s)
}
