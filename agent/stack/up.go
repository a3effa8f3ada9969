package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// UpOptions changes how Up works.
type UpOptions struct {
	// Closed leaves out the published ports and sets the restart policy of every container to "no".
	Closed bool
	// KeepDone does not run a one-shot service again whose container is there and has ended with 0, as compose would.
	// A one-shot service is one that others wait for to complete, or that is not to be restarted when it ends well.
	KeepDone bool
	// Only names the services to start, with those that they depend on; the others are left as they are. Empty means all.
	Only []string
	// BeforeStart is called when all containers are made and before the first is started; its error ends Up. It may be nil.
	BeforeStart func() error
	// Progress is told what happens in short lines, one call at a time; it may be nil.
	Progress func(string)
}

// Up makes the engine run the project: containers whose config hash or image differs are recreated, others are kept
// and started when they do not run, containers of services that the project does not have are removed. Dependencies
// are waited for as their conditions say, no longer than ctx allows; Up does not wait for services that nobody
// depends on, and a service may end. Restart policies of containers that are kept stay as they are unless Closed.
//
// A *ServiceError names the service that kept the stack from starting.
func (c *Compose) Up(ctx context.Context, p *Project, o UpOptions) error {
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	project, err := p.copy(o.Closed)
	if err != nil {
		return err
	}
	how := api.CreateOptions{RemoveOrphans: true}
	if len(o.Only) > 0 {
		if project, err = project.WithSelectedServices(o.Only); err != nil {
			return fmt.Errorf("cannot start %s: %w", strings.Join(o.Only, ", "), err)
		}
		how = api.CreateOptions{IgnoreOrphans: true}
	}
	return up(ctx, cl, project, how, o)
}

// up creates, holds and starts. It changes project.
func up(ctx context.Context, cl *client.Client, project *types.Project, how api.CreateOptions, o UpOptions) error {
	if err := haveImages(ctx, cl, project); err != nil {
		return err
	}
	if o.Closed {
		if err := hold(ctx, cl, project.Name); err != nil {
			return err
		}
	}
	if err := tidy(ctx, cl, project.Name); err != nil {
		return err
	}
	engine, err := newShield(ctx, cl, o.Closed)
	if err != nil {
		return err
	}
	svc, err := backend(engine, o.Progress)
	if err != nil {
		return err
	}
	how.Recreate, how.RecreateDependencies, how.Inherit, how.QuietPull = api.RecreateDiverged, api.RecreateDiverged, true, true
	if err := svc.Create(ctx, project, how); err != nil {
		if strings.Contains(err.Error(), "No such image") { // it was there a moment ago
			return fmt.Errorf("%w: %w", ErrNoImage, err)
		}
		var s *ServiceError
		if errors.As(err, &s) {
			return s
		}
		return failure("cannot create "+project.Name, err)
	}
	if o.Closed { // somebody else may have added one, or freed one
		if err := hold(ctx, cl, project.Name); err != nil {
			return err
		}
	}
	if err := tidy(ctx, cl, project.Name); err != nil {
		return err
	}
	if o.KeepDone {
		if engine.done, err = done(ctx, cl, project); err != nil {
			return err
		}
	}
	if o.BeforeStart != nil {
		if err := o.BeforeStart(); err != nil {
			return err
		}
	}
	err = svc.Start(ctx, project.Name, api.StartOptions{Project: project})
	if err == nil {
		err = ctx.Err() // compose may give up waiting without saying so
	}
	if err != nil {
		return explain(ctx, cl, project, err)
	}
	return nil
}

// tidy puts right what compose does not: containers that somebody has paused go on, and one that was being recreated
// when the power went gets its name back, which until then begins with the old one's id.
func tidy(ctx context.Context, cl *client.Client, project string) error {
	list, err := containers(ctx, cl, project)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, s := range list {
		taken[nameOf(s)] = true
	}
	for _, s := range list {
		if s.State == container.StatePaused {
			if err := cl.ContainerUnpause(ctx, s.ID); err != nil && !errdefs.IsNotFound(err) {
				return failure("cannot let "+nameOf(s)+" go on", err)
			}
		}
		old, name, ok := strings.Cut(strings.TrimPrefix(nameOf(s), "container "), "_")
		if !ok || len(old) != 12 || strings.Trim(old, "0123456789abcdef") != "" || taken["container "+name] ||
			s.Labels[api.ContainerReplaceLabel] == "" {
			continue
		}
		if err := cl.ContainerRename(ctx, s.ID, name); err != nil && !errdefs.IsNotFound(err) {
			return failure("cannot rename "+nameOf(s), err)
		}
	}
	return nil
}

// done returns the ids of the containers of one-shot services that have ended well.
func done(ctx context.Context, cl *client.Client, project *types.Project) (map[string]bool, error) {
	seen, err := inspectAll(ctx, cl, project.Name)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, in := range seen {
		if in.State == nil || in.State.Status != container.StateExited || in.State.ExitCode != 0 {
			continue
		}
		service := in.Config.Labels[labelService]
		policy := restartPolicy(project.Services[service])
		if policy.IsNone() || policy.IsOnFailure() || needs(project, service) == types.ServiceConditionCompletedSuccessfully {
			ids[in.ID] = true
		}
	}
	return ids, nil
}

// haveImages names the service whose image is missing before anything is touched.
func haveImages(ctx context.Context, cl *client.Client, project *types.Project) error {
	for _, name := range project.ServiceNames() {
		s := project.Services[name]
		if s.Image == "" {
			return &ServiceError{Service: name, Reason: "has no image"}
		}
		if s.GetScale() == 0 {
			continue
		}
		_, err := cl.ImageInspect(ctx, s.Image)
		if errdefs.IsNotFound(err) {
			return &ServiceError{Service: name, Reason: "needs image " + s.Image, Err: ErrNoImage}
		}
		if err != nil {
			return failure("cannot look for image "+s.Image, err)
		}
	}
	return nil
}
