package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/sirupsen/logrus"
)

// Source says where the documents of a stack are and what they are filled in with.
type Source struct {
	Dir      string
	Files    []string // compose files relative to Dir, in the order of -f
	Project  string   // "" takes the name that the files give
	Profiles []string
	// Env is the whole environment of interpolation and of variables that are passed on to containers. Neither the
	// environment of this process nor a file named .env is looked at.
	Env map[string]string
	// Images replaces the images of services. Every image runs as it is in the engine; nothing is ever pulled.
	Images map[string]string
	// WorkingDir is what relative paths in the documents start from; "" means Dir.
	WorkingDir string
}

// maxFile bounds one compose file before it is parsed.
const maxFile = 4 << 20

// quiet keeps the words of compose's logger, which is one for the process, away from our standard error.
var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

// Load reads and checks the documents. Services of profiles that are not active are known to RunOnce only.
func Load(ctx context.Context, s Source) (*Project, error) {
	quiet()
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot find folder %s: %w", s.Dir, err)
	}
	if len(s.Files) == 0 {
		return nil, fmt.Errorf("cannot read the stack in %s: no compose file is named", s.Dir)
	}
	var files []string
	for _, f := range s.Files {
		if !filepath.IsLocal(f) {
			return nil, fmt.Errorf("cannot read compose file %s: it is outside of %s", f, s.Dir)
		}
		path := filepath.Join(dir, f)
		if err := readable(path); err != nil {
			return nil, fmt.Errorf("cannot read compose file %s: %w", f, err)
		}
		files = append(files, path)
	}
	working := s.WorkingDir
	if working == "" {
		working = dir
	}
	env := maps.Clone(s.Env)
	if env == nil {
		env = map[string]string{}
	}
	opts, err := cli.NewProjectOptions(
		files,
		func(o *cli.ProjectOptions) error { o.Environment = env; return nil },
		cli.WithWorkingDirectory(working),
		cli.WithName(loader.NormalizeProjectName(s.Project)),
		cli.WithProfiles(slices.Clone(s.Profiles)),
		cli.WithoutEnvironmentResolution, // see resolved
	)
	if err != nil {
		return nil, fmt.Errorf("cannot read the stack in %s: %w", s.Dir, err)
	}
	full, err := opts.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the stack in %s: %w", s.Dir, err)
	}
	if full.Name == "" {
		return nil, fmt.Errorf("cannot read the stack in %s: it has no project name", s.Dir)
	}
	if err := settle(full, s.Images); err != nil {
		return nil, fmt.Errorf("cannot use the stack in %s: %w", s.Dir, err)
	}
	view, err := resolved(full)
	if err != nil {
		return nil, fmt.Errorf("cannot read the stack in %s: %w", s.Dir, err)
	}
	return &Project{full: full, view: view}, nil
}

func readable(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return errors.New("it is not a file")
	case st.Size() > maxFile:
		return fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return nil
}

// settle sets images, pull policy and compose's own labels on every service, and refuses what cannot be run here. It
// comes before anything is hashed, as compose hashes the image's name.
func settle(p *types.Project, images map[string]string) error {
	for name := range images {
		if _, ok := p.AllServices()[name]; !ok {
			return fmt.Errorf("an image is given for service %s, which it does not have", name)
		}
	}
	for _, group := range []types.Services{p.Services, p.DisabledServices} {
		for name, s := range group {
			if s.Provider != nil || len(s.Models) > 0 {
				return fmt.Errorf("service %s needs a provider or a model, which can only come from a network", name)
			}
			if image := images[name]; image != "" {
				s.Image = image
			}
			s.PullPolicy = types.PullPolicyNever
			s.CustomLabels = types.Labels{
				api.ProjectLabel:     p.Name,
				api.ServiceLabel:     name,
				api.VersionLabel:     api.ComposeVersion,
				api.WorkingDirLabel:  p.WorkingDir,
				api.ConfigFilesLabel: strings.Join(p.ComposeFiles, ","),
				api.OneoffLabel:      "False",
			}
			group[name] = s
		}
	}
	return nil
}

// resolved makes the project that runs out of the project as read, in the steps of compose's own command line, so
// that both compute the same config hashes.
func resolved(p *types.Project) (*types.Project, error) {
	return p.WithoutUnnecessaryResources().WithServicesEnvironmentResolved(true)
}
