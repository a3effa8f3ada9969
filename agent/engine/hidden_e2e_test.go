//go:build e2e

package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
)

// loopVolume makes a volume that is an ext4 file system on a loop device: nobody sees its files while no container runs.
func loopVolume(t *testing.T, ctx context.Context, e *Engine) (name, device string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	sh(t, "truncate", "-s", "40M", image)
	sh(t, "mkfs.ext4", "-q", "-F", image)
	device = sh(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { sh(t, "losetup", "-d", device) })
	name = fmt.Sprintf("dhow-e2e-hidden-%d", time.Now().UnixNano())
	_, err := e.api().VolumeCreate(ctx, volume.CreateOptions{
		Name: name, Driver: "local", DriverOpts: map[string]string{"type": "ext4", "device": device}, Labels: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.RemoveVolume(context.Background(), name) })
	return name, device
}

func sh(t *testing.T, cmd ...string) string {
	t.Helper()
	out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// onDevice mounts the volume's device beside the engine for a moment.
func onDevice(t *testing.T, device string, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	sh(t, "mount", device, dir)
	defer sh(t, "umount", dir)
	do(dir)
}

// listed describes a folder: names, owners, modes, sizes, links, contents.
func listed(t *testing.T, dir string) string {
	t.Helper()
	out := sh(t, "find", dir, "-mindepth", "1", "-not", "-name", "lost+found", "-printf", "%P %y %m %U:%G %n %l %Ts\n")
	return sh(t, "sh", "-c", `cd "$0" && find . -type f -print0 | sort -z | xargs -0 sha256sum`, dir) + "\n" + sh(t, "sh", "-c", `printf '%s' "$0" | sort`, out)
}

func readTar(t *testing.T, ctx context.Context, e *Engine, volume, image string) []byte {
	t.Helper()
	r, err := e.VolumeTar(ctx, volume, image)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestE2EHiddenVolume(t *testing.T) {
	ctx, e := connect(t)
	img := loadApp(t, ctx, e, "hidden")
	name, device := loopVolume(t, ctx, e)
	if _, err := e.Volume(ctx, name); !errors.Is(err, ErrHidden) {
		t.Fatalf("the volume can be reached: %v", err)
	}
	v, err := e.Hidden(ctx, name)
	if err != nil || v.Driver != "local" || v.Options["device"] != device || v.Labels["a"] != "b" || v.Fleeting() {
		t.Fatalf("%+v: %v", v, err)
	}
	var before string
	onDevice(t, device, func(dir string) {
		sh(t, "rm", "-rf", filepath.Join(dir, "lost+found"))
		sh(t, "sh", "-c", `cd "$0" && mkdir -p sub/empty && head -c 3000000 /dev/urandom >sub/large && echo text >"odd name"
			ln "odd name" hard && ln -s /etc/passwd link && chown -R 999:998 . && chmod 2750 sub && mkfifo fifo && chmod 711 .`, dir)
		before = listed(t, dir)
	})
	first := readTar(t, ctx, e, name, img.Tag)
	if again := readTar(t, ctx, e, name, img.Tag); !bytes.Equal(first, again) {
		t.Error("two tars of the same files differ")
	}
	onDevice(t, device, func(dir string) {
		sh(t, "sh", "-c", `cd "$0" && rm -r sub "odd name" && mkdir "odd name" new && echo other >new/file && echo x >hard && chmod 700 .`, dir)
	})
	program := filepath.Join(t.TempDir(), "app")
	data, err := app()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	eraser := Eraser{Path: program, Args: []string{"empty"}}

	// A tar that breaks off leaves a part; again with all of it, everything is right.
	if err := e.FillVolume(ctx, name, img.Tag, eraser, bytes.NewReader(first[:700_000])); err == nil {
		t.Error("half a tar was taken for a whole one")
	}
	if err := e.FillVolume(ctx, name, img.Tag, eraser, bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	onDevice(t, device, func(dir string) {
		if after := listed(t, dir); after != before {
			t.Errorf("restored is\n%s\nwanted\n%s", after, before)
		}
	})
	if again := readTar(t, ctx, e, name, img.Tag); !sameFiles(t, again, first) {
		t.Error("the restored volume gives another tar")
	}

	// What is not there, what can't run, and what is left.
	eraser.Args = []string{"exit", "3", "no thanks"}
	if err := e.FillVolume(ctx, name, img.Tag, eraser, bytes.NewReader(first)); err == nil || !strings.Contains(err.Error(), "code 3: no thanks") {
		t.Errorf("an eraser that fails: %v", err)
	}
	if _, err := e.VolumeTar(ctx, name, "dhow-e2e-none:1"); err == nil {
		t.Error("a volume was read without an image")
	}
	if _, err := e.Hidden(ctx, name+"-none"); !errors.Is(err, ErrNoVolume) {
		t.Errorf("a volume that is not there: %v", err)
	}
	left, err := e.carrier(ctx, name, img.Tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.DropCarriers(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, err := e.api().ContainerInspect(ctx, left); err == nil {
		t.Error("a container that was left behind stays")
	}
	list, err := e.api().ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Labels[carrierLabel] == name {
			t.Errorf("container %s is left", c.ID)
		}
	}
	if err := e.RemoveVolume(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := e.MakeHidden(ctx, v); err != nil {
		t.Fatal(err)
	}
	if again, err := e.Hidden(ctx, name); err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
		t.Errorf("made again it is %+v (%v), was %+v", again, err, v)
	}
}

// sameFiles compares two tars but for the fractions of times.
func sameFiles(t *testing.T, a, b []byte) bool {
	t.Helper()
	read := func(data []byte) (all string) {
		for r := tar.NewReader(bytes.NewReader(data)); ; {
			h, err := r.Next()
			if err == io.EOF {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintf("%s %c %o %d:%d %s %d %d %x\n", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, h.ModTime.Unix(), len(content), content[:min(len(content), 9)])
		}
	}
	if read(a) != read(b) {
		t.Logf("%s\nand\n%s", read(a), read(b))
		return false
	}
	return true
}
