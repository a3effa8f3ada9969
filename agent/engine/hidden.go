package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"dhow/agent/fault"
)

// HiddenVolume is a volume whose files Volume cannot reach, with all that it takes to make it again.
type HiddenVolume struct {
	Name    string            `json:"name"`
	Driver  string            `json:"driver"`
	Options map[string]string `json:"options,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// Fleeting reports whether the volume is in memory: it is empty whenever no container runs, and there is nothing to keep.
func (v HiddenVolume) Fleeting() bool { return v.Driver == "local" && v.Options["type"] == "tmpfs" }

// Hidden describes a volume. ErrNoVolume: there is none of this name.
func (e *Engine) Hidden(ctx context.Context, name string) (HiddenVolume, error) {
	v, err := e.api().VolumeInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return HiddenVolume{}, fmt.Errorf("volume %s: %w", name, ErrNoVolume)
	}
	if err != nil {
		return HiddenVolume{}, failure("cannot inspect volume "+name, err)
	}
	return HiddenVolume{Name: name, Driver: v.Driver, Options: v.Options, Labels: v.Labels}, nil
}

// MakeHidden makes a volume again that is gone. One that is there stays.
func (e *Engine) MakeHidden(ctx context.Context, v HiddenVolume) error {
	_, err := e.api().VolumeCreate(ctx, volume.CreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels})
	if err != nil {
		return failure("cannot make volume "+v.Name, err)
	}
	return nil
}

// The files of a hidden volume go through a container of any image that the engine has. It mounts the volume and is never started, but to
// empty the volume. What the engine's archives cannot hold is lost: extended attributes and ACLs, fractions of seconds, holes, setuid bits of
// hard-linked files.
const (
	carrierLabel   = "dhow.carrier"
	carrierVolume  = "/.dhow-volume"
	carrierProgram = "/.dhow-program"
)

// VolumeTar streams a volume, itself and all that is in it, as a tar, in an order that is always the same; image is the reference or config digest of any image of
// the engine. Who closes it early gives the rest up.
func (e *Engine) VolumeTar(ctx context.Context, name, image string) (io.ReadCloser, error) {
	id, err := e.carrier(ctx, name, image, nil)
	if err != nil {
		return nil, err
	}
	r, _, err := e.api().CopyFromContainer(ctx, id, carrierVolume)
	if err != nil {
		return nil, errors.Join(failure("cannot read volume "+name, err), e.drop(ctx, id))
	}
	return &volumeTar{ReadCloser: r, done: func() error { return e.drop(ctx, id) }}, nil
}

type volumeTar struct {
	io.ReadCloser
	done func() error
}

func (v *volumeTar) Close() error {
	_ = v.ReadCloser.Close() // may be in the middle
	return v.done()
}

// Eraser is a program that runs without any library in any container and removes all that is in the folder named by its last argument.
type Eraser struct {
	Path string // of the program on this computer
	Args []string
}

// FillVolume removes all that is in a volume and puts into it what VolumeTar has streamed. Nothing may use it meanwhile. Interrupted, it leaves
// a part, and is called again.
func (e *Engine) FillVolume(ctx context.Context, name, image string, eraser Eraser, content io.Reader) (err error) {
	id, err := e.carrier(ctx, name, image, eraser.Args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.drop(ctx, id)) }()
	if err := e.erase(ctx, id, eraser); err != nil {
		return fmt.Errorf("cannot empty volume %s: %w", name, err)
	}
	if err := fault.Point("engine/fill-volume"); err != nil {
		return err
	}
	o := container.CopyToContainerOptions{AllowOverwriteDirWithFile: false}
	// NopCloser: the caller closes what is its own.
	if err := e.api().CopyToContainer(ctx, id, "/", io.NopCloser(content), o); err != nil {
		return failure("cannot fill volume "+name, err)
	}
	return nil
}

// erase runs the program in the container.
func (e *Engine) erase(ctx context.Context, id string, eraser Eraser) error {
	f, err := os.Open(eraser.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		err := tw.WriteHeader(&tar.Header{Name: strings.TrimPrefix(carrierProgram, "/"), Mode: 0o755, Size: info.Size()})
		if err == nil {
			_, err = io.Copy(tw, f)
		}
		_ = w.CloseWithError(errors.Join(err, tw.Close()))
	}()
	err = e.api().CopyToContainer(ctx, id, "/", r, container.CopyToContainerOptions{})
	_ = r.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		return failure("cannot send the program", err)
	}
	ended, failed := e.api().ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := e.Start(ctx, id); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return failure("cannot wait for the program", err)
	case end := <-ended:
		if end.StatusCode == 0 && end.Error == nil {
			return nil
		}
		said, err := e.Logs(ctx, id, 10)
		return errors.Join(fmt.Errorf("the program ended with code %d: %s", end.StatusCode, strings.TrimSpace(said)), err)
	}
}

// carrier makes a container that mounts a volume and does nothing.
func (e *Engine) carrier(ctx context.Context, name, image string, args []string) (string, error) {
	if err := e.DropCarriers(ctx, name); err != nil {
		return "", err
	}
	made, err := e.api().ContainerCreate(ctx, &container.Config{
		Image: image, User: "0:0", Entrypoint: []string{carrierProgram}, Cmd: append(args, carrierVolume),
		Labels: map[string]string{carrierLabel: name}, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, &container.HostConfig{
		NetworkMode: "none",
		Mounts: []mount.Mount{{
			Type: mount.TypeVolume, Source: name, Target: carrierVolume, VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		}},
	}, nil, nil, "")
	if err != nil {
		return "", failure("cannot make a container for volume "+name, err)
	}
	return made.ID, nil
}

func (e *Engine) drop(ctx context.Context, id string) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	// The image may have volumes of its own, which nobody asked for.
	err := e.api().ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot remove container "+id, err)
	}
	return nil
}

// DropCarriers removes the containers that an interrupted VolumeTar or FillVolume of a volume has left. Neither may be at work.
func (e *Engine) DropCarriers(ctx context.Context, name string) error {
	list, err := e.api().ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", carrierLabel+"="+name)),
	})
	if err != nil {
		return failure("cannot list the containers", err)
	}
	for _, c := range list {
		if err := e.drop(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}
