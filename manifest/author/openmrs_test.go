package author

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/v1"

	"dhow/bundle"
	"dhow/manifest"
)

// openmrs fills a registry with the images of testdata/openmrs, for two platforms, and returns its address.
func openmrs(t *testing.T) string {
	t.Helper()
	host := startRegistry(t)
	for _, part := range []string{"gateway", "frontend", "backend"} {
		var images []ggcr.Image
		for _, platform := range []string{"linux/amd64", "linux/arm64/v8", "linux/s390x"} {
			images = append(images, image(t, imageSpec{platform: platform, content: []string{"base", part + platform}}))
		}
		push(t, host+"/openmrs/openmrs-reference-application-3-"+part+":3.3.0", images...)
		push(t, host+"/openmrs/openmrs-reference-application-3-"+part+":3.2.0", image(t, imageSpec{content: []string{"base", part + "old"}}))
	}
	db := ggcr.Config{
		Env:     []string{"MARIADB_VERSION=1:10.11.7+maria~ubu2204"},
		Volumes: map[string]struct{}{"/var/lib/mysql": {}}, ExposedPorts: map[string]struct{}{"3306/tcp": {}},
	}
	push(t, host+"/mariadb:10.11.7",
		image(t, imageSpec{content: []string{"base", "db"}, config: db}),
		image(t, imageSpec{platform: "linux/arm64", content: []string{"base", "db-arm"}, config: db}))
	return host
}

func openmrsOptions(t *testing.T, host string) Options {
	return Options{
		Version: "1.1", Fleet: "drc-emr",
		Files:    []string{"testdata/openmrs/docker-compose.yml"},
		EnvFiles: []string{"testdata/openmrs/release.env", filepath.Join(write(t, map[string]string{"r.env": "REGISTRY=" + host + "\n"}), "r.env")},
		Images:   Registry{}, Store: openStore(t), Now: now,
	}
}

