package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Discard removes all of a scratch copy: containers at once, with their anonymous volumes, then networks and volumes. It goes by labels
// and names and may be repeated. A volume is removed only when its name begins with that of the copy and an underscore; a name that no
// scratch copy can have is refused.
func (c *Compose) Discard(ctx context.Context, name string) error {
	if err := checkScratch(name); err != nil {
		return err
	}
	cl, err := c.engine(ctx)
	if err != nil {
		return err
	}
	list, err := containers(ctx, cl, name)
	if err != nil {
		return err
	}
	if err := each(list, func(s container.Summary) error {
		// The engine removes anonymous volumes with their container, never named ones.
		if err := cl.ContainerRemove(ctx, s.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			return remove(ctx, cl, s)
		}
		return nil
	}); err != nil {
		return err
	}
	used, err := removeNetworks(ctx, cl, name)
	if len(used) > 0 {
		err = errors.Join(err, fmt.Errorf("cannot remove the scratch copy %s: still in use: %s", name, strings.Join(used, ", ")))
	}
	return errors.Join(err, removeVolumes(ctx, cl, name))
}

func removeVolumes(ctx context.Context, cl *client.Client, name string) error {
	list, err := cl.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", api.ProjectLabel+"="+name))})
	if err != nil {
		return failure("cannot list the volumes", err)
	}
	var errs []error
	for _, v := range list.Volumes {
		if !strings.HasPrefix(v.Name, name+"_") {
			continue
		}
		if err := cl.VolumeRemove(ctx, v.Name, false); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, failure("cannot remove volume "+v.Name, err))
		}
	}
	return errors.Join(errs...)
}
