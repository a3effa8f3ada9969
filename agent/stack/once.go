package stack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

const maxLog = 64 << 10

// RunOnce runs a service to its end in a one-off container, with the doors closed: the services that it depends on
// are brought up first, closed, and waited for as its conditions say, and they go on running. The service may belong
// to a profile that is not active. log holds the last 64 KiB of its output, also when it failed, as far as the engine
// keeps it; a *ServiceError says that it failed. The container is removed in any case.
func (c *Compose) RunOnce(ctx context.Context, p *Project, service string) (log string, err error) {
	cl, err := c.engine(ctx)
	if err != nil {
		return "", err
	}
	project, slug, err := p.once(service)
	if err != nil {
		return "", err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		if rerr := removeOnce(clean, cl, slug); rerr != nil && err == nil {
			err = rerr
		}
	}()
	// Compose creates the container and waits for what it depends on, but does not start it: a one-off is not its own.
	if err := up(ctx, cl, project, api.CreateOptions{IgnoreOrphans: true}, UpOptions{Closed: true, KeepDone: true}); err != nil {
		return "", fmt.Errorf("cannot run %s: %w", service, err)
	}
	id, err := findOnce(ctx, cl, slug)
	if err != nil {
		return "", err
	}
	if err := inject(ctx, cl, project, project.Services[onceName(service, slug)], id); err != nil {
		return "", &ServiceError{Service: service, Reason: "cannot be prepared", Err: err}
	}
	code, err := runToEnd(ctx, cl, id)
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	log = lastLog(look, cl, id)
	switch {
	case err != nil:
		return log, &ServiceError{Service: service, Reason: "did not end", Err: err}
	case code != 0:
		return log, &ServiceError{Service: service, Reason: fmt.Sprintf("ended with exit code %d%s", code, quoted(log))}
	}
	return log, nil
}

func onceName(service, slug string) string { return service + "-run-" + slug }

// once is the project of one one-off container and what it depends on, closed. The service gets a name of its own
// inside this project, so that compose does not take it for the service's ordinary container; its labels say what it is.
func (p *Project) once(service string) (*types.Project, string, error) {
	if _, ok := p.full.AllServices()[service]; !ok {
		return nil, "", fmt.Errorf("cannot run %s: there is no such service", service)
	}
	project, err := p.full.WithServicesEnabled(service)
	if err == nil {
		project, err = project.WithSelectedServices([]string{service})
	}
	if err == nil {
		project, err = resolved(project)
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot run %s: %w", service, err)
	}
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails
	slug := hex.EncodeToString(raw)
	for name, s := range project.Services {
		s.Ports = nil
		project.Services[name] = s
	}
	s := project.Services[service]
	delete(project.Services, service)
	s.Name = onceName(service, slug)
	s.ContainerName = strings.Join([]string{project.Name, service, "run", slug}, api.Separator)
	s.Restart = ""
	if s.Deploy != nil {
		s.Deploy.RestartPolicy = nil
	}
	s.SetScale(1)
	s.CustomLabels = s.CustomLabels.Add(api.OneoffLabel, "True").Add(api.SlugLabel, slug)
	project.Services[s.Name] = s
	return project, slug, nil
}

func onceFilter(slug string) container.ListOptions {
	return container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", api.SlugLabel+"="+slug))}
}

func findOnce(ctx context.Context, cl *client.Client, slug string) (string, error) {
	list, err := cl.ContainerList(ctx, onceFilter(slug))
	if err != nil {
		return "", failure("cannot list the containers", err)
	}
	if len(list) != 1 {
		return "", fmt.Errorf("internal error: %d containers were made for one run", len(list))
	}
	return list[0].ID, nil
}

// removeOnce removes the one-off container, and the anonymous volumes that were made for it alone.
func removeOnce(ctx context.Context, cl *client.Client, slug string) error {
	list, err := cl.ContainerList(ctx, onceFilter(slug))
	if err != nil {
		return failure("cannot list the containers", err)
	}
	return each(list, func(s container.Summary) error {
		if err := cl.ContainerRemove(ctx, s.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			return remove(ctx, cl, s)
		}
		return nil
	})
}

// runToEnd starts a container and waits until it ends; when ctx ends first, the container is killed by its removal.
func runToEnd(ctx context.Context, cl *client.Client, id string) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, failed := cl.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := cl.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return 0, failure("cannot start it", err)
	}
	select {
	case r := <-ended:
		if r.Error != nil && r.Error.Message != "" {
			return r.StatusCode, fmt.Errorf("the engine says: %s", r.Error.Message)
		}
		return r.StatusCode, nil
	case err := <-failed:
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return 0, failure("cannot wait for it", err)
	}
}

// lastLog returns the end of a container's output, as much of it as can be had: not every log driver gives it back.
func lastLog(ctx context.Context, cl *client.Client, id string) string {
	r, err := cl.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1000"})
	if err != nil {
		return ""
	}
	defer r.Close()
	in, err := cl.ContainerInspect(ctx, id)
	if err != nil {
		return ""
	}
	var t tail
	if in.Config != nil && in.Config.Tty {
		_, _ = io.Copy(&t, r)
	} else {
		_, _ = stdcopy.StdCopy(&t, &t, r)
	}
	return strings.ToValidUTF8(string(t), "?")
}

// tail keeps the last maxLog bytes of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p[max(0, len(p)-maxLog):]...)
	if over := len(*t) - maxLog; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	return len(p), nil
}

// inject puts the secrets and configs into the container that are not files to be mounted, as compose does at a start.
func inject(ctx context.Context, cl *client.Client, p *types.Project, s types.ServiceConfig, id string) error {
	put := func(ref types.FileReferenceConfig, from types.FileObjectConfig, base string) error {
		content := from.Content
		if content == "" && from.Environment != "" {
			v, ok := p.Environment[from.Environment]
			if !ok {
				return fmt.Errorf("variable %s, which %s is read from, is not set", from.Environment, ref.Source)
			}
			content = v
		}
		if content == "" {
			return nil
		}
		target := ref.Target
		if target == "" {
			target = ref.Source
		}
		if !path.IsAbs(target) {
			target = path.Join(base, target)
		}
		archive, err := oneFile(target, content, ref)
		if err != nil {
			return err
		}
		return cl.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{CopyUIDGID: ref.UID != "" || ref.GID != ""})
	}
	for _, ref := range s.Secrets {
		if err := put(types.FileReferenceConfig(ref), types.FileObjectConfig(p.Secrets[ref.Source]), "/run/secrets"); err != nil {
			return err
		}
	}
	for _, ref := range s.Configs {
		if err := put(types.FileReferenceConfig(ref), types.FileObjectConfig(p.Configs[ref.Source]), "/"); err != nil {
			return err
		}
	}
	return nil
}

// oneFile is a tar with one file.
func oneFile(name, content string, ref types.FileReferenceConfig) (io.Reader, error) {
	h := tar.Header{Name: name, Size: int64(len(content)), Mode: 0o444, ModTime: time.Unix(0, 0)}
	if ref.Mode != nil {
		h.Mode = int64(*ref.Mode)
	}
	for _, id := range []struct {
		text string
		to   *int
	}{{ref.UID, &h.Uid}, {ref.GID, &h.Gid}} {
		if id.text == "" {
			continue
		}
		n, err := strconv.Atoi(id.text)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number of a user or group", id.text)
		}
		*id.to = n
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&h); err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return nil, err
	}
	return &b, w.Close()
}
