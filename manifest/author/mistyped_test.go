package author

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest"
)

func TestMistypedKeys(t *testing.T) {
	for _, c := range []struct{ name, text, want, hint string }{
		{
			"in a service", app + "    portss: [80]\n",
			`compose.yaml:4:5: unknown key "portss" in services.app`, `did you mean "ports"?`,
		},
		{
			"below a service", app + "    deploy:\n      resorces: {}\n",
			`compose.yaml:5:7: unknown key "resorces" in services.app.deploy`, `did you mean "resources"?`,
		},
		{
			"in a list", app + "    ports:\n      - {target: 80, publish: 81}\n",
			`compose.yaml:5:22: unknown key "publish" in services.app.ports.0`, `did you mean "published"?`,
		},
		{
			"like nothing", app + "    colour: red\n",
			`compose.yaml:4:5: unknown key "colour" in services.app`, "that is no key that compose knows there",
		},
		{
			"at the top", app + "volums: {}\n",
			`compose.yaml:4:1: unknown key "volums" in the compose file`, `did you mean "volumes"?`,
		},
		{
			"in a volume", app + "volumes:\n  data: {externl: true}\n",
			`compose.yaml:5:10: unknown key "externl" in volumes.data`, `did you mean "external"?`,
		},
		{
			"a service with dots", "services:\n  app.main.x:\n    image: a:1\n    helthcheck: {}\n",
			`compose.yaml:4:5: unknown key "helthcheck" in services.app.main.x`, `did you mean "healthcheck"?`,
		},
		{
			"in a merged mapping", "x-all: &all\n  restrat: always\n" + app + "    <<: *all\n",
			`compose.yaml:2:3: unknown key "restrat" in services.app`, `did you mean "restart"?`,
		},
		{
			"a value of the wrong kind stays compose's", app + "    ports: 80\n",
			"cannot understand compose.yaml: services.app.ports: invalid type int for port", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": c.text}))
			fails(t, err, c.want, c.hint)
		})
	}
}

func TestMistypedKeyInTheSecondFile(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app, "over.yaml": "services:\n  app:\n    enviroment: {A: b}\n"})
	o.Files = append(o.Files, filepath.Join(filepath.Dir(o.Files[0]), "over.yaml"))
	_, _, err := Create(t.Context(), o)
	fails(t, err, `over.yaml:3:5: unknown key "enviroment" in services.app`, `did you mean "environment"?`)
}

// TestReservedNames: the agent writes these beside the files of a release.
func TestReservedNames(t *testing.T) {
	for name, files := range map[string]map[string]string{
		".env":         {"compose.yaml": app + "    volumes: [\"./.env:/e\"]\n", ".env": "A=b\n"},
		"release.json": {"compose.yaml": app + "    volumes: [\"./release.json:/r\"]\n", "release.json": "{}"},
		"dhow.yaml":    {"compose.yaml": app + "    volumes: [\"./dhow.yaml:/r\"]\n", "dhow.yaml": "{}"},
	} {
		_, _, err := Create(t.Context(), options(t, files))
		fails(t, err, "compose.yaml:4: cannot take along "+filepath.Clean(name)+": dhow writes this name itself at the site", "rename it")
	}
	_, _, err := Create(t.Context(), options(t, map[string]string{
		"compose.yaml": app + "    env_file: [{path: .env, required: false}]\n    volumes: [\"./conf:/conf\"]\n", "conf/.env": "A=b\n", "conf/release.json": "{}",
	}))
	check(t, err)
	o := options(t, map[string]string{"compose.yaml": app})
	dir := filepath.Dir(o.Files[0])
	check(t, os.Rename(o.Files[0], filepath.Join(dir, "dhow.yaml")))
	o.Files[0] = filepath.Join(dir, "dhow.yaml")
	_, _, err = Create(t.Context(), o)
	fails(t, err, "cannot take along dhow.yaml: dhow writes this name itself at the site", "rename it")
}

// TestServicesOwnEnv: the .env that compose itself reads holds a site's secrets, also when a service reads it.
func TestServicesOwnEnv(t *testing.T) {
	for _, env := range []string{".env", "[{path: ./.env, required: false}]"} {
		r, report, err := Create(t.Context(), options(t, map[string]string{
			"compose.yaml": app + "    env_file: " + env + "\n", ".env": "DB_PASSWORD=Admin123\nEMPTY=\n",
		}))
		check(t, err)
		equal(t, "settings", r.Settings, []manifest.Setting{{Name: "DB_PASSWORD", Required: true}, {Name: "EMPTY"}})
		equal(t, "files", len(r.Files), 1)
		if text := report.Text(); strings.Contains(text, "Admin123") || !strings.Contains(text, "its 2 names become settings of the site") {
			t.Errorf("report:\n%s", text)
		}
	}
	_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "    env_file: .env\n", ".env": "Admin123 is no line\n"}))
	fails(t, err, "compose.yaml:4: cannot read env_file .env: line 1 is not NAME=value", "")
}

func TestMissingEnvFile(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app})
	o.EnvFiles = []string{"nowhere/release.env"}
	_, _, err := Create(t.Context(), o)
	fails(t, err, "cannot read env file: open nowhere/release.env: no such file or directory",
		"name it as it is seen from the folder in which you are, or leave --env-file away")
}
