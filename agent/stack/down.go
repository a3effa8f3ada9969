package stack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

const labelService = api.ServiceLabel

// Down stops and removes all containers of a project, one-off containers too, dependents first, and removes its
// networks. Volumes stay. It goes by labels alone, and may be repeated at any point. grace is how long a container
// may take to end, unless its own stop_grace_period is longer. A network that somebody else's container uses is left.
func (c *Compose) Down(ctx context.Context, project string, grace time.Duration) error {
	project = loader.NormalizeProjectName(project)
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	if err := hold(ctx, cl, project); err != nil { // a power cut from here on must not bring half of it back
		return err
	}
	errs := []error{stop(ctx, cl, project, nil, grace)}
	list, err := containers(ctx, cl, project)
	if err != nil {
		return err
	}
	errs = append(errs, each(list, func(s container.Summary) error { return remove(ctx, cl, s) }))
	left, err := containers(ctx, cl, project)
	if err != nil {
		return err
	}
	used, err := removeNetworks(ctx, cl, project)
	if err != nil {
		errs = append(errs, err)
	}
	if len(left) > 0 {
		errs = append(errs, fmt.Errorf("cannot take %s down: still there: %s", project, strings.Join(append(names(left), used...), ", ")))
		return errors.Join(errs...)
	}
	return err
}

// Stop stops containers of a project, dependents first; services nil means all of them, one-off containers too. The
// containers stay. grace is as for Down.
func (c *Compose) Stop(ctx context.Context, project string, services []string, grace time.Duration) error {
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	return stop(ctx, cl, loader.NormalizeProjectName(project), services, grace)
}

func stop(ctx context.Context, cl *client.Client, project string, services []string, grace time.Duration) error {
	list, err := containers(ctx, cl, project)
	if err != nil {
		return err
	}
	seconds := int(math.Ceil(grace.Seconds()))
	var errs []error
	for _, group := range stopOrder(list) {
		errs = append(errs, each(group, func(s container.Summary) error {
			if services != nil && !slices.Contains(services, s.Labels[labelService]) {
				return nil
			}
			in, err := cl.ContainerInspect(ctx, s.ID)
			if errdefs.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return failure("cannot inspect "+nameOf(s), err)
			}
			o := container.StopOptions{Timeout: &seconds}
			if grace <= 0 || in.Config != nil && in.Config.StopTimeout != nil && *in.Config.StopTimeout > seconds {
				o.Timeout = nil // its own
			}
			if err := cl.ContainerStop(ctx, s.ID, o); err != nil && !errdefs.IsNotFound(err) {
				return failure("cannot stop "+nameOf(s), err)
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// stopOrder groups containers so that each group may be stopped at once, dependents before what they depend on.
func stopOrder(list []container.Summary) [][]container.Summary {
	deps := map[string][]string{}
	for _, s := range list {
		name := s.Labels[labelService]
		deps[name] = append(deps[name], dependsOn(s.Labels[api.DependenciesLabel])...)
	}
	var out [][]container.Summary
	for _, group := range slices.Backward(layers(deps)) {
		var g []container.Summary
		for _, s := range list {
			if slices.Contains(group, s.Labels[labelService]) {
				g = append(g, s)
			}
		}
		out = append(out, g)
	}
	return out
}

// remove removes a container and waits until it is gone, whoever removes it.
func remove(ctx context.Context, cl *client.Client, s container.Summary) error {
	for {
		err := cl.ContainerRemove(ctx, s.ID, container.RemoveOptions{Force: true})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if !errdefs.IsConflict(err) {
			return failure("cannot remove "+nameOf(s), err)
		}
		select {
		case <-ctx.Done():
			return failure("cannot remove "+nameOf(s), errors.Join(ctx.Err(), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// removeNetworks removes the networks of a project and returns the names of those that are in use.
func removeNetworks(ctx context.Context, cl *client.Client, project string) (used []string, err error) {
	list, err := cl.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", api.ProjectLabel+"="+project))})
	if err != nil {
		return nil, failure("cannot list the networks", err)
	}
	for _, n := range list {
		rerr := cl.NetworkRemove(ctx, n.ID)
		switch {
		case rerr == nil || errdefs.IsNotFound(rerr):
		case errdefs.IsPermissionDenied(rerr) || errdefs.IsConflict(rerr): // "has active endpoints"
			used = append(used, "network "+n.Name)
		default:
			err = errors.Join(err, failure("cannot remove network "+n.Name, rerr))
		}
	}
	return used, err
}

// containers lists the containers of a project in every state.
func containers(ctx context.Context, cl *client.Client, project string) ([]container.Summary, error) {
	list, err := cl.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", api.ProjectLabel+"="+project)),
	})
	if err != nil {
		return nil, failure("cannot list the containers", err)
	}
	return list, nil
}

// inspectAll returns all that the engine knows of a project's containers, without one-off ones.
func inspectAll(ctx context.Context, cl *client.Client, project string) ([]container.InspectResponse, error) {
	list, err := containers(ctx, cl, project)
	if err != nil {
		return nil, err
	}
	var out []container.InspectResponse
	for _, s := range list {
		if s.Labels[api.OneoffLabel] == "True" {
			continue
		}
		in, err := cl.ContainerInspect(ctx, s.ID)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return nil, failure("cannot inspect "+nameOf(s), err)
		case in.ContainerJSONBase != nil && in.Config != nil && in.HostConfig != nil:
			out = append(out, in)
		}
	}
	return out, nil
}

// each calls do for all containers at once and joins their errors.
func each(list []container.Summary, do func(container.Summary) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { errs[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func nameOf(s container.Summary) string {
	if len(s.Names) == 0 {
		return "container " + s.ID
	}
	return "container " + strings.TrimPrefix(s.Names[0], "/")
}

func names(list []container.Summary) []string {
	var out []string
	for _, s := range list {
		out = append(out, nameOf(s))
	}
	return out
}
