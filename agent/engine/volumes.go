package engine

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
)

// Volumes returns the names of the volumes that compose made for a project.
func (e *Engine) Volumes(ctx context.Context, project string) ([]string, error) {
	list, err := e.api().VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, failure("cannot list volumes", err)
	}
	var names []string
	for _, v := range list.Volumes {
		names = append(names, v.Name)
	}
	return names, nil
}

// RemoveVolume removes a volume that no container uses. One that is gone already is no error.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.api().VolumeRemove(ctx, name, false)
	if err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot remove volume "+name, err)
	}
	return nil
}