func TestOpenMRS(t *testing.T) {
	// Nothing of the process environment may reach a release.
	t.Setenv("TAG", "6.6.6")
	t.Setenv("OMRS_DB_PASSWORD", "leaked")
	t.Setenv("COMPOSE_PROJECT_NAME", "leaked")
	host := openmrs(t)
	o := openmrsOptions(t, host)
	r, report, err := Create(t.Context(), o)
	check(t, err)

	equal(t, "version", r.Version, "1.1.0")
	equal(t, "project", r.Project, "emr")
	equal(t, "created", r.Created.String(), "2026-11-21 13:02:03 +0000 UTC")
	equal(t, "compose", r.Compose, []string{"docker-compose.yml"})
	equal(t, "variables", r.Variables, map[string]string{"TAG": "3.3.0", "REGISTRY": host})
	equal(t, "settings", r.Settings, []manifest.Setting{
		{Name: "BIND_ADDRESS", Default: "127.0.0.1"},
		{Name: "CLINIC_NAME", Default: "clinic"},
		{Name: "HTTP_PORT", Default: "80"},
		{Name: "IMPORT_DIR", Required: true},
		{Name: "JAVA_OPTS", Default: "-Xmx1g"},
		{Name: "LOCALE", Default: "en"},
		{Name: "MYSQL_ROOT_PASSWORD", Required: true},
		{Name: "OMRS_DB_NAME", Default: "openmrs"},
		{Name: "OMRS_DB_PASSWORD", Required: true},
		{Name: "OMRS_DB_USER", Default: "openmrs"},
		{Name: "RETRIES", Default: "9"},
		{Name: "START_PERIOD", Default: "15m"},
	})
	equal(t, "volumes", r.Volumes, []manifest.Volume{
		{Name: "db-data", Services: []string{"db"}}, {Name: "openmrs-data", Services: []string{"backend"}},
	})
	equal(t, "ports", r.Ports, []manifest.Port{{Service: "gateway", Published: "${HTTP_PORT:-80}", Target: 80, Protocol: "tcp"}})
	equal(t, "entry", r.Entry, []string{"gateway"})
	equal(t, "databases", r.Databases, []manifest.Database{
		{Service: "db", Engine: "mariadb", Version: "10.11.7", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
	})
	equal(t, "rollback", r.Rollback, manifest.Rollback{Data: "restore"})
	equal(t, "platforms", r.Platforms(), []string{"linux/amd64"})

	var files []string
	for _, f := range r.Files {
		files = append(files, f.Path)
		data, err := o.Store.Read(f.Blob, 1<<20)
		check(t, err)
		want, err := os.ReadFile(filepath.Join("testdata/openmrs", f.Path))
		check(t, err)
		equal(t, f.Path, string(data), string(want))
	}
	equal(t, "files", files, []string{
		"backend.env", "db/my.cnf", "docker-compose.yml", "gateway/default.conf", "gateway/snippets/gzip.conf",
	})
	equal(t, "images", len(r.Images), 4)
	for _, i := range r.Images {
		check(t, o.Store.VerifyImage(t.Context(), i.Platforms[0]))
		if _, err := o.Store.Read(i.Platforms[0].Manifest, 1<<20); err != nil {
			t.Errorf("%s: manifest: %v", i.Ref, err)
		}
	}
	data, err := r.Encode()
	check(t, err)
	for _, bad := range []string{"leaked", placeholder, "6.6.6"} {
		if strings.Contains(string(data), bad) {
			t.Errorf("the release holds %q", bad)
		}
	}

	// The report, whole. Digests and sizes are those of the images above.
	text := report.Text()
	for _, i := range r.Images {
		text = strings.ReplaceAll(text, i.Platforms[0].Config.Digest.Encoded()[:12], "CONFIG")
		text = strings.ReplaceAll(text, "  "+SizeText(layerBytes(i.Platforms[0]))+"\n", "  SIZE\n")
	}
	var size int64
	blobs, err := r.Blobs("linux/amd64")
	check(t, err)
	for _, b := range blobs {
		size += b.Size
	}
	equal(t, "bytes to a new site", report.NewSite, map[string]int64{"linux/amd64": size})
	text = strings.ReplaceAll(text, host, "HOST")
	equal(t, "report", text, strings.TrimPrefix(`
reading   4 services, 2 volumes, 1 published port (${HTTP_PORT:-80}, service gateway)
images    db        mariadb:10.11.7                                         sha256:CONFIG  SIZE
          backend   openmrs/openmrs-reference-application-3-backend:3.3.0   sha256:CONFIG  SIZE
          frontend  openmrs/openmrs-reference-application-3-frontend:3.3.0  sha256:CONFIG  SIZE
          gateway   openmrs/openmrs-reference-application-3-gateway:3.3.0   sha256:CONFIG  SIZE
found     database db: MariaDB 10.11.7, user root, password from MYSQL_ROOT_PASSWORD (stays at the site)
          release variables: REGISTRY=HOST, TAG=3.3.0
          site settings: BIND_ADDRESS=127.0.0.1, CLINIC_NAME=clinic, HTTP_PORT=80, IMPORT_DIR (required), JAVA_OPTS=-Xmx1g, LOCALE=en, MYSQL_ROOT_PASSWORD (required), OMRS_DB_NAME=openmrs, OMRS_DB_PASSWORD (required), OMRS_DB_USER=openmrs, RETRIES=9, START_PERIOD=15m
          files taken along: ./backend.env, ./db/my.cnf, ./gateway/default.conf, ./gateway/snippets/gzip.conf
warning   gateway: no check of the application itself; "gateway running" will be taken as success. Say more under x-dhow.checks (dhowctl release create --help)
warning   backend: ${IMPORT_DIR} (mounted at /import) is the site's own folder: it is neither taken along nor backed up
`, "\n"))
}

// Two runs over the same input give the same release, byte by byte.
func TestSameInputSameRelease(t *testing.T) {
	host := openmrs(t)
	var first []byte
	for range 2 {
		o := openmrsOptions(t, host)
		r, _, err := Create(t.Context(), o)
		check(t, err)
		data, err := r.Encode()
		check(t, err)
		if first == nil {
			first = data
		}
		equal(t, "release", string(data), string(first))
	}
}

func TestPlatforms(t *testing.T) {
	host := openmrs(t)
	o := openmrsOptions(t, host)
	o.Platforms = []string{"linux/aarch64", "linux/amd64"}
	r, report, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "platforms", r.Platforms(), []string{"linux/amd64", "linux/arm64"})
	for _, i := range r.Images {
		equal(t, i.Ref, []string{i.Platforms[0].Platform, i.Platforms[1].Platform}, []string{"linux/amd64", "linux/arm64"})
	}
	if len(report.NewSite) != 2 || report.NewSite["linux/arm64"] == 0 {
		t.Errorf("report without the size for arm64: %v", report.NewSite)
	}

	o.Platforms = []string{"linux/s390x"}
	_, _, err = Create(t.Context(), o)
	fails(t, err, "docker-compose.yml:67: service db: image "+host+"/mariadb:10.11.7: image is not made for this platform: linux/s390x "+
		"(the registry has linux/amd64, linux/arm64)", "choose with --platform, or build the image for it")
}

