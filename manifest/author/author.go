// Package author makes release documents from compose files. It works at the centre only.
//
// Create reads compose files as compose would at a site, but offline, without the process environment and without a .env file that
// nobody named: what a release means depends on its files and options alone. It promises that every image is pinned by digests that
// were checked on the bytes (config digest, diff IDs, unpacked sizes), that those bytes and all files of the release are in the store,
// and that nothing is silently left out: what Dhow can't carry, back up or close is an error or stands among the Report's warnings.
//
// Variables: what an env file of the release gives is the release's (Release.Variables); so is the default of a variable that chooses
// an image. Every other variable is a setting of the site, and its value never comes here. Required settings are stood in for while
// the project is read; no stand-in reaches the release.
//
// Files: everything that the compose files name with a relative path goes along under that path, which must lie in the folder of the
// first compose file: compose files, what they include and extend, env_file, label_file, configs and secrets with file, and sources of
// bind mounts that exist. Absolute paths are the site's own.
//
// It leaves signing and publishing to manifest/sign and bundle/pack.
package author

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"dhow/bundle"
	"dhow/manifest"
)

// Options say what to make a release of. Version, Fleet, Files, Images, Store and Now are needed.
type Options struct {
	Version   string
	Fleet     string
	Project   string   // compose project name; "" means the one in the files, or the folder's
	Files     []string // compose files in the order of -f; the folder of the first is the project folder
	EnvFiles  []string // files with values of release variables, later ones win
	Platforms []string // "linux/amd64"; none means what the image source has
	Profiles  []string // active compose profiles
	MaxFiles  int64    // bytes of all files together; 0 means DefaultMaxFiles
	Images    ImageSource
	Store     *bundle.Store
	Now       time.Time
}

// DefaultMaxFiles is how many bytes of files a release carries unless Options say otherwise.
const DefaultMaxFiles = 64 << 20

// Create makes a release, and a report on what it understood. The report is there with an error too, as far as it got.
func Create(ctx context.Context, o Options) (*manifest.Release, *Report, error) {
	a := &making{
		passed: map[string]bool{},
		o:      o, report: &Report{Version: o.Version},
		release: &manifest.Release{Format: manifest.ReleaseFormat, Fleet: o.Fleet, Created: o.Now.UTC().Truncate(time.Second)},
	}
	if err := a.options(); err != nil {
		return nil, a.report, err
	}
	for _, step := range []func(context.Context) error{a.read, a.pinImages, a.understand, a.carry, a.finish} {
		if err := step(ctx); err != nil {
			if a.documents != nil {
				a.documents.close()
			}
			return nil, a.report, err
		}
	}
	a.documents.close()
	return a.release, a.report, nil
}

// making is a release in the making.
type making struct {
	o         Options
	report    *Report
	release   *manifest.Release
	documents *documents
	variables *variables
	extension *extension
	project   *project
	services  []types.ServiceConfig
	images    map[string]string                   // service to image reference
	configs   map[string]imageConfig              // image reference to its config for the first platform
	pinned    map[string][]manifest.PlatformImage // by image reference
	passed    map[string]bool                     // names in a service's own .env; whether they have a value
}

func (a *making) options() error {
	version, err := manifest.ParseVersion(a.o.Version)
	if err != nil {
		return &Error{Text: err.Error(), Err: err}
	}
	a.release.Version, a.report.Version = version, version
	if a.o.MaxFiles == 0 {
		a.o.MaxFiles = DefaultMaxFiles
	}
	a.o.Platforms = slices.Clone(a.o.Platforms)
	for i, p := range a.o.Platforms {
		if a.o.Platforms[i], err = manifest.NormalizePlatform(p); err != nil {
			return &Error{Text: err.Error(), Err: err}
		}
	}
	slices.Sort(a.o.Platforms)
	a.o.Platforms = slices.Compact(a.o.Platforms)
	return nil
}

// read reads the documents and lets compose understand them.
func (a *making) read(ctx context.Context) (err error) {
	if a.variables, err = readEnvFiles(a.o.EnvFiles); err != nil {
		return err
	}
	if a.documents, err = readDocuments(a.o.Files, a.variables.values); err != nil {
		return err
	}
	a.variables.find(a.documents)
	if a.extension, err = readExtension(a.documents, a.variables); err != nil {
		return err
	}
	if err := a.readEnvironmentFiles(ctx); err != nil {
		return err
	}
	if a.project, err = loadProject(ctx, a.documents, a.variables, a.o); err != nil {
		return err
	}
	a.release.Project = a.project.Name
	if a.o.Project == "" {
		if err := a.ownName(); err != nil {
			return err
		}
	}
	a.release.Profiles = a.project.Profiles
	var migrate []string
	for _, m := range a.extension.migrate {
		migrate = append(migrate, m.Service)
	}
	a.services = a.project.services(migrate)
	if len(a.services) == 0 {
		hint := ""
		if len(a.project.DisabledServices) > 0 {
			hint = "its services have profiles: choose with --profile"
		}
		return problem(a.documents.all[0].path, hint, "there is no service to run")
	}
	return nil
}

// ownName refuses a project name that would be another one at each site.
func (a *making) ownName() error {
	for _, doc := range a.documents.all[:a.documents.given] {
		for _, root := range doc.roots {
			node := field(root, "name")
			if node == nil {
				continue
			}
			for _, name := range names(node.Value) {
				if _, ok := a.variables.values[name]; !ok && !builtin(name) {
					return problem(doc.at(node), "give it a value with --env-file, or the name with --project",
						"the project name depends on the setting %s", name)
				}
			}
		}
	}
	return nil
}

