package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
)

// Volume returns the folder that holds a volume's files. ErrNoVolume: there is none of this name. ErrHidden: it is
// not a plain local one, or its folder cannot be read by this process.
func (e *Engine) Volume(ctx context.Context, name string) (string, error) {
	v, err := e.api().VolumeInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("volume %s: %w", name, ErrNoVolume)
	}
	if err != nil {
		return "", failure("cannot inspect volume "+name, err)
	}
	if !e.local() {
		return "", fmt.Errorf("volume %s: %w: the engine is on another machine", name, ErrHidden)
	}
	path, err := folder(v.Driver, v.Mountpoint, v.Options)
	if err != nil {
		return "", fmt.Errorf("volume %s: %w: %w", name, ErrHidden, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("volume %s: %w: %w", name, ErrHidden, err)
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("volume %s: %w: %w", name, ErrHidden, err)
	}
	return path, nil
}

// folder says where a volume's files are. A local volume with mount options is mounted at its mountpoint only while
// some container runs, so only a bind can be followed.
func folder(driver, mountpoint string, options map[string]string) (string, error) {
	if driver != "local" {
		return "", fmt.Errorf("its driver is %s", driver)
	}
	device, o := options["device"], options["o"]
	switch {
	case device == "" && o == "" && options["type"] == "":
		return mountpoint, nil
	case device != "" && hasOption(o, "bind"):
		return device, nil
	}
	return "", fmt.Errorf("it is a mount of type %q", options["type"])
}

func hasOption(list, want string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == want || o == "r"+want {
			return true
		}
	}
	return false
}
