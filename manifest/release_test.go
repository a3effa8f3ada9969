package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func blob(what string) Blob { return Blob{Digest: digest.FromString(what), Size: int64(len(what))} }

func platformImage(name, platform string, layers ...string) PlatformImage {
	p := PlatformImage{Platform: platform, Manifest: blob(name + platform + "manifest"), Config: blob(name + platform + "config")}
	for _, l := range layers {
		p.Layers = append(p.Layers, Layer{Blob: blob(l), DiffID: digest.FromString("plain " + l), DiffSize: 1024})
	}
	return p
}

// sample is a release that uses every part.
func sample() *Release {
	return &Release{
		Format: 1, Fleet: "drc-emr", Version: "1.1.0", Project: "emr", From: ">=1.0.0 <1.2.0",
		Created: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Compose: []string{"compose.yaml", "conf/more.yaml"}, Profiles: []string{"main"},
		Files: []File{
			{Path: "compose.yaml", Mode: 0o644, Blob: blob("compose")},
			{Path: "conf/more.yaml", Mode: 0o644, Blob: blob("more")},
			{Path: "conf/copy.yaml", Mode: 0o600, Blob: blob("more")},
		},
		Variables: map[string]string{"TAG": "3.2.0"},
		Settings:  []Setting{{Name: "DB_PASSWORD", Required: true}, {Name: "DB_USER", Default: "openmrs"}},
		Images: []Image{
			{Ref: "registry.example.org/backend:3.2.0", Services: []string{"backend", "migrate"}, Platforms: []PlatformImage{
				platformImage("backend", "linux/amd64", "base", "backend"), platformImage("backend", "linux/arm/v7", "arm base", "arm backend"),
			}},
			{Ref: "mariadb:10.11", Services: []string{"db"}, Platforms: []PlatformImage{
				platformImage("db", "linux/amd64", "base", "db"), platformImage("db", "linux/arm/v6", "arm base", "arm db"),
			}},
		},
		Volumes:   []Volume{{Name: "db-data", Services: []string{"db"}}, {Name: "cache", Services: []string{"backend"}, Backup: "none"}},
		Databases: []Database{{Service: "db", Engine: "mariadb", Databases: []string{"openmrs"}, User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"}},
		Ports:     []Port{{Service: "backend", Published: "${PORT:-80}", Target: 8080, Protocol: "tcp"}},
		Entry:     []string{"backend"},
		Checks: []Check{
			{Name: "login page", HTTP: "http://backend:8080/login", Status: 200, Contains: "OpenMRS", Within: 15 * time.Minute},
			{Name: "patients", SQL: "db", Query: "select count(*) from patient", AtLeast: "previous"},
		},
		Migrate:  []Migrate{{Service: "migrate", Timeout: 2 * time.Hour}},
		Rollback: Rollback{Data: "restore"},
		Notes:    map[string]string{"en": "New malaria form", "fr": "Nouveau formulaire paludisme"},
	}
}

func TestReleaseRoundTrip(t *testing.T) {
	a, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRelease(a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same release gives other bytes: %v", err)
	}
	later := bytes.Replace(a, []byte(`"format": 1,`), []byte(`"format": 1, "later": {"x": [null]},`), 1)
	if _, err := ParseRelease(later); err != nil {
		t.Errorf("a field of a later program: %v", err)
	}
}

func TestReleaseValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Release)
		want   string
	}{
		"format":            {func(r *Release) { r.Format = 0 }, `it has no format number`},
		"newer format":      {func(r *Release) { r.Format = 2 }, `made for a newer version of dhow: format 2, this one reads up to 1`},
		"version":           {func(r *Release) { r.Version = "1.1" }, `version "1.1" must be written 1.1.0`},
		"version text":      {func(r *Release) { r.Version = "new" }, `version "new": not valid: a version looks like 1.2.0`},
		"version path":      {func(r *Release) { r.Version = "../1.0.0" }, `version "../1.0.0": not valid`},
		"fleet":             {func(r *Release) { r.Fleet = "../x" }, `the name "../x"`},
		"project":           {func(r *Release) { r.Project = "EMR" }, `project: not valid: "EMR" is not the name of a compose project`},
		"from":              {func(r *Release) { r.From = "newest" }, `from: not valid`},
		"no compose file":   {func(r *Release) { r.Compose = nil }, `there is no compose file`},
		"compose elsewhere": {func(r *Release) { r.Compose = []string{"other.yaml"} }, `"other.yaml" is not among the files`},
		"path up":           {func(r *Release) { r.Files[1].Path = "../up" }, `file "../up": not valid: the path is not inside the release's folder`},
		"path absolute":     {func(r *Release) { r.Files[1].Path = "/etc/passwd" }, `not inside`},
		"path unclean":      {func(r *Release) { r.Files[1].Path = "conf//more.yaml" }, `not inside`},
		"path backslash":    {func(r *Release) { r.Files[1].Path = `conf\..\..\x` }, `not inside`},
		"path drive":        {func(r *Release) { r.Files[1].Path = "c:x" }, `not inside`},
		"path empty":        {func(r *Release) { r.Files[1].Path = "" }, `not inside`},
		"path line":         {func(r *Release) { r.Files[1].Path = "a\nb" }, `control characters`},
		"file twice":        {func(r *Release) { r.Files[1].Path = "compose.yaml" }, `it is listed twice`},
		"file and folder":   {func(r *Release) { r.Files[1].Path = "compose.yaml/x" }, `"compose.yaml" is a file and a folder`},
		"setuid file":       {func(r *Release) { r.Files[1].Mode = 0o4755 }, `mode 4755 has more than permission bits`},
		"digest":            {func(r *Release) { r.Files[0].Digest = "sha256:abc" }, `content: "sha256:abc" is not a sha256 digest`},
		"digest path":       {func(r *Release) { r.Images[0].Platforms[0].Config.Digest = "sha256:../../x" }, `is not a sha256 digest`},
		"digest kind":       {func(r *Release) { r.Files[0].Digest = digest.Digest("sha512:" + strings.Repeat("ab", 64)) }, `is not a sha256 digest`},
		"size":              {func(r *Release) { r.Files[0].Size = -1 }, `content: size -1 is impossible`},
		"layer size":        {func(r *Release) { r.Images[0].Platforms[0].Layers[0].DiffSize = 1 << 60 }, `unpacked layer: size 1152921504606846976 is impossible`},
		"two sizes":         {func(r *Release) { r.Files[2].Size++ }, `has two sizes`},
		"huge config":       {func(r *Release) { r.Images[0].Platforms[0].Config.Size = 5 << 20 }, `its manifest or config is larger than 4194304 bytes`},
		"diff id":           {func(r *Release) { r.Images[0].Platforms[0].Layers[0].DiffID = "" }, `unpacked layer: "" is not a sha256 digest`},
		"variable":          {func(r *Release) { r.Variables["A B"] = "" }, `variables: not valid: "A B" is not the name of a variable`},
		"setting twice":     {func(r *Release) { r.Settings[1].Name = "DB_PASSWORD" }, `settings: not valid: "DB_PASSWORD" is listed twice`},
		"both":              {func(r *Release) { r.Settings[1].Name = "TAG" }, `"TAG" is a variable of the release and a setting of the site`},
		"image twice":       {func(r *Release) { r.Images[1].Ref = r.Images[0].Ref }, `it is listed twice`},
		"image unused":      {func(r *Release) { r.Images[1].Services = nil }, `image "mariadb:10.11": not valid: no service uses it`},
		"two images":        {func(r *Release) { r.Images[1].Services = []string{"db", "backend"} }, `service "backend" has two images`},
		"no platform":       {func(r *Release) { r.Images[1].Platforms = nil }, `it has no platform`},
		"platform":          {func(r *Release) { r.Images[1].Platforms[0].Platform = "amd64" }, `platform "amd64": not valid: a platform looks like linux/amd64`},
		"platform alias":    {func(r *Release) { r.Images[1].Platforms[0].Platform = "linux/x86_64" }, `platform "linux/x86_64" must be written linux/amd64`},
		"platform twice":    {func(r *Release) { r.Images[1].Platforms[1].Platform = "linux/amd64" }, `platform linux/amd64 is listed twice`},
		"volume service":    {func(r *Release) { r.Volumes[0].Services = []string{"x"} }, `volume "db-data": not valid: there is no service "x"`},
		"volume twice":      {func(r *Release) { r.Volumes[1].Name = "db-data" }, `it is listed twice`},
		"backup":            {func(r *Release) { r.Volumes[1].Backup = "some" }, `backup is "some"; it must be none or nothing`},
		"database service":  {func(r *Release) { r.Databases[0].Service = "x" }, `database "x": not valid: there is no service "x"`},
		"engine":            {func(r *Release) { r.Databases[0].Engine = "oracle" }, `engine is "oracle"; it must be mariadb, mysql or postgresql`},
		"user":              {func(r *Release) { r.Databases[0].User = "" }, `user is missing`},
		"password variable": {func(r *Release) { r.Databases[0].PasswordEnv = "$(x)" }, `"$(x)" is not the name of a variable`},
		"port":              {func(r *Release) { r.Ports[0].Target = 0 }, `0 is not a port`},
		"protocol":          {func(r *Release) { r.Ports[0].Protocol = "" }, `protocol "" is not tcp, udp or sctp`},
		"entry":             {func(r *Release) { r.Entry = []string{"x"} }, `entry: not valid: there is no service "x"`},
		"migrate":           {func(r *Release) { r.Migrate[0].Service = "x" }, `migrate: not valid: there is no service "x"`},
		"timeout":           {func(r *Release) { r.Migrate[0].Timeout = -1 }, `timeout -1ns is not between 0 and 7 days`},
		"check of neither":  {func(r *Release) { r.Checks[0].HTTP = "" }, `check "login page": not valid: it needs one of http and sql`},
		"check of both":     {func(r *Release) { r.Checks[0].SQL = "db" }, `it needs one of http and sql`},
		"check elsewhere":   {func(r *Release) { r.Checks[0].HTTP = "http://169.254.169.254/x" }, `there is no service "169.254.169.254"`},
		"check file":        {func(r *Release) { r.Checks[0].HTTP = "file:///etc/passwd" }, `is not an address like http://service/path`},
		"check password":    {func(r *Release) { r.Checks[0].HTTP = "http://a:b@backend/" }, `is not an address like http://service/path`},
		"status":            {func(r *Release) { r.Checks[0].Status = 7 }, `status 7 is impossible`},
		"sql service":       {func(r *Release) { r.Checks[1].SQL = "backend" }, `there is no database service "backend"`},
		"query":             {func(r *Release) { r.Checks[1].Query = "" }, `its query is missing or too long`},
		"at least":          {func(r *Release) { r.Checks[1].AtLeast = "many" }, `at_least is "many"; it must be a number or previous`},
		"rollback":          {func(r *Release) { r.Rollback.Data = "" }, `rollback: not valid: data is ""; it must be restore or keep`},
		"language":          {func(r *Release) { r.Notes["x y"] = "" }, `notes: not valid: "x y" is not a language code`},
		"note":              {func(r *Release) { r.Notes["en"] = "\x1b[2J" }, `the note has control characters`},
		"many layers": {func(r *Release) {
			r.Images[0].Platforms[0].Layers = make([]Layer, 513)
		}, `larger than allowed: 513 layers, at most 512`},
	} {
		r := sample()
		test.change(r)
		err := r.Validate()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
			continue
		}
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v has no kind", name, err)
		}
		if _, err := r.Encode(); err == nil {
			t.Errorf("%s: a bad release was encoded", name)
		}
	}
	r := sample()
	r.Version = "1.1"
	if err := r.Validate(); err == nil || err.Error() != `release "1.1": not valid: version "1.1" must be written 1.1.0` {
		t.Errorf("whole message: %v", err)
	}
}