// The default of a variable that chooses an image belongs to the release.
func TestTagDefault(t *testing.T) {
	host := openmrs(t)
	o := openmrsOptions(t, host)
	o.EnvFiles = o.EnvFiles[1:]
	r, _, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "variables", r.Variables, map[string]string{"TAG": "3.2.0", "REGISTRY": host})
	for _, s := range r.Settings {
		if s.Name == "TAG" {
			t.Error("TAG is a setting as well")
		}
	}
}

func TestProfile(t *testing.T) {
	host := openmrs(t)
	o := openmrsOptions(t, host)
	o.Profiles = []string{"tools"}
	r, _, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "profiles", r.Profiles, []string{"tools"})
	equal(t, "services of mariadb", r.Images[0].Services, []string{"db", "dump"})
	equal(t, "databases", len(r.Databases), 1) // dump has the image of the server, and its password, but runs something else
}

func TestRegistryErrors(t *testing.T) {
	host := startRegistry(t)
	compose := func(ref string) Options {
		dir := write(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: " + ref + "\n"})
		return Options{
			Version: "1.0.0", Fleet: "f", Project: "p", Files: []string{filepath.Join(dir, "compose.yaml")},
			Images: Registry{}, Store: openStore(t), Now: now,
		}
	}
	_, _, err := Create(t.Context(), compose(host+"/app:1"))
	fails(t, err, "compose.yaml:3: service app: image "+host+"/app:1: no such image in the registry "+host,
		"check the name and the tag, or say where images come from: --images")
	isError(t, err, ErrNoImage)

	_, _, err = Create(t.Context(), compose("127.0.0.1:1/app:1"))
	isError(t, err, bundle.ErrUnreachable)
	fails(t, err, "compose.yaml:3: service app: image 127.0.0.1:1/app:1: the registry 127.0.0.1:1: source does not answer: "+
		"dial tcp 127.0.0.1:1: connect: connection refused", "try again when it answers, or take images from the engine or a file: --images")

	// A config that claims other layers than there are.
	img := image(t, imageSpec{content: []string{"one"}})
	other := image(t, imageSpec{content: []string{"two"}})
	push(t, host+"/lie:1", lie{img, other})
	_, _, err = Create(t.Context(), compose(host+"/lie:1"))
	isError(t, err, ErrDamaged)
	if want := "compose.yaml:3: service app: image " + host + "/lie:1: image is damaged: layer 1 unpacks to sha256:"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q does not begin with %q", err, want)
	}
}

// lie is an image with the config of another.
type lie struct {
	ggcr.Image
	config ggcr.Image
}

func (l lie) RawConfigFile() ([]byte, error)        { return l.config.RawConfigFile() }
func (l lie) ConfigFile() (*ggcr.ConfigFile, error) { return l.config.ConfigFile() }
func (l lie) ConfigName() (ggcr.Hash, error)        { return l.config.ConfigName() }

func (l lie) Manifest() (*ggcr.Manifest, error) {
	m, err := l.Image.Manifest()
	if err != nil {
		return nil, err
	}
	m = m.DeepCopy()
	c, err := l.config.Manifest()
	if err != nil {
		return nil, err
	}
	m.Config = c.Config
	return m, nil
}

func (l lie) RawManifest() ([]byte, error) {
	m, err := l.Manifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (l lie) Digest() (ggcr.Hash, error) {
	data, err := l.RawManifest()
	if err != nil {
		return ggcr.Hash{}, err
	}
	h, _, err := ggcr.SHA256(strings.NewReader(string(data)))
	return h, err
}

func (l lie) Size() (int64, error) {
	data, err := l.RawManifest()
	return int64(len(data)), err
}

func TestCancel(t *testing.T) {
	host := openmrs(t)
	o := openmrsOptions(t, host)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Create(ctx, o); err == nil {
		t.Fatal("a cancelled context makes a release")
	}
}

func layerBytes(p manifest.PlatformImage) (n int64) {
	for _, l := range p.Layers {
		n += l.Size
	}
	return n
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, shownValue(got), shownValue(want))
	}
}

func shownValue(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprintf("%+v", v)
}
