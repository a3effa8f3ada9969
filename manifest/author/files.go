package author

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"dhow/manifest"
)

// readEnvironmentFiles looks for variables in the env_file of every service, before compose reads those files.
func (a *making) readEnvironmentFiles(ctx context.Context) error {
	l := &load{documents: a.documents, name: "release"}
	model, err := l.model(ctx, a.variables.stand(""), func(*loader.Options) {})
	if err != nil {
		return nil // loadProject reports it, with more tries
	}
	services, _ := model["services"].(map[string]any)
	for _, service := range sortedKeys(services) {
		entries, _ := at(services, service, "env_file").([]any)
		for _, entry := range entries {
			file := textAt(entry, "path")
			where := a.documents.service(service, "env_file")
			if file == "" || filepath.IsAbs(file) || strings.HasPrefix(file, "~") {
				continue
			}
			rel, err := a.documents.local(where, file)
			if err != nil {
				return err
			}
			data, err := a.documents.contents(where, rel)
			if err != nil {
				if required, ok := at(entry, "required").(bool); ok && !required {
					continue
				}
				return err
			}
			if err := a.variables.findInEnvFile(where, rel, data, environment(services[service])); err != nil {
				return err
			}
		}
	}
	return nil
}

// environment returns the variables that a service sets itself: an env_file may read them.
func environment(service any) map[string]bool {
	set := map[string]bool{}
	switch env := at(service, "environment").(type) {
	case map[string]any:
		for name := range env {
			set[name] = true
		}
	case []any:
		for _, entry := range env {
			text, _ := entry.(string)
			name, _, _ := strings.Cut(text, "=")
			set[name] = true
		}
	}
	return set
}

// carry takes along every file that the documents name.
func (a *making) carry(ctx context.Context) error {
	c := &carrier{making: a, ctx: ctx, have: map[string]bool{}}
	for i, doc := range a.documents.all {
		if err := c.file("", doc.path); err != nil {
			return err
		}
		if i < a.documents.given {
			a.release.Compose = append(a.release.Compose, doc.path)
		}
	}
	for _, s := range a.services {
		if err := c.service(s); err != nil {
			return err
		}
	}
	for _, section := range []string{"configs", "secrets"} {
		all, _ := at(a.project.paths, section).(map[string]any)
		for _, name := range sortedKeys(all) {
			if err := c.object(section, name, textAt(all, name, "file")); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(a.release.Files, func(x, y manifest.File) int { return strings.Compare(x.Path, y.Path) })
	return nil
}

// siteEnv is the file in which compose and, at a site, Dhow keep the values of variables.
const siteEnv = ".env"

// reserved are the files that the agent writes beside those of a release.
var reserved = []string{"dhow.yaml", "release.json", siteEnv}

type carrier struct {
	*making
	ctx  context.Context
	have map[string]bool
	size int64
}

func (c *carrier) service(s types.ServiceConfig) error {
	for _, entry := range c.project.list("services", s.Name, "env_file") {
		required, ok := at(entry, "required").(bool)
		if err := c.named(s.Name, "env_file", textAt(entry, "path"), ok && !required); err != nil {
			return err
		}
	}
	for _, entry := range c.project.list("services", s.Name, "label_file") {
		file, _ := entry.(string)
		if err := c.named(s.Name, "label_file", file, false); err != nil {
			return err
		}
	}
	for _, entry := range c.project.list("services", s.Name, "volumes") {
		if textAt(entry, "type") == types.VolumeTypeBind {
			if err := c.bind(s.Name, textAt(entry, "source"), textAt(entry, "target")); err != nil {
				return err
			}
		}
	}
	return nil
}

// named takes along a file that compose itself reads.
func (c *carrier) named(service, key, file string, optional bool) error {
	where := c.documents.service(service, key)
	if own(file) {
		c.report.warn("%s: %s %s is the site's own and must be there", service, key, shown(file))
		return nil
	}
	rel, err := c.documents.local(where, file)
	if err != nil {
		return err
	}
	if key == "env_file" && rel == siteEnv {
		return c.siteEnv(where, service, optional)
	}
	err = c.file(where, rel)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// siteEnv leaves a service's .env at the centre: its names become settings of the site, whose .env the agent writes from them.
func (c *carrier) siteEnv(where, service string, optional bool) error {
	f, err := c.documents.root.Open(siteEnv)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return nil
	}
	if err != nil {
		return problem(where, "", "cannot read %s: %w", siteEnv, err)
	}
	defer f.Close()
	values, err := dotenv.ParseWithLookup(io.LimitReader(f, maxSiteEnv), func(string) (string, bool) { return "", true })
	if err != nil {
		return problem(where, "", "cannot read %s: a line is not NAME=value", siteEnv) // the parser's words may hold a value
	}
	c.report.warn("%s: env_file %s is not taken along: its %d names become settings of the site", service, siteEnv, len(values))
	for name, value := range values {
		c.passed[name] = c.passed[name] || value != ""
	}
	return nil
}

// maxSiteEnv bounds the .env of a service, in bytes.
const maxSiteEnv = 1 << 20

func (c *carrier) object(section, name, file string) error {
	what := strings.TrimSuffix(section, "s") + " " + name
	if file == "" {
		return nil
	}
	if own(file) {
		c.report.warn("%s: file %s is the site's own and must be there", what, shown(file))
		return nil
	}
	where := ""
	for _, doc := range c.documents.all {
		for _, root := range doc.roots {
			if node := field(field(field(root, section), name), "file"); node != nil {
				where = doc.at(node)
			}
		}
	}
	rel, err := c.documents.local(where, file)
	if err != nil {
		return err
	}
	if section == "secrets" {
		c.report.warn("%s: the file %s goes into the release, where every site can read it; an absolute path stays at the site", what, rel)
	}
	return c.file(where, rel)
}

// bind takes along the source of a bind mount that stands in the project folder.
func (c *carrier) bind(service, source, target string) error {
	where := c.documents.service(service, "volumes")
	if own(source) {
		if !system(source) {
			c.report.warn("%s: %s (mounted at %s) is the site's own folder: it is neither taken along nor backed up", service, shown(source), target)
		}
		return nil
	}
	rel, err := c.documents.local(where, source)
	if err != nil {
		return err
	}
	if rel == "." {
		return problem(where, "mount a folder below it", "service %s mounts the whole project folder at %s", service, target)
	}
	info, err := c.documents.root.Stat(filepath.FromSlash(rel))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem(where, "give the data a named volume, or a folder with an absolute path",
			"service %s mounts ./%s at %s, which is not there: data in it would not follow from one release to the next", service, rel, target)
	case err != nil:
		return problem(where, "", "cannot read %s: %w", rel, err)
	case info.IsDir():
		return c.folder(where, rel)
	case info.Mode().IsRegular():
		return c.file(where, rel)
	}
	return problem(where, "", "service %s mounts ./%s, which is neither a file nor a folder", service, rel)
}

func (c *carrier) folder(where, rel string) error {
	return fs.WalkDir(c.documents.root.FS(), rel, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return problem(where, "", "cannot read %s: %w", rel, err)
		case d.IsDir():
			return nil
		case d.Type().IsRegular() || d.Type()&fs.ModeSymlink != 0:
			return c.file(where, p)
		}
		return problem(where, "", "%s is neither a file nor a folder", p)
	})
}

