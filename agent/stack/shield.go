package stack

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shield stands between compose and the engine. It refuses what must never happen, whatever compose may think of;
// when closed, it creates containers with their restart policy off from their first moment, which no config hash
// sees; it says which container an error belongs to; and it answers the questions whose answer compose remembers for
// the life of the process from what was asked before, as compose would remember a failure too.
type shield struct {
	client.APIClient
	closed  bool
	done    map[string]bool // ids of containers that are not to be started again
	version types.Version
	info    system.Info
}

func newShield(ctx context.Context, cl *client.Client, closed bool) (*shield, error) {
	v, err := cl.ServerVersion(ctx)
	if err != nil {
		return nil, failure("cannot ask the engine for its version", err)
	}
	i, err := cl.Info(ctx)
	if err != nil {
		return nil, failure("cannot ask the engine about itself", err)
	}
	return &shield{APIClient: cl, closed: closed, version: v, info: i}, nil
}

func (s *shield) ServerVersion(context.Context) (types.Version, error) { return s.version, nil }
func (s *shield) Info(context.Context) (system.Info, error)            { return s.info, nil }

var errNever = errors.New("this is never done by an update")

func (s *shield) VolumeRemove(_ context.Context, name string, _ bool) error {
	return fmt.Errorf("internal error: compose wants to remove volume %s: %w", name, errNever)
}

func (s *shield) VolumesPrune(context.Context, filters.Args) (volume.PruneReport, error) {
	return volume.PruneReport{}, fmt.Errorf("internal error: compose wants to prune volumes: %w", errNever)
}

func (s *shield) ImagePull(_ context.Context, ref string, _ image.PullOptions) (io.ReadCloser, error) {
	return nil, fmt.Errorf("internal error: compose wants to pull %s: %w", ref, errNever)
}

func (s *shield) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig,
	p *ocispec.Platform, name string,
) (container.CreateResponse, error) {
	if s.closed && h != nil {
		h.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	}
	made, err := s.APIClient.ContainerCreate(ctx, c, h, n, p, name)
	if err != nil && c != nil {
		err = &ServiceError{Service: c.Labels[labelService], Reason: "cannot be created", Err: err}
	}
	return made, err
}

func (s *shield) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	o.RemoveVolumes = false
	return s.APIClient.ContainerRemove(ctx, id, o)
}

func (s *shield) ContainerStart(ctx context.Context, id string, o container.StartOptions) error {
	if s.done[id] {
		return nil
	}
	err := s.APIClient.ContainerStart(ctx, id, o)
	if err == nil || ctx.Err() != nil {
		return err
	}
	service := id
	if in, ierr := s.APIClient.ContainerInspect(ctx, id); ierr == nil && in.Config != nil {
		service = in.Config.Labels[labelService]
	}
	return &ServiceError{Service: service, Reason: "cannot be started", Err: err}
}
