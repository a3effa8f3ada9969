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

// CreateVolume makes a local volume as compose would for a project: key is its name in the compose file. One that is there stays.
func (e *Engine) CreateVolume(ctx context.Context, name, project, key string) error {
	_, err := e.api().VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: map[string]string{
		labelProject: project, labelVolume: key,
	}})
	if err != nil {
		return failure("cannot make volume "+name, err)
	}
	return nil
}

// labelVolume names the volume in the compose file.
const labelVolume = "com.docker.compose.volume"

// RemoveVolume removes a volume that no container uses. One that is gone already is no error.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.api().VolumeRemove(ctx, name, false)
	if err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot remove volume "+name, err)
	}
	return nil
}
