//go:build e2e

package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/opencontainers/go-digest"
)

// connect fails the test when no engine answers.
func connect(t *testing.T) (context.Context, *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	e, err := Connect("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	info, err := e.Info(ctx)
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	if info.Version == "" || !strings.HasPrefix(info.Platform, "linux/") || info.Root == "" || info.Driver == "" {
		t.Fatalf("incomplete: %+v", info)
	}
	return ctx, e
}

var app = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dhow-engine-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the test program: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// appImage is an image of the test program and one more file; mark makes the upper layer differ.
func appImage(t *testing.T, mark string) (Image, Layer, Layer) {
	t.Helper()
	program, err := app()
	if err != nil {
		t.Fatal(err)
	}
	_, base := layerOf(t, "app", program)
	_, top := layerOf(t, "mark", []byte(mark))
	return imageOf(t, "dhow-engine-app", mark, base, top), base, top
}

func loadApp(t *testing.T, ctx context.Context, e *Engine, mark string) Image {
	t.Helper()
	img, _, _ := appImage(t, mark)
	t.Cleanup(func() {
		if err := e.Untag(context.Background(), img.Tag); err != nil {
			t.Error(err)
		}
	})
	if err := e.Load(ctx, img, nil); err != nil {
		t.Fatal(err)
	}
	return img
}

// run starts a container that looks like one of compose's, and removes it at the end.
func run(t *testing.T, ctx context.Context, e *Engine, img Image, project string, hc *container.HostConfig, cfg container.Config) string {
	t.Helper()
	cfg.Image = img.Tag
	if cfg.Labels == nil {
		cfg.Labels = map[string]string{}
	}
	cfg.Labels[labelProject] = project
	made, err := e.api().ContainerCreate(ctx, &cfg, hc, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.api().ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if err := e.Start(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func TestE2ELoad(t *testing.T) {
	ctx, e := connect(t)
	// Marks of this run alone, so that nothing of an earlier run is in the engine.
	mark := fmt.Sprint(time.Now().UnixNano())
	first, base, top := appImage(t, mark+"-1")
	second, _, top2 := appImage(t, mark+"-2")
	for _, img := range []Image{first, second} {
		t.Cleanup(func() { _ = e.Untag(context.Background(), img.Tag) })
		if ok, err := e.HasImage(ctx, img.ConfigDigest); ok || err != nil {
			t.Fatalf("the image is there before the test: %v", err)
		}
		if d, err := e.Tagged(ctx, img.Tag); d != "" || err != nil {
			t.Fatalf("tagged before the test: %s %v", d, err)
		}
	}
	var done, total int64
	count := func(d, n int64) { done, total = d, n }
	if err := e.Load(ctx, first, count); err != nil {
		t.Fatal(err)
	}
	// An engine that has the program from another test is right not to ask for it again.
	if whole := base.DiffSize + top.DiffSize; done != total || (total != whole && total != top.DiffSize) {
		t.Errorf("first image: sent %d of %d bytes, want %d", done, total, whole)
	}
	if err := e.Load(ctx, second, count); err != nil {
		t.Fatal(err)
	}
	if done != top2.DiffSize {
		t.Errorf("second image: sent %d bytes, want only the upper layer's %d", done, top2.DiffSize)
	}
	t.Logf("first image %d bytes, second %d", base.DiffSize+top.DiffSize, done)
	for _, img := range []Image{first, second} {
		if d, err := e.Tagged(ctx, img.Tag); d != img.ConfigDigest || err != nil {
			t.Errorf("%s names %s (%v), want %s", img.Tag, d, err, img.ConfigDigest)
		}
	}
	id := run(t, ctx, e, second, "dhow-engine-load", nil, container.Config{Cmd: []string{"sleep"}})
	exit, _, err := e.Exec(ctx, id, []string{"/app", "print", "/mark"}, nil, io.Discard)
	if exit != 0 || err != nil {
		t.Errorf("the second image does not run: %d %v", exit, err)
	}

	// Untagged and loaded again while a container keeps its layers: nothing but the config has to be sent.
	if err := e.Untag(ctx, first.Tag); err != nil {
		t.Fatal(err)
	}
	if ok, err := e.HasImage(ctx, first.ConfigDigest); ok || err != nil {
		t.Errorf("an image without names stays: %v", err)
	}
	if err := e.Tag(ctx, first.ConfigDigest, first.Tag); !errors.Is(err, ErrNoImage) {
		t.Errorf("tagging a missing image: %v", err)
	}
	r, err := e.Save(ctx, []string{second.Tag})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := files(t, r); got["manifest.json"] == nil {
		t.Error("a saved image has no manifest.json")
	}
}

func TestE2ELoadTampered(t *testing.T) {
	ctx, e := connect(t)
	mark := fmt.Sprint(time.Now().UnixNano())
	flip := func(t *testing.T, verify bool) Image {
		img, base, top := appImage(t, mark+fmt.Sprint(verify))
		rc, err := top.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Clone(data)
		data[513] ^= 1
		top.Open = func() (io.ReadCloser, error) {
			if verify {
				return io.NopCloser(io.MultiReader(bytes.NewReader(data), failing{errors.New("damaged")})), nil
			}
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		img.Layers = []Layer{base, top}
		return img
	}
	for _, verify := range []bool{true, false} {
		img := flip(t, verify)
		err := e.Load(ctx, img, nil)
		want := "cannot load " + img.Tag + ": the engine says: "
		if verify {
			want = "cannot load " + img.Tag + ": cannot read layer " + short(img.Layers[1].DiffID) + ": damaged"
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("verify %v: %v, want %q", verify, err, want)
		}
		if !verify && !errors.Is(err, ErrNotLoaded) {
			t.Errorf("%v is not ErrNotLoaded", err)
		}
		if d, err := e.Tagged(ctx, img.Tag); d != "" || err != nil {
			t.Errorf("verify %v: tagged %s %v", verify, d, err)
		}
		if ok, err := e.HasImage(ctx, img.ConfigDigest); ok || err != nil {
			t.Errorf("verify %v: the image is there: %v", verify, err)
		}
	}
}

func TestE2EContainers(t *testing.T) {
	ctx, e := connect(t)
	img := loadApp(t, ctx, e, "containers")
	const project = "dhow-engine-containers"
	id := run(t, ctx, e, img, project, &container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: "unless-stopped"},
	}, container.Config{
		Cmd: []string{"sleep"}, Volumes: map[string]struct{}{"/scratch": {}},
		Labels: map[string]string{labelService: "db", labelHash: "abc", labelOneOff: "True"},
		Healthcheck: &container.HealthConfig{
			Test: []string{"CMD", "/app", "health", "/never"}, Interval: 100 * time.Millisecond, Retries: 1, Timeout: 5 * time.Second,
		},
	})
	if err := e.Start(ctx, id); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
	var c Container
	for c.Health != "unhealthy" {
		list, err := e.Containers(ctx, project)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d containers, %v", len(list), err)
		}
		if c = list[0]; c.State != "running" {
			t.Fatalf("state %s", c.State)
		}
	}
	if c.ID != id || c.Image != img.ConfigDigest.String() || c.Service != "db" || !c.OneOff || c.ConfigHash != "abc" ||
		c.RestartPolicy != "unless-stopped" || c.HealthLog != "not ready: no file /never" || len(c.IPs) != 1 {
		t.Errorf("%+v", c)
	}
	if len(c.Mounts) != 1 || !c.Mounts[0].Anonymous || c.Mounts[0].Destination != "/scratch" {
		t.Errorf("mounts %+v", c.Mounts)
	}
	if path, err := e.Volume(ctx, c.Mounts[0].Name); err != nil || path != c.Mounts[0].Source {
		t.Errorf("volume at %q (%v), want %q", path, err, c.Mounts[0].Source)
	}
	for range 2 {
		if err := e.Stop(ctx, id, 5*time.Second); err != nil {
			t.Error(err)
		}
	}
	list, err := e.Containers(ctx, project)
	if err != nil || len(list) != 1 || list[0].State != "exited" || list[0].ExitCode != 0 {
		t.Errorf("after stop: %+v %v", list, err)
	}
	for range 2 {
		if err := errors.Join(e.Remove(ctx, id), e.Stop(ctx, id, time.Second)); err != nil {
			t.Error(err)
		}
	}
	if list, err := e.Containers(ctx, project); err != nil || len(list) != 0 {
		t.Errorf("after remove: %+v %v", list, err)
	}
	if err := e.Start(ctx, id); err == nil {
		t.Error("a container that is gone was started")
	}
	if err := e.api().VolumeRemove(ctx, c.Mounts[0].Name, true); err != nil {
		t.Errorf("the anonymous volume went with its container: %v", err)
	}
}

func TestE2EExec(t *testing.T) {
	ctx, e := connect(t)
	img := loadApp(t, ctx, e, "exec")
	id := run(t, ctx, e, img, "dhow-engine-exec", nil, container.Config{Cmd: []string{"sleep"}})
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	sum := digest.SHA256.Digester()
	exit, stderr, err := e.Exec(ctx, id, []string{"/app", "cat", "7"}, bytes.NewReader(big), sum.Hash())
	if exit != 7 || stderr != "end of input\n" || err != nil || sum.Digest() != digest.FromBytes(big) {
		t.Errorf("exit %d, stderr %q, %v", exit, stderr, err)
	}
	var out bytes.Buffer
	if exit, stderr, err := e.Exec(ctx, id, []string{"/app", "print", "/mark"}, nil, &out); exit != 0 || err != nil || out.String() != "exec" {
		t.Errorf("exit %d, stderr %q, %v, %q", exit, stderr, err, out.String())
	}
	// Without a shell in the container it goes the slow way, and all the same.
	sum.Hash().Reset()
	exit, stderr, err = e.ExecFast(ctx, id, []string{"/app", "cat", "7"}, bytes.NewReader(big), sum.Hash())
	if exit != 7 || stderr != "end of input\n" || err != nil || sum.Digest() != digest.FromBytes(big) {
		t.Errorf("the fast way: exit %d, stderr %q, %v", exit, stderr, err)
	}
	_, _, err = e.Exec(ctx, id, []string{"/app", "cat", "0"}, io.MultiReader(bytes.NewReader(big), failing{errors.New("torn")}), io.Discard)
	if want := "cannot run /app in container " + id + ": its input broke: torn"; errText(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	// A command that does not read its input ends all the same.
	if exit, _, err := e.Exec(ctx, id, []string{"/app", "exit", "3", "x"}, bytes.NewReader(big), io.Discard); exit != 3 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
	if exit, _, err := e.Exec(ctx, id, []string{"/missing"}, nil, io.Discard); exit == 0 && err == nil {
		t.Error("a command that does not exist worked")
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, _, err := e.Exec(short, id, []string{"/app", "sleep"}, nil, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ctx does not end a command: %v", err)
	}
	if err := e.Stop(ctx, id, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Exec(ctx, id, []string{"/app"}, nil, io.Discard); err == nil {
		t.Error("a command ran in a stopped container")
	}
}

func TestE2ELogsAndVolumes(t *testing.T) {
	ctx, e := connect(t)
	img := loadApp(t, ctx, e, "logs")
	id := run(t, ctx, e, img, "dhow-engine-logs", nil, container.Config{Cmd: []string{"exit", "4", "last words"}})
	var log string
	for ctx.Err() == nil && log == "" {
		var err error
		if log, err = e.Logs(ctx, id, 10); err != nil {
			t.Fatal(err)
		}
	}
	if log != "last words\n" {
		t.Errorf("log %q", log)
	}
	if _, err := e.Volume(ctx, "dhow-engine-none"); !errors.Is(err, ErrNoVolume) {
		t.Errorf("%v is not ErrNoVolume", err)
	}
	v, err := e.api().VolumeCreate(ctx, volume.CreateOptions{
		Name: "dhow-engine-tmpfs", DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.api().VolumeRemove(context.Background(), v.Name, true) }()
	if _, err := e.Volume(ctx, v.Name); !errors.Is(err, ErrHidden) {
		t.Errorf("%v is not ErrHidden", err)
	}
	own, err := e.api().VolumeCreate(ctx, volume.CreateOptions{
		Name: "dhow-engine-logs_data", Labels: map[string]string{labelProject: "dhow-engine-logs"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if names, err := e.Volumes(ctx, "dhow-engine-logs"); err != nil || len(names) != 1 || names[0] != own.Name {
		t.Errorf("volumes %v %v", names, err)
	}
	if err := errors.Join(e.RemoveVolume(ctx, own.Name), e.RemoveVolume(ctx, own.Name)); err != nil {
		t.Error(err)
	}
	if names, err := e.Volumes(ctx, "dhow-engine-logs"); err != nil || len(names) != 0 {
		t.Errorf("volumes %v %v", names, err)
	}
}