// file puts one file into the store and on the list. A link is followed inside the project folder.
func (c *carrier) file(where, rel string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if c.have[rel] {
		return nil
	}
	f, err := c.documents.root.Open(filepath.FromSlash(rel))
	if err != nil {
		return problem(where, "", "cannot take along %s: %w", rel, err)
	}
	defer f.Close()
	if slices.Contains(reserved, rel) {
		return problem(where, "rename it", "cannot take along %s: dhow writes this name itself at the site", rel)
	}
	info, err := f.Stat()
	if err != nil {
		return problem(where, "", "cannot take along %s: %w", rel, err)
	}
	if !info.Mode().IsRegular() {
		return problem(where, "", "cannot take along %s: it is not a file", rel)
	}
	c.size += info.Size()
	if c.size > c.o.MaxFiles {
		return problem(where, "data belongs into a volume, and large files into an image",
			"the files of the release are larger than %s together (%s is one of %d)", SizeText(c.o.MaxFiles), rel, len(c.have)+1)
	}
	data, err := io.ReadAll(io.LimitReader(f, info.Size()+1))
	if err != nil {
		return problem(where, "", "cannot take along %s: %w", rel, err)
	}
	if int64(len(data)) != info.Size() {
		return problem(where, "try again", "%s changes while it is read", rel)
	}
	blob, err := putBytes(c.ctx, c.o.Store, "", data)
	if err != nil {
		return err
	}
	c.have[rel] = true
	c.release.Files = append(c.release.Files, manifest.File{Path: path.Clean(rel), Mode: uint32(info.Mode().Perm()), Blob: blob})
	return nil
}

// own reports whether a path is the site's own: not relative to the project folder.
func own(file string) bool {
	return filepath.IsAbs(file) || strings.HasPrefix(file, "~") || strings.HasPrefix(file, "/")
}

// system reports whether an absolute path is a part of the machine that holds no data of the stack.
func system(source string) bool {
	for _, p := range []string{
		"/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/var/run/docker.sock", "/run/docker.sock", "/dev", "/proc", "/sys",
	} {
		if source == p || strings.HasPrefix(source, p+"/") {
			return true
		}
	}
	return false
}

// shown turns a stand-in back into the variable for which it stands.
func shown(file string) string {
	if rest, ok := strings.CutPrefix(file, placeholder); ok {
		n := nameLength(rest)
		return "${" + rest[:n] + "}" + rest[n:]
	}
	return file
}