func TestPlatformImages(t *testing.T) {
	r := sample()
	for _, p := range []string{"linux/amd64", "linux/x86_64", "LINUX/amd64"} {
		images, err := r.PlatformImages(p)
		if err != nil || len(images) != 2 || images[1].Config.Digest != blob("dblinux/amd64config").Digest {
			t.Errorf("%s: %v, %v", p, images, err)
		}
	}
	// An older ARM image runs on a newer ARM computer.
	for _, p := range []string{"linux/arm/v7", "linux/armv7l", "linux/arm"} {
		images, err := r.PlatformImages(p)
		if err != nil || images[1].Platform != "linux/arm/v6" {
			t.Errorf("%s: %v, %v", p, images, err)
		}
	}
	_, err := r.PlatformImages("linux/aarch64")
	want := "release 1.1.0: no image for this kind of computer: registry.example.org/backend:3.2.0 is there for " +
		"linux/amd64, linux/arm/v7, this computer is linux/arm64"
	if !errors.Is(err, ErrPlatform) || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	if _, err := r.PlatformImages("amd64"); !errors.Is(err, ErrInvalid) {
		t.Errorf("no platform: %v", err)
	}
	if got := r.Platforms(); !slices.Equal(got, []string{"linux/amd64", "linux/arm/v7"}) {
		t.Errorf("platforms %v", got)
	}
}

