package manifest

import (
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Limits inside a release.
const (
	maxParts    = 10_000  // files, variables, settings
	maxServices = 1000    // services, volumes, ports, checks
	maxLayers   = 512     // layers of one image
	maxSmall    = 4 << 20 // bytes of an image manifest or config: they are read into memory
	maxBlob     = 1 << 44 // bytes of any blob
)

// Validate reports the first rule that r breaks: the form of each part, and that the parts fit together.
func (r *Release) Validate() error {
	c := &checker{what: "release " + quoted(r.Version)}
	c.must(checkFormat(r.Format, ReleaseFormat))
	c.version("version", r.Version, false)
	c.at("fleet")
	c.must(CheckName(r.Fleet))
	c.at("project")
	if !projectPattern.MatchString(r.Project) {
		c.fail("%s is not the name of a compose project", quoted(r.Project))
	}
	c.at("from")
	if r.From != "" {
		_, err := parseConstraint(r.From)
		c.must(err)
	}
	r.checkFiles(c)
	r.checkVariables(c)
	services := r.checkImages(c)
	r.checkBlobs(c)
	r.checkParts(c, services)
	r.checkChecks(c, services)
	c.at("rollback")
	if r.Rollback.Data != "restore" && r.Rollback.Data != "keep" {
		c.fail("data is %s; it must be restore or keep", quoted(r.Rollback.Data))
	}
	c.at("notes")
	c.count("notes", len(r.Notes), 100)
	for _, language := range sorted(r.Notes) {
		note := r.Notes[language]
		if !languagePattern.MatchString(language) {
			c.fail("%s is not a language code", quoted(language))
		}
		c.text("the note", note, 4000, true)
	}
	return c.err
}

func (r *Release) checkFiles(c *checker) {
	c.at("files")
	c.count("files", len(r.Files), maxParts)
	paths := map[string]bool{}
	for _, f := range r.Files {
		c.at("file %s", quoted(f.Path))
		c.local(f.Path)
		if paths[f.Path] {
			c.fail("it is listed twice")
		}
		paths[f.Path] = true
		if f.Mode&^0o777 != 0 {
			c.fail("mode %o has more than permission bits", f.Mode)
		}
	}
	for _, f := range r.Files {
		c.at("file %s", quoted(f.Path))
		for dir := path.Dir(f.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if paths[dir] {
				c.fail("%s is a file and a folder", quoted(dir))
			}
		}
	}
	c.at("compose")
	c.count("compose files", len(r.Compose), 100)
	if len(r.Compose) == 0 {
		c.fail("there is no compose file")
	}
	for _, p := range r.Compose {
		if !paths[p] {
			c.fail("%s is not among the files", quoted(p))
		}
	}
	c.at("profiles")
	c.count("profiles", len(r.Profiles), 100)
	for _, p := range r.Profiles {
		c.must(CheckName(p))
	}
}

func (r *Release) checkVariables(c *checker) {
	c.at("variables")
	c.count("variables", len(r.Variables), maxParts)
	for _, name := range sorted(r.Variables) {
		value := r.Variables[name]
		c.variable(name)
		if len(value) > 64<<10 || strings.Contains(value, "\x00") {
			c.fail("the value of %s is too long or has a zero byte", quoted(name))
		}
	}
	c.at("settings")
	c.count("settings", len(r.Settings), maxParts)
	names := map[string]bool{}
	for _, s := range r.Settings {
		c.variable(s.Name)
		if names[s.Name] {
			c.fail("%s is listed twice", quoted(s.Name))
		}
		names[s.Name] = true
		if _, ok := r.Variables[s.Name]; ok {
			c.fail("%s is a variable of the release and a setting of the site", quoted(s.Name))
		}
		if len(s.Default) > 64<<10 {
			c.fail("the default of %s is too long", quoted(s.Name))
		}
	}
}

// checkImages returns the services of the release, each of which has one image.
func (r *Release) checkImages(c *checker) map[string]bool {
	services := map[string]bool{}
	c.at("images")
	c.count("images", len(r.Images), maxServices)
	refs := map[string]bool{}
	for _, i := range r.Images {
		c.at("image %s", quoted(i.Ref))
		c.text("the reference", i.Ref, 512, false)
		if refs[i.Ref] {
			c.fail("it is listed twice")
		}
		refs[i.Ref] = true
		c.count("services", len(i.Services), maxServices)
		if len(i.Services) == 0 {
			c.fail("no service uses it")
		}
		for _, s := range i.Services {
			if !namePattern.MatchString(s) {
				c.fail("%s is not the name of a service", quoted(s))
			}
			if services[s] {
				c.fail("service %s has two images", quoted(s))
			}
			services[s] = true
		}
		c.count("platforms", len(i.Platforms), 32)
		if len(i.Platforms) == 0 {
			c.fail("it has no platform")
		}
		seen := map[string]bool{}
		for _, p := range i.Platforms {
			if n, err := NormalizePlatform(p.Platform); err != nil {
				c.must(err)
			} else if n != p.Platform {
				c.fail("platform %s must be written %s", quoted(p.Platform), n)
			}
			if seen[p.Platform] {
				c.fail("platform %s is listed twice", p.Platform)
			}
			seen[p.Platform] = true
			c.count("layers", len(p.Layers), maxLayers)
			if p.Manifest.Size > maxSmall || p.Config.Size > maxSmall {
				c.fail("its manifest or config is larger than %d bytes", maxSmall)
			}
		}
	}
	return services
}

// checkBlobs sees to it that one digest always goes with one size: whoever reads a blob by a wrong size would call it damaged.
func (r *Release) checkBlobs(c *checker) {
	sizes := map[digest.Digest]int64{}
	check := func(what string, d digest.Digest, size int64) {
		c.digest(what, d)
		if size < 0 || size > maxBlob {
			c.fail("%s: size %d is impossible", what, size)
		}
		if known, ok := sizes[d]; ok && known != size {
			c.fail("%s: %s has two sizes", what, d)
		}
		sizes[d] = size
	}
	for _, f := range r.Files {
		c.at("file %s", quoted(f.Path))
		check("content", f.Digest, f.Size)
	}
	for _, i := range r.Images {
		for _, p := range i.Platforms {
			c.at("image %s: %s", quoted(i.Ref), quoted(p.Platform))
			check("manifest", p.Manifest.Digest, p.Manifest.Size)
			check("config", p.Config.Digest, p.Config.Size)
			for _, l := range p.Layers {
				check("layer", l.Digest, l.Size)
				check("unpacked layer", l.DiffID, l.DiffSize)
			}
		}
	}
}

func (r *Release) checkParts(c *checker, services map[string]bool) {
	known := func(service string) {
		if !services[service] {
			c.fail("there is no service %s", quoted(service))
		}
	}
	c.at("parts")
	c.count("volumes", len(r.Volumes), maxServices)
	c.count("databases", len(r.Databases), maxServices)
	c.count("ports", len(r.Ports), maxParts)
	c.count("entry services", len(r.Entry), maxServices)
	c.count("migrate steps", len(r.Migrate), maxServices)
	volumes, databases := map[string]bool{}, map[string]bool{}
	for _, v := range r.Volumes {
		c.at("volume %s", quoted(v.Name))
		c.must(CheckName(v.Name))
		if volumes[v.Name] {
			c.fail("it is listed twice")
		}
		volumes[v.Name] = true
		if v.Backup != "" && v.Backup != "none" {
			c.fail("backup is %s; it must be none or nothing", quoted(v.Backup))
		}
		for _, s := range v.Services {
			known(s)
		}
	}
	for _, d := range r.Databases {
		c.at("database %s", quoted(d.Service))
		known(d.Service)
		if databases[d.Service] {
			c.fail("it is listed twice")
		}
		databases[d.Service] = true
		if d.Engine != "mariadb" && d.Engine != "mysql" && d.Engine != "postgresql" {
			c.fail("engine is %s; it must be mariadb, mysql or postgresql", quoted(d.Engine))
		}
		if d.User != "" || d.Engine != "postgresql" {
			c.text("user", d.User, 128, false)
		}
		c.text("version", d.Version, 64, true)
		if d.PasswordEnv != "" {
			c.variable(d.PasswordEnv)
		}
		c.count("databases", len(d.Databases), maxServices)
		for _, name := range d.Databases {
			c.text("the name of the database", name, 64, false)
		}
	}
	for _, p := range r.Ports {
		c.at("port %s of %s", quoted(p.Published), quoted(p.Service))
		known(p.Service)
		c.text("the published port", p.Published, 256, true)
		if p.Target < 1 || p.Target > 65535 {
			c.fail("%d is not a port", p.Target)
		}
		if !slices.Contains([]string{"tcp", "udp", "sctp"}, p.Protocol) {
			c.fail("protocol %s is not tcp, udp or sctp", quoted(p.Protocol))
		}
	}
	c.at("entry")
	for _, s := range r.Entry {
		known(s)
	}
	c.at("migrate")
	for _, m := range r.Migrate {
		known(m.Service)
		checkSpan(c, "timeout", m.Timeout)
	}
}

func (r *Release) checkChecks(c *checker, services map[string]bool) {
	c.at("checks")
	c.count("checks", len(r.Checks), maxServices)
	for _, k := range r.Checks {
		c.at("check %s", quoted(k.Name))
		c.text("the name", k.Name, 200, false)
		checkSpan(c, "within", k.Within)
		if (k.HTTP == "") == (k.SQL == "") {
			c.fail("it needs one of http and sql")
		}
		if k.HTTP != "" {
			u, err := url.Parse(k.HTTP)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || len(k.HTTP) > 4000 {
				c.fail("%s is not an address like http://service/path", quoted(k.HTTP))
			} else if !services[u.Hostname()] {
				c.fail("there is no service %s", quoted(u.Hostname()))
			}
			if k.Status != 0 && (k.Status < 100 || k.Status > 599) {
				c.fail("status %d is impossible", k.Status)
			}
			if len(k.Contains) > 4000 || k.Query != "" || k.AtLeast != "" {
				c.fail("an http check has a short contains, no query and no at_least")
			}
		}
		if k.SQL != "" {
			if !slices.ContainsFunc(r.Databases, func(d Database) bool { return d.Service == k.SQL }) {
				c.fail("there is no database service %s", quoted(k.SQL))
			}
			if k.Query == "" || len(k.Query) > 64<<10 {
				c.fail("its query is missing or too long")
			}
			if _, err := strconv.ParseFloat(k.AtLeast, 64); err != nil && k.AtLeast != "" && k.AtLeast != "previous" {
				c.fail("at_least is %s; it must be a number or previous", quoted(k.AtLeast))
			}
		}
	}
}

func checkSpan(c *checker, what string, d time.Duration) {
	if d < 0 || d > 7*24*time.Hour {
		c.fail("%s %s is not between 0 and 7 days", what, d)
	}
}
