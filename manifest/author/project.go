package author

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// project is the stack in three forms: as compose understands it, with paths as they were written, and with variables as they
// were written.
type project struct {
	*types.Project
	paths map[string]any // merged documents, variables put in, relative paths kept
	texts map[string]any // merged documents, nothing put in
}

// stands are tried in turn for required settings, until compose understands the project: the type of each is not known.
var stands = []string{"", "true", "127.0.0.1", "10s", "setting"}

// loadProject reads the documents as compose does at a site, offline and without the process environment.
func loadProject(ctx context.Context, d *documents, v *variables, o Options) (*project, error) {
	load := &load{documents: d, name: o.Project, profiles: o.Profiles}
	if load.name == "" {
		load.name = v.values["COMPOSE_PROJECT_NAME"]
	}
	if len(load.profiles) == 0 && v.values["COMPOSE_PROFILES"] != "" {
		load.profiles = strings.Split(v.values["COMPOSE_PROFILES"], ",")
	}
	texts, err := load.model(ctx, nil, func(l *loader.Options) { l.SkipInterpolation = true; l.SkipValidation = true })
	if err != nil {
		return nil, d.composeError(err)
	}
	var first error
	for _, other := range stands {
		p, err := load.project(ctx, v.stand(other))
		if err == nil {
			p.texts = texts
			return p, nil
		}
		if first == nil {
			first = err
		}
		if maps.Equal(v.stand(other), v.values) {
			break // no setting stands in: another value changes nothing
		}
	}
	return nil, d.composeError(first)
}

type load struct {
	*documents
	name     string
	profiles []string
}

func (l *load) details(values map[string]string) types.ConfigDetails {
	details := types.ConfigDetails{WorkingDir: l.dir, Environment: types.Mapping{}}
	for name, value := range values {
		if !builtin(name) {
			details.Environment[name] = value
		}
	}
	for _, doc := range l.all[:l.given] {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{
			Filename: filepath.Join(l.dir, filepath.FromSlash(doc.path)), Content: doc.data,
		})
	}
	return details
}

func (l *load) options(more func(*loader.Options)) func(*loader.Options) {
	return func(o *loader.Options) {
		name := l.name
		if name == "" {
			name = loader.NormalizeProjectName(filepath.Base(l.dir))
		}
		o.SetProjectName(name, l.name != "")
		o.Profiles = l.profiles
		o.Interpolate.Substitute = func(text string, lookup template.Mapping) (string, error) { return substitute(text, lookup) }
		more(o)
	}
}

func (l *load) model(ctx context.Context, values map[string]string, more func(*loader.Options)) (map[string]any, error) {
	return loader.LoadModelWithContext(ctx, l.details(values), l.options(func(o *loader.Options) {
		o.ResolvePaths = false
		o.SkipNormalization = true
		more(o)
	}))
}

func (l *load) project(ctx context.Context, values map[string]string) (*project, error) {
	whole, err := loader.LoadWithContext(ctx, l.details(values), l.options(func(*loader.Options) {}))
	if err != nil {
		return nil, err
	}
	paths, err := l.model(ctx, values, func(*loader.Options) {})
	if err != nil {
		return nil, err
	}
	return &project{Project: whole, paths: paths}, nil
}

// composeError puts an error of the compose library into one line with names relative to the project folder.
func (d *documents) composeError(err error) error {
	text := strings.ReplaceAll(err.Error(), d.dir+string(filepath.Separator), "")
	text = strings.Join(strings.Fields(text), " ")
	if e := d.mistyped(text); e != nil {
		e.Err = err
		return e
	}
	hint := ""
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		hint = "the release gives " + missing.Variable + " an empty value: give it one with --env-file, or leave it to the sites"
	}
	return &Error{Text: "cannot understand " + d.all[0].path + ": " + text, Hint: hint, Err: err}
}

// services returns the services of the release in order of name: the active ones, and those that migrate names.
func (p *project) services(migrate []string) []types.ServiceConfig {
	all := maps.Clone(p.Services)
	for _, name := range migrate {
		if s, ok := p.DisabledServices[name]; ok {
			all[name] = s
		}
	}
	out := make([]types.ServiceConfig, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// text returns what stands under keys in the merged documents before any variable is put in; "" when it is no text.
func (p *project) text(keys ...string) string { return textAt(p.texts, keys...) }

func textAt(in any, keys ...string) string {
	switch found := at(in, keys...).(type) {
	case nil:
		return ""
	case string:
		return found
	default:
		return fmt.Sprint(found)
	}
}

func at(in any, keys ...string) any {
	for _, key := range keys {
		m, ok := in.(map[string]any)
		if !ok {
			return nil
		}
		in = m[key]
	}
	return in
}

// list returns the elements under keys in the documents with relative paths.
func (p *project) list(keys ...string) []any {
	l, _ := at(p.paths, keys...).([]any)
	return l
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