func TestBlobsAreNamedOnce(t *testing.T) {
	blobs, err := sample().Blobs("linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	var want []Blob
	for _, s := range []string{"compose", "more", "backendlinux/amd64config", "dblinux/amd64config", "base", "backend", "db"} {
		want = append(want, blob(s))
	}
	if !slices.Equal(blobs, want) {
		t.Errorf("got %v\nwant %v", blobs, want)
	}
	if _, err := sample().Blobs("windows/amd64"); !errors.Is(err, ErrPlatform) {
		t.Errorf("windows: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]string{"1.1": "1.1.0", "v2": "2.0.0", "1.2.3-rc.1": "1.2.3-rc.1", "1.2.3+b7": "1.2.3+b7"} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "1.2.3.4", "1.0.0/..", "1.0.0\n", "../1.0.0", " 1.0.0", strings.Repeat("1", 65)} {
		if got, err := ParseVersion(in); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	v := []string{"1.10.0", "1.9.0", "1.9.0-rc.1", "nonsense", "1.9.0+b"}
	SortVersions(v)
	if want := []string{"nonsense", "1.9.0-rc.1", "1.9.0", "1.9.0+b", "1.10.0"}; !slices.Equal(v, want) {
		t.Errorf("sorted %v, want %v", v, want)
	}
}

func TestAllows(t *testing.T) {
	r := sample()
	for _, from := range []string{"", "1.0.0", "1.0.5", "1.1.0", "1.1.0-rc.1"} {
		if err := r.Allows(from); err != nil {
			t.Errorf("from %q: %v", from, err)
		}
	}
	err := r.Allows("1.2.0")
	if want := "release 1.1.0 cannot be reached directly from 1.2.0 (only from >=1.0.0 <1.2.0)"; !errors.Is(err, ErrFrom) || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	if err := r.Allows("0.9.0"); !errors.Is(err, ErrFrom) {
		t.Errorf("from 0.9.0: %v", err)
	}
	if err := r.Allows("old"); !errors.Is(err, ErrInvalid) {
		t.Errorf("from old: %v", err)
	}
	r.From = ""
	if err := r.Allows("0.0.1"); err != nil {
		t.Errorf("no constraint: %v", err)
	}
}

func TestCheckJSON(t *testing.T) {
	l := JSONLimits{Size: 200, Depth: 4, Values: 20}
	for data, want := range map[string]error{
		`{"a":[1,{"b":null}],"c":{"a":1,"b":2}}`: nil,
		`[]`:                                     nil,
		`"x"`:                                    nil,
		``:                                       ErrInvalid,
		`{`:                                      ErrInvalid,
		`{"a":1}}`:                               ErrInvalid,
		`{} {}`:                                  ErrInvalid,
		`{"a":1,"a":2}`:                          ErrInvalid,
		`{"x":{"a":1,"b":1,"\u0061":2}}`:         ErrInvalid,
		`[{"a":1},{"a":1}]`:                      nil,
		"\"\xff\"":                               ErrInvalid,
		`[[[[1]]]]`:                              nil,
		`[[[[[1]]]]]`:                            ErrTooLarge,
		`[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`: ErrTooLarge,
		`"` + strings.Repeat("x", 200) + `"`:        ErrTooLarge,
	} {
		if err := CheckJSON([]byte(data), l); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", data, err, want)
		}
	}
	l.NoNull = true
	for _, data := range []string{`null`, `[null]`, `{"a":null}`} {
		if err := CheckJSON([]byte(data), l); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestParseReleaseRefusesMonsters(t *testing.T) {
	good, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"deep": []byte(strings.Repeat("[", 100_000)), "large": make([]byte, MaxRelease+1),
		"many": []byte("[" + strings.Repeat("1,", maxReleaseValues) + "1]"), "twice": bytes.Replace(good, []byte(`{`), []byte(`{"format": 1,`), 1),
		"cut": good[:len(good)/2], "array": []byte("[]"), "wrong type": bytes.Replace(good, []byte(`"1.1.0"`), []byte(`7`), 1),
	} {
		if _, err := ParseRelease(data); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := []byte(`{"format": 7, "images": "of another form"}`)
	_, err = ParseRelease(newer)
	if want := "cannot read release: made for a newer version of dhow: format 7, this one reads up to 1"; err == nil || err.Error() != want {
		t.Errorf("newer: %v", err)
	}
}

func FuzzParseRelease(f *testing.F) {
	good, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"version":"1.0.0"}`))
	f.Add([]byte(`{"format":1,"files":[null],"images":[{"platforms":[{"layers":[{}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRelease(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("parsed but not encoded: %v", err)
		}
		r2, err := ParseRelease(again)
		if err != nil {
			t.Fatalf("encoded but not parsed: %v", err)
		}
		a, _ := json.Marshal(r)
		b, _ := json.Marshal(r2)
		if !bytes.Equal(a, b) {
			t.Error("another release after a round trip")
		}
		for _, p := range r.Platforms() {
			if _, err := r.Blobs(p); err != nil {
				t.Errorf("platform %s: %v", p, err)
			}
		}
		if err := r.Allows("1.0.0"); err != nil && fmt.Sprint(err) == "" {
			t.Error("an error without words")
		}
	})
}