// pinImages finds the image of every service and lets the source bring it.
func (a *making) pinImages(ctx context.Context) error {
	a.images, a.configs = map[string]string{}, map[string]imageConfig{}
	byRef := map[string][]string{}
	for _, s := range a.services {
		ref, err := a.reference(s)
		if err != nil {
			return err
		}
		a.images[s.Name] = ref
		byRef[ref] = append(byRef[ref], s.Name)
	}
	refs := sortedKeys(byRef)
	pinned, err := a.o.Images.Fetch(ctx, a.o.Store, refs, a.o.Platforms)
	if err != nil {
		return a.imageError(err, byRef)
	}
	a.pinned = pinned
	for _, ref := range refs {
		images := pinned[ref]
		slices.SortFunc(images, func(x, y manifest.PlatformImage) int { return cmp.Compare(x.Platform, y.Platform) })
		a.release.Images = append(a.release.Images, manifest.Image{Ref: ref, Services: byRef[ref], Platforms: images})
		data, err := a.o.Store.Read(images[0].Config, maxConfig)
		if err != nil {
			return err
		}
		if a.configs[ref], err = parseConfig(data); err != nil {
			return err
		}
	}
	return a.samePlatforms()
}

// reference is the image of a service with the release's own values put in.
func (a *making) reference(s types.ServiceConfig) (string, error) {
	where := a.documents.service(s.Name, "image", "build")
	if s.Image == "" {
		hint := "build it, push it, and say image: NAME:TAG"
		if s.Build == nil {
			hint = ""
		}
		return "", problem(where, hint, "service %s has no image", s.Name)
	}
	text := a.project.text("services", s.Name, "image")
	for _, name := range names(text) {
		if !a.variables.open(name) || builtin(name) {
			continue
		}
		if slices.ContainsFunc(expansions(text), func(e expansion) bool { return e.name == name && needed(use{op: e.op}) }) {
			return "", problem(where, "give it a value with --env-file",
				"the image of service %s depends on the setting %s: %s", s.Name, name, text)
		}
	}
	values := maps.Clone(a.variables.values)
	values["COMPOSE_PROJECT_NAME"] = a.project.Name
	ref, err := expand(text, values)
	if err != nil {
		return "", problem(where, "", "service %s: %w", s.Name, err)
	}
	if _, err := normalized(ref); err != nil {
		return "", problem(where, "", "service %s: %w", s.Name, err)
	}
	for _, name := range names(text) {
		if a.variables.open(name) && !builtin(name) {
			a.variables.fix(name)
		}
	}
	if !tagged(ref) {
		a.report.warn("%s: %s has no tag: pinned to what \"latest\" is now", s.Name, ref)
	}
	return ref, nil
}

func (a *making) imageError(err error, byRef map[string][]string) error {
	var image *ImageError
	if !errors.As(err, &image) {
		return err
	}
	service := byRef[image.Ref][0]
	hint := ""
	switch {
	case errors.Is(err, ErrNoPlatform):
		hint = "choose with --platform, or build the image for it"
	case errors.Is(err, bundle.ErrUnreachable):
		hint = "try again when it answers, or take images from the engine or a file: --images"
	case errors.Is(err, ErrNoImage):
		hint = "check the name and the tag, or say where images come from: --images"
	}
	return problem(a.documents.service(service, "image"), hint, "service %s: image %w", service, err)
}

// samePlatforms refuses a release of which some computers would get a part only.
func (a *making) samePlatforms() error {
	platforms := a.release.Platforms()
	if len(platforms) == 0 {
		first := a.release.Images[0]
		for _, i := range a.release.Images[1:] {
			if i.Platforms[0].Platform != first.Platforms[0].Platform {
				return problem(a.documents.service(i.Services[0], "image"), "choose with --platform",
					"%s is made for %s and %s for %s: there is no computer on which both run",
					first.Ref, first.Platforms[0].Platform, i.Ref, i.Platforms[0].Platform)
			}
		}
	}
	a.report.Platforms = platforms
	return nil
}

// withPassed adds the names of a service's .env to the settings, unless the release itself gives them a value.
func (a *making) withPassed(settings []manifest.Setting) []manifest.Setting {
	for name, required := range a.passed {
		_, fixed := a.release.Variables[name]
		if !fixed && !slices.ContainsFunc(settings, func(s manifest.Setting) bool { return s.Name == name }) {
			settings = append(settings, manifest.Setting{Name: name, Required: required})
		}
	}
	slices.SortFunc(settings, func(x, y manifest.Setting) int { return strings.Compare(x.Name, y.Name) })
	return settings
}

// finish puts the release together and checks it as a site will.
func (a *making) finish(context.Context) error {
	a.release.Variables = a.variables.release()
	settings, warnings := a.variables.settings()
	a.release.Settings = a.withPassed(settings)
	for _, w := range slices.Concat(a.variables.exposed(), warnings, a.variables.unused()) {
		a.report.warn("%s", w)
	}
	if err := a.release.Validate(); err != nil {
		return fmt.Errorf("cannot make a release of this: %w", err)
	}
	return a.report.fill(a)
}
