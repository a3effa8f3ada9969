package stack

import (
	"context"
	"errors"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// HoldRestarts sets the restart policy of every container of the project to "no", so that the engine starts none of
// them by itself at boot. No config hash changes, and nothing is recreated by it later. A container that crashes all the
// time, and is between two starts, is stopped.
func (c *Compose) HoldRestarts(ctx context.Context, project string) error {
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	return hold(ctx, cl, loader.NormalizeProjectName(project))
}

func hold(ctx context.Context, cl *client.Client, project string) error {
	return setPolicies(ctx, cl, project, func(container.InspectResponse) (container.RestartPolicy, bool) {
		return container.RestartPolicy{Name: container.RestartPolicyDisabled}, true
	})
}

// FreeRestarts sets the restart policy of every container of the project's services as the documents say.
func (c *Compose) FreeRestarts(ctx context.Context, p *Project) error {
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	return setPolicies(ctx, cl, p.Name(), func(in container.InspectResponse) (container.RestartPolicy, bool) {
		s, ok := p.view.Services[in.Config.Labels[labelService]]
		return restartPolicy(s), ok && in.Config.Labels[api.OneoffLabel] != "True"
	})
}

// setPolicies gives each container the policy that want names for it. A container that is gone, or going, needs none.
func setPolicies(ctx context.Context, cl *client.Client, project string,
	want func(container.InspectResponse) (container.RestartPolicy, bool),
) error {
	list, err := containers(ctx, cl, project)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		in, err := cl.ContainerInspect(ctx, s.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			errs = append(errs, failure("cannot inspect "+nameOf(s), err))
			continue
		}
		if in.ContainerJSONBase == nil || in.HostConfig == nil || in.Config == nil {
			errs = append(errs, errors.New("the engine's description of "+nameOf(s)+" is not complete"))
			continue
		}
		policy, ok := want(in)
		if !ok || samePolicy(in.HostConfig.RestartPolicy, policy) {
			continue
		}
		if err := setPolicy(ctx, cl, s.ID, policy); err != nil {
			errs = append(errs, failure("cannot set the restart policy of "+nameOf(s), err))
		}
	}
	return errors.Join(errs...)
}

// setPolicy sets one policy. The engine refuses that for a container between two starts, and one that crashes all the
// time is hardly ever caught running: to hold such a one back, it is stopped.
func setPolicy(ctx context.Context, cl *client.Client, id string, policy container.RestartPolicy) error {
	for attempt := 0; ; attempt++ {
		_, err := cl.ContainerUpdate(ctx, id, container.UpdateConfig{RestartPolicy: policy})
		if err == nil || errdefs.IsNotFound(err) || attempt == 10 {
			return ignoreNotFound(err)
		}
		in, ierr := cl.ContainerInspect(ctx, id)
		if ierr != nil {
			return ignoreNotFound(ierr)
		}
		if st := in.State; st == nil || st.Dead || st.Status == container.StateRemoving {
			return nil // the engine starts such a one no more
		}
		if policy.IsNone() && in.State.Restarting {
			now := 0
			if serr := cl.ContainerStop(ctx, id, container.StopOptions{Timeout: &now}); serr != nil && !errdefs.IsNotFound(serr) {
				return errors.Join(err, serr)
			}
			continue
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// samePolicy compares policies; the engine writes "no" as nothing at times.
func samePolicy(a, b container.RestartPolicy) bool {
	return (a.IsNone() && b.IsNone()) || (a.Name == b.Name && a.MaximumRetryCount == b.MaximumRetryCount)
}
