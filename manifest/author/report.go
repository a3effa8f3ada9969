package author

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"dhow/manifest"
)

// Report says what Create understood. Sizes are in bytes.
type Report struct {
	Version   string           `json:"version"`
	Platforms []string         `json:"platforms"`
	Services  []string         `json:"services"`
	Volumes   []string         `json:"volumes"`
	Ports     []manifest.Port  `json:"ports"`
	Images    []ImageLine      `json:"images"`
	Databases []string         `json:"databases"` // sentences
	Variables []string         `json:"variables"` // NAME=value, of the release
	Settings  []string         `json:"settings"`  // for people, of the site
	Files     []string         `json:"files"`     // besides compose files
	Warnings  []string         `json:"warnings"`
	NewSite   map[string]int64 `json:"new_site"` // by platform: what a site with nothing fetches, as images carry it
}

// ImageLine is one image of a report. Config and Bytes are those of the first platform.
type ImageLine struct {
	Services []string `json:"services"`
	Ref      string   `json:"ref"`
	Config   string   `json:"config"`
	Bytes    int64    `json:"bytes"`
}

func (r *Report) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(r.Warnings, text) {
		r.Warnings = append(r.Warnings, text)
	}
}

// fill takes over what was made of the release.
func (r *Report) fill(a *making) error {
	r.Services, r.Ports, r.NewSite = a.serviceNames(), a.release.Ports, map[string]int64{}
	for _, v := range a.release.Volumes {
		r.Volumes = append(r.Volumes, v.Name)
	}
	for _, i := range a.release.Images {
		line := ImageLine{Services: i.Services, Ref: i.Ref, Config: i.Platforms[0].Config.Digest.String()}
		for _, l := range i.Platforms[0].Layers {
			line.Bytes += l.Size
		}
		r.Images = append(r.Images, line)
	}
	for _, d := range a.release.Databases {
		r.Databases = append(r.Databases, a.databaseText(d))
	}
	for _, name := range sortedKeys(a.release.Variables) {
		value := a.release.Variables[name]
		if secret(name) {
			value = "********"
		}
		r.Variables = append(r.Variables, name+"="+value)
	}
	for _, s := range a.release.Settings {
		switch {
		case s.Required:
			r.Settings = append(r.Settings, s.Name+" (required)")
		case s.Default == "":
			r.Settings = append(r.Settings, s.Name)
		case secret(s.Name):
			r.Settings = append(r.Settings, s.Name+" (has a default)")
		default:
			r.Settings = append(r.Settings, s.Name+"="+s.Default)
		}
	}
	for _, f := range a.release.Files {
		if !slices.ContainsFunc(a.documents.all, func(d *document) bool { return d.path == f.Path }) {
			r.Files = append(r.Files, "./"+f.Path)
		}
	}
	for _, p := range r.Platforms {
		blobs, err := a.release.Blobs(p)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			r.NewSite[p] += b.Size
		}
	}
	for _, list := range []*[]string{&r.Volumes, &r.Databases, &r.Variables, &r.Settings, &r.Files, &r.Warnings} {
		if *list == nil {
			*list = []string{} // [] in JSON, not null
		}
	}
	return nil
}

func (a *making) databaseText(d manifest.Database) string {
	server := manifest.ServerName(d.Engine, a.shownVersion(d))
	password := "without a password"
	if d.PasswordEnv != "" {
		password = "password from " + d.PasswordEnv + " (stays at the site)"
	}
	if len(d.Databases) > 0 {
		password += ", databases " + strings.Join(d.Databases, ", ")
	}
	return fmt.Sprintf("database %s: %s, user %s, %s", d.Service, server, orText(d.User, "as in POSTGRES_USER"), password)
}

// Text is the report for people, a line or more for each kind of thing.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", label, fmt.Sprintf(format, args...))
	}
	var doors []string
	for _, p := range r.Ports {
		doors = append(doors, fmt.Sprintf("%s, service %s", orText(p.Published, "any"), p.Service))
	}
	ports := count(len(r.Ports), "published port")
	if len(doors) > 0 {
		ports += " (" + strings.Join(doors, "; ") + ")"
	}
	line("reading", "%s, %s, %s", count(len(r.Services), "service"), count(len(r.Volumes), "volume"), ports)
	r.imageLines(line)
	label := "found"
	found := func(format string, args ...any) {
		line(label, format, args...)
		label = ""
	}
	for _, d := range r.Databases {
		found("%s", d)
	}
	for _, list := range []struct {
		title string
		items []string
	}{
		{"release variables", r.Variables},
		{"site settings", r.Settings},
		{"files taken along", r.Files},
	} {
		if len(list.items) > 0 {
			found("%s: %s", list.title, shorten(list.items))
		}
	}
	for _, w := range r.Warnings {
		line("warning", "%s", w)
	}
	return b.String()
}

func (r *Report) imageLines(line func(string, string, ...any)) {
	widths := [2]int{}
	for _, i := range r.Images {
		widths[0] = max(widths[0], len(strings.Join(i.Services, ", ")))
		widths[1] = max(widths[1], len(shortRef(i.Ref)))
	}
	for n, i := range r.Images {
		label := ""
		if n == 0 {
			label = "images"
		}
		_, hex, _ := strings.Cut(i.Config, ":")
		line(label, "%-*s  %-*s  sha256:%.12s  %s",
			widths[0], strings.Join(i.Services, ", "), widths[1], shortRef(i.Ref), hex, SizeText(i.Bytes))
	}
}

// shortRef leaves out the registry and all but the last folder of an image's name.
func shortRef(ref string) string {
	r, err := name.ParseReference(ref)
	if err != nil {
		return ref
	}
	repository := r.Context().RepositoryStr()
	if dir, base := path.Split(repository); strings.Count(dir, "/") > 1 {
		repository = "…/" + path.Base(dir) + "/" + base
	}
	if tag, ok := r.(name.Tag); ok {
		return repository + ":" + tag.TagStr()
	}
	return repository
}

// tagged reports whether ref has a tag or a digest.
func tagged(ref string) bool { return strings.ContainsAny(path.Base(ref), ":@") }

// shorten lists items, the first twenty of a long list.
func shorten(items []string) string {
	if len(items) > 20 {
		return strings.Join(items[:20], ", ") + fmt.Sprintf(" and %d more", len(items)-20)
	}
	return strings.Join(items, ", ")
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// SizeText is that of package manifest.
func SizeText(n int64) string { return manifest.SizeText(n) }
