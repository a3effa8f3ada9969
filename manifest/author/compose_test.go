package author

import (
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
)

// options makes a release of files; compose.yaml is the first compose file.
func options(t *testing.T, files map[string]string) Options {
	t.Helper()
	dir := write(t, files)
	return Options{
		Version: "1.0.0", Fleet: "f", Project: "p", Files: []string{filepath.Join(dir, "compose.yaml")},
		Images: fake{}, Store: openStore(t), Now: now,
	}
}

const bomb = `x-a: &a [1,2,3,4,5,6,7,8,9]
x-b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
x-c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
x-d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
x-e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
x-f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
`

const app = "services:\n  app:\n    image: app:1\n"

func TestComposeErrors(t *testing.T) {
	for _, c := range []struct {
		name       string
		files      map[string]string
		text, hint string
	}{
		{
			"build only",
			map[string]string{"compose.yaml": "services:\n  app:\n    build: .\n"},
			"compose.yaml:3: service app has no image", "build it, push it, and say image: NAME:TAG",
		},
		{
			"image of a setting",
			map[string]string{"compose.yaml": "services:\n  app:\n    image: app:${TAG:?}\n"},
			"compose.yaml:3: the image of service app depends on the setting TAG: app:${TAG:?}", "give it a value with --env-file",
		},
		{
			"image of a bare setting",
			map[string]string{"compose.yaml": "services:\n  app:\n    image: $REGISTRY/app\n"},
			"compose.yaml:3: the image of service app depends on the setting REGISTRY: $REGISTRY/app", "give it a value with --env-file",
		},
		{
			"bad reference",
			map[string]string{"compose.yaml": "services:\n  app:\n    image: App:1\n"},
			`compose.yaml:3: service app: "App:1" is not an image reference`, "",
		},
		{
			"no such key",
			map[string]string{"compose.yaml": app + "    imagee: x\n"},
			`compose.yaml:4:5: unknown key "imagee" in services.app`, `did you mean "image"?`,
		},
		{
			"not yaml",
			map[string]string{"compose.yaml": "services: [\n"},
			"compose.yaml is not a compose file: yaml: line 1: did not find expected node content", "",
		},
		{
			"circle",
			map[string]string{"compose.yaml": "x: &x\n  <<: *x\n" + app},
			"compose.yaml is not a compose file: its aliases (*name) stand for themselves or for more than 50000 values", "",
		},
		{
			"bomb",
			map[string]string{"compose.yaml": bomb + app},
			"compose.yaml is not a compose file: its aliases (*name) stand for themselves or for more than 50000 values", "",
		},
		{
			"raw env_file",
			map[string]string{"compose.yaml": app + "    env_file: [{path: a.env, format: raw}]\n", "a.env": "A=1\n"},
			"cannot understand compose.yaml: unsupported env_file format \"raw\"", "",
		},
		{
			"empty release variable",
			map[string]string{"compose.yaml": app + "    environment: {A: \"${NAME:?}\"}\n", "r.env": "NAME=\n"},
			"cannot understand compose.yaml: error while interpolating services.app.environment.A: required variable NAME is missing a value",
			"the release gives NAME an empty value: give it one with --env-file, or leave it to the sites",
		},
		{
			"project name",
			map[string]string{"compose.yaml": app + "name: ${NAME:-x}\n", "r.env": "COMPOSE_PROFILES=\n", "noproject": ""},
			"compose.yaml:4: the project name depends on the setting NAME", "give it a value with --env-file, or the name with --project",
		},
		{
			"profiles only",
			map[string]string{"compose.yaml": app + "    profiles: [x]\n"},
			"compose.yaml: there is no service to run", "its services have profiles: choose with --profile",
		},
		{
			"undefined volume",
			map[string]string{"compose.yaml": app + "    volumes: [\"data:/data\"]\n"},
			`cannot understand compose.yaml: service "app" refers to undefined volume data: invalid compose project`, "",
		},
		{
			"bind outside",
			map[string]string{"compose.yaml": app + "    volumes: [\"../x:/x\"]\n"},
			"compose.yaml:4: ../x lies outside DIR, the folder of the first compose file",
			"move it there, or run with the first -f in a folder above both",
		},
		{
			"bind everything",
			map[string]string{"compose.yaml": app + "    volumes: [\".:/x\"]\n"},
			"compose.yaml:4: service app mounts the whole project folder at /x", "mount a folder below it",
		},
		{
			"env_file missing",
			map[string]string{"compose.yaml": app + "    env_file: a.env\n"},
			"compose.yaml:4: there is no file DIR/a.env", "",
		},
		{
			"env_file broken",
			map[string]string{"compose.yaml": app + "    env_file: a.env\n", "a.env": "A=1\nPASSWORD=\"geheim\n"},
			"compose.yaml:4: cannot read env_file a.env: line 2 is not NAME=value", "",
		},
		{
			"release env broken",
			map[string]string{"compose.yaml": app, "r.env": "PASSWORD='geheim\n"},
			"cannot read env file DIR/r.env: line 1 is not NAME=value", "",
		},
		{
			"include with env",
			map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n", "sub/compose.yaml": app, "sub/.env": "A=1\n"},
			"compose.yaml:1: the file sub/.env stands beside the included sub/compose.yaml and compose would read it",
			"move it away while the release is made, and name it with --env-file if its values belong to the release",
		},
		{
			"include outside",
			map[string]string{"compose.yaml": "include: [../compose.yaml]\n"},
			"compose.yaml:1: ../compose.yaml lies outside DIR, the folder of the first compose file",
			"move it there, or run with the first -f in a folder above both",
		},
		{
			"include of another computer",
			map[string]string{"compose.yaml": "include: [\"https://registry.example.org/c.yaml\"]\n"},
			"compose.yaml:1: https://registry.example.org/c.yaml is on another computer", "keep a copy in the folder and name that",
		},
		{
			"config missing",
			map[string]string{"compose.yaml": app + "    configs: [c]\nconfigs:\n  c: {file: ./c.conf}\n"},
			"compose.yaml:6: cannot take along c.conf: openat c.conf: no such file or directory", "",
		},
		{
			"database without volume",
			map[string]string{"compose.yaml": "services:\n  db:\n    image: mariadb:10\n    environment: {MYSQL_ROOT_PASSWORD: \"${P:?}\"}\n"},
			"compose.yaml:2: service db keeps its database in no named volume: the next update would lose it", "add a named volume: - NAME:/var/lib/mysql",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.files)
			dir := filepath.Dir(o.Files[0])
			if _, ok := c.files["r.env"]; ok {
				o.EnvFiles = []string{filepath.Join(dir, "r.env")}
			}
			if _, ok := c.files["noproject"]; ok {
				o.Project = ""
			}
			o.Images = fake{configs: map[string]ggcr.Config{"mariadb:10": {Volumes: map[string]struct{}{"/var/lib/mysql": {}}}}}
			_, _, err := Create(t.Context(), o)
			fails(t, err, strings.ReplaceAll(c.text, "DIR", dir), c.hint)
			if strings.Contains(err.Error(), "geheim") {
				t.Error("the error quotes a secret")
			}
		})
	}
}

// FuzzCompose: no compose file, whatever it holds, does more than fail; and no stand-in gets into a release.
func FuzzCompose(f *testing.F) {
	f.Add(app)
	f.Add(app + "x-dhow: {from: \"1\", entry: [app], checks: [{http: \"http://app/\"}]}\n")
	f.Add("x: &x {a: 1}\nservices:\n  app:\n    <<: *x\n    image: a:${V:-1}\n    ports: [\"${P:?}:80\"]\n")
	f.Add("services: {db: {image: mariadb, volumes: [\"${D}:/d\", \"./x:/x\"], env_file: [a.env]}}\n")
	f.Add("---\nservices: {a: {image: b, environment: [A, \"B=$C\"]}}\n---\nsecrets: {s: {environment: S}}\n")
	f.Add("include: [compose.yaml]\n")
	f.Add("services: [\n")
	f.Fuzz(func(t *testing.T, text string) {
		o := options(t, map[string]string{"compose.yaml": text})
		r, _, err := Create(t.Context(), o)
		if err != nil {
			return
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatalf("made a release that can't be written: %v", err)
		}
		if strings.Contains(string(data), placeholder) && !strings.Contains(text, placeholder) {
			t.Fatal("a stand-in got into the release")
		}
	})
}
