package manifest

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// ReleaseFormat is the newest release format that this code reads.
const ReleaseFormat = 1

// Release is one immutable version of a stack: what runs, from which bytes, with which settings, how success is
// recognised and how to go back. It is a TUF target named ReleasePath(Version), stored as JSON.
type Release struct {
	Format  int       `json:"format"`
	Fleet   string    `json:"fleet"`
	Version string    `json:"version"` // semantic version without a leading v
	Project string    `json:"project"` // compose project name
	Created time.Time `json:"created"`
	// From is a semver constraint on the release that a site may come from directly; empty means any.
	From string `json:"from,omitempty"`

	Compose   []string          `json:"compose"`            // paths of compose files among Files, in the order of -f
	Profiles  []string          `json:"profiles,omitempty"` // active compose profiles
	Files     []File            `json:"files"`              // compose files and everything that they mount or include
	Variables map[string]string `json:"variables,omitempty"`
	Settings  []Setting         `json:"settings,omitempty"`

	Images    []Image    `json:"images"`
	Volumes   []Volume   `json:"volumes,omitempty"`
	Databases []Database `json:"databases,omitempty"`
	Ports     []Port     `json:"ports,omitempty"`
	Entry     []string   `json:"entry,omitempty"` // services whose published ports are the doors

	Checks   []Check           `json:"checks,omitempty"`
	Migrate  []Migrate         `json:"migrate,omitempty"`
	Rollback Rollback          `json:"rollback"`
	Notes    map[string]string `json:"notes,omitempty"` // language code to one sentence
}

// Blob names content by its digest. Size is in bytes.
type Blob struct {
	MediaType string        `json:"mediaType,omitempty"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// File is a file of the release's folder. Path is slash-separated, relative and local (filepath.IsLocal).
// Mode holds permission bits only.
type File struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	Blob
}

// Setting is a variable of the compose file whose value belongs to the site and never leaves it.
type Setting struct {
	Name     string `json:"name"`
	Required bool   `json:"required,omitempty"`
	Default  string `json:"default,omitempty"`
}

// Image is one image reference as written in the compose file, pinned for every platform of the release.
type Image struct {
	Ref       string          `json:"ref"`
	Services  []string        `json:"services"`
	Platforms []PlatformImage `json:"platforms"`
}

// PlatformImage pins an image for one platform. Config.Digest is the image's identity; Manifest is the OCI or
// Docker manifest that lists the same config and layers.
type PlatformImage struct {
	Platform string  `json:"platform"` // os/arch[/variant], for example linux/arm/v7
	Manifest Blob    `json:"manifest"`
	Config   Blob    `json:"config"`
	Layers   []Layer `json:"layers"` // lowest first, one for each diff ID of the config
}

// Layer is a layer as it is carried (Blob) and as the engine sees it (DiffID, the digest of the unpacked tar, and
// DiffSize, its length in bytes).
type Layer struct {
	Blob
	DiffID   digest.Digest `json:"diffID"`
	DiffSize int64         `json:"diffSize"`
}

// Shared is how many of the first layers two images have in common, as they are carried and as the engine sees them.
func (p PlatformImage) Shared(q PlatformImage) (n int) {
	for n < min(len(p.Layers), len(q.Layers)) && p.Layers[n] == q.Layers[n] {
		n++
	}
	return n
}

// Volume is a named volume by its key in the compose file. Backup is "" (exact copy) or "none".
type Volume struct {
	Name     string   `json:"name"`
	Services []string `json:"services"`
	Backup   string   `json:"backup,omitempty"`
}

// Database is a database server among the services.
type Database struct {
	Service   string   `json:"service"`
	Engine    string   `json:"engine"`              // mariadb, mysql or postgresql
	Version   string   `json:"version,omitempty"`   // of the server in the image, as far as it is known, for example 10.11.6
	Databases []string `json:"databases,omitempty"` // empty means all
	// User is empty, with PostgreSQL only, when POSTGRES_USER in the container says it.
	User string `json:"user"`
	// PasswordEnv names the variable inside the container that holds the password. The value stays at the site.
	PasswordEnv string `json:"passwordEnv,omitempty"`
}

// Port is a published port as it stands in the compose file, before site settings are put in.
type Port struct {
	Service   string `json:"service"`
	Published string `json:"published"` // may hold ${VARIABLE}
	Target    uint32 `json:"target"`
	Protocol  string `json:"protocol"`
}

// Check is one proof that the release works. Exactly one of HTTP, SQL is set.
type Check struct {
	Name     string `json:"name"`
	HTTP     string `json:"http,omitempty"` // URL whose host is a service name
	Status   int    `json:"status,omitempty"`
	Contains string `json:"contains,omitempty"`
	SQL      string `json:"sql,omitempty"` // database service
	Query    string `json:"query,omitempty"`
	// AtLeast is a number, or "previous": the result of the same query before the update.
	AtLeast string        `json:"atLeast,omitempty"`
	Within  time.Duration `json:"within,omitempty"` // nanoseconds; 0 means the default of package health
}

// Migrate is a one-off service that runs before the release starts.
type Migrate struct {
	Service string        `json:"service"`
	Timeout time.Duration `json:"timeout,omitempty"` // nanoseconds
}

// Rollback says what going back to the release before needs: Data is "restore" or "keep".
type Rollback struct {
	Data string `json:"data"`
}

// ReleasePath is the TUF target path of a release document.
func ReleasePath(version string) string { return "releases/" + version + ".json" }

// ReleaseOfPath returns the version of the release document at a TUF target path.
func ReleaseOfPath(path string) (version string, ok bool) {
	version, ok = strings.CutPrefix(path, "releases/")
	if ok {
		version, ok = strings.CutSuffix(version, ".json")
	}
	return version, ok
}
