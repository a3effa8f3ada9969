package author

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1"

	"dhow/manifest"
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

func TestExtension(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": `
x-dhow:
  from: ">=1.0.0 <1.2.0"
  entry: [gateway]
  databases:
    db: {engine: mysql, databases: [openmrs], user: backup, password_env: BACKUP_PASSWORD}
  volumes:
    cache: {backup: none}
  checks:
    - {name: login page, http: "http://gateway/openmrs/login.htm?v=${TAG}", status: 200, contains: OpenMRS, within: 15m}
    - {name: patients are there, sql: db, query: "select count(*) from openmrs.patient", at_least: previous}
  migrate:
    - {service: migrate, timeout: 2h}
  rollback: {data: keep}
  notes: {en: "New form", fr: "Nouveau formulaire"}
services:
  gateway: {image: "gw:${TAG}", ports: ["80:80"], volumes: ["cache:/cache"]}
  admin: {image: "gw:${TAG}", ports: ["8080:80"]}
  db: {image: "store:1", volumes: ["data:/data"]}
  migrate: {image: "tool:1", profiles: [migrate]}
volumes: {cache: , data: }
`, "r.env": "TAG=7\n"})
	o.EnvFiles = []string{filepath.Join(filepath.Dir(o.Files[0]), "r.env")}
	r, _, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "from", r.From, ">=1.0.0 <1.2.0")
	equal(t, "entry", r.Entry, []string{"gateway"})
	equal(t, "databases", r.Databases, []manifest.Database{
		{Service: "db", Engine: "mysql", Databases: []string{"openmrs"}, User: "backup", PasswordEnv: "BACKUP_PASSWORD"},
	})
	equal(t, "volumes", r.Volumes, []manifest.Volume{
		{Name: "cache", Services: []string{"gateway"}, Backup: "none"}, {Name: "data", Services: []string{"db"}},
	})
	equal(t, "checks", r.Checks, []manifest.Check{
		{Name: "login page", HTTP: "http://gateway/openmrs/login.htm?v=7", Status: 200, Contains: "OpenMRS", Within: 15 * time.Minute},
		{Name: "patients are there", SQL: "db", Query: "select count(*) from openmrs.patient", AtLeast: "previous"},
	})
	equal(t, "migrate", r.Migrate, []manifest.Migrate{{Service: "migrate", Timeout: 2 * time.Hour}})
	equal(t, "rollback", r.Rollback.Data, "keep")
	equal(t, "notes", r.Notes, map[string]string{"en": "New form", "fr": "Nouveau formulaire"})
	var services []string
	for _, i := range r.Images {
		services = append(services, i.Services...)
	}
	slices.Sort(services)
	equal(t, "services with images", services, []string{"admin", "db", "gateway", "migrate"})
}

func TestExtensionErrors(t *testing.T) {
	for _, c := range []struct{ name, x, text, hint string }{
		{"typo", "check: []", `compose.yaml:5:3: unknown key "check" in x-dhow`, `did you mean "checks"?`},
		{
			"unknown", "zebra: 1", `compose.yaml:5:3: unknown key "zebra" in x-dhow`,
			"known are: checks, databases, entry, from, migrate, notes, rollback, volumes",
		},
		{"deep typo", "checks: [{http: \"http://app/\", statsu: 200}]", `compose.yaml:5:34: unknown key "statsu" in checks`, `did you mean "status"?`},
		{"twice", "from: \"1\"\n  from: \"2\"", "", ""},
		{"no kind", "checks: [{name: x}]", "compose.yaml:5:12: a check needs either http or sql", ""},
		{"no query", "checks: [{sql: app}]", "compose.yaml:5:12: a check with sql needs a query", ""},
		{"list", "checks: {}", "compose.yaml:5:11: checks must be a list", ""},
		{"mapping", "databases: [db]", "compose.yaml:5:14: databases must be a mapping (key: value)", ""},
		{"duration", "checks: [{http: \"http://app/\", within: soon}]", `compose.yaml:5:42: "soon" is not a length of time such as 90s, 15m or 2h`, ""},
		{"number", "checks: [{http: \"http://app/\", status: ok}]", `compose.yaml:5:42: "ok" is not a number`, ""},
		{"choice", "rollback: {data: maybe}", `compose.yaml:5:20: "maybe" is not one of restore, keep`, ""},
		{
			"setting", "notes: {en: \"${CLINIC:-x}\"}",
			"compose.yaml:5:15: ${CLINIC:-x} depends on the setting CLINIC, and what stands under x-dhow is the same for every site",
			"give it a value with --env-file, or write $$ for a dollar sign",
		},
		{"entry", "entry: [ap]", `compose.yaml:5:10: there is no service "ap"`, `did you mean "app"?`},
		{"entry without port", "entry: [app]", "compose.yaml:5:10: service app publishes no port", ""},
		{"check host", "checks: [{http: \"http://gateway/\"}]", `compose.yaml:5:12: there is no service "gateway"`, "there are: app"},
		{"check db", "checks: [{sql: app, query: select 1}]", `compose.yaml:5:12: there is no database service "app"`, "there are: none"},
		{"volume", "volumes: {data: {backup: none}}", `compose.yaml:5:19: there is no named volume "data"`, "there are: none"},
		{"database", "databases: {bd: {engine: mysql}}", `compose.yaml:5:19: there is no service "bd"`, "there are: app"},
		{"engine", "databases: {app: {}}", "compose.yaml:5:20: which database server is in service app can't be seen", "say engine: mariadb or engine: mysql"},
		{"migrate", "migrate: [{service: mig}]", `compose.yaml:5:13: there is no service "mig"`, "there are: app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "x-dhow:\n  " + c.x + "\n"}))
			if c.text == "" {
				if err == nil || !strings.Contains(err.Error(), "already defined") && !strings.Contains(err.Error(), "twice") {
					t.Fatalf("error %v", err)
				}
				return
			}
			fails(t, err, c.text, c.hint)
		})
	}
	_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "    x-dhow: {entry: [app]}\n"}))
	fails(t, err, "compose.yaml:4:5: x-dhow stands under a service; it belongs to the top level", "")
	_, _, err = Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "x-dhow: {from: \"no version\"}\n"}))
	if want := `cannot make a release of this: release "1.0.0": from: not valid: from "no version" is not a version constraint such as ">=1.0.0 <1.2.0"`; err == nil || err.Error() != want {
		t.Errorf("error\n got %v\nwant %s", err, want)
	}
}

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
			"cannot understand compose.yaml: validating compose.yaml: services.app additional properties 'imagee' not allowed", "",
		},
		{
			"not yaml",
			map[string]string{"compose.yaml": "services: [\n"},
			"compose.yaml is not a compose file: yaml: line 1: did not find expected node content", "",
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

func TestWarnings(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": `
services:
  app:
    image: app
    build: .
    container_name: my-app
    privileged: true
    network_mode: host
    pull_policy: always
    environment: ["ADMIN_PASSWORD=${ADMIN_PASSWORD:-Admin123}", "A=${X:-1}", "B=${X:-2}", "T=${API_TOKEN}"]
    volumes: ["/srv/data:/srv", "./data:/data", "/scratch", "ext:/ext", "nfs:/nfs", "/etc/localtime:/etc/localtime:ro"]
  web:
    image: web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ports: ["8080"]
    networks: [shared]
    secrets: [key]
volumes:
  ext: {external: true}
  nfs: {driver_opts: {type: nfs, device: "server:/x", o: rw}}
networks:
  shared: {external: true}
secrets:
  key: {file: ./key.txt}
`, "key.txt": "k", "r.env": "API_TOKEN=abc\nTYPO=1\n"})
	o.EnvFiles = []string{filepath.Join(filepath.Dir(o.Files[0]), "r.env")}
	o.Images = fake{configs: map[string]ggcr.Config{"app": {Volumes: map[string]struct{}{"/srv": {}, "/var/cache/": {}}}}}
	r, report, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "warnings", strings.Join(report.Warnings, "\n"), strings.TrimSpace(`
app: app has no tag: pinned to what "latest" is now
app: it uses the network of the host, so its ports can't be closed during an update
web: port 8080 is published where the engine likes, at another port after each start
app: it is privileged: it can change anything on the computer of a site
app: container_name my-app: no second stack with it can run on the same computer
app: pull_policy always is not used: a site runs the pinned image and pulls nothing
app: build is not used: the release holds the image app
app: /scratch is in no named volume: what is written there is lost with the next update
app: /var/cache is in no named volume: what is written there is lost with the next update
volume ext: it is external: each site needs it before the first update
volume nfs: it has a driver or options of its own: a site may not be able to make exact copies of it
network shared: it is external: each site needs it before the first update
web: no check of the application itself; "web running" will be taken as success. Say more under x-dhow.checks (dhowctl release create --help)
app: /srv/data (mounted at /srv) is the site's own folder: it is neither taken along nor backed up
app: ./data (mounted at /data) is not there, so it is taken for a data folder of the site: it is not part of the snapshot yet; a named volume would be
secret key: the file key.txt goes into the release, where every site can read it; an absolute path stays at the site
r.env: API_TOKEN looks like a secret and goes into the release, where every site can read it; leave it out to make it a site setting
compose.yaml:10: ADMIN_PASSWORD has a default, so every site that sets none has the same; ${ADMIN_PASSWORD:?} would make it required
compose.yaml:10: X has different defaults in different places
r.env: nothing reads TYPO
`))
	if strings.Contains(report.Text(), "abc") || strings.Contains(report.Text(), "Admin123") {
		t.Error("the report shows a secret")
	}
	equal(t, "setting with two defaults", r.Settings[1], manifest.Setting{Name: "X"})
}

func TestFilesOfOtherFiles(t *testing.T) {
	o := options(t, map[string]string{
		"compose.yaml":     "include: [sub/compose.yaml]\n" + app + "    extends: {file: base/common.yaml, service: common}\n",
		"sub/compose.yaml": "services:\n  db:\n    image: store:1\n    volumes: [\"./conf:/conf\"]\n",
		"sub/conf/a.conf":  "a", "sub/conf/deep/b.conf": "b",
		"base/common.yaml": "services:\n  common:\n    environment: {NAME: \"${NAME:?}\"}\n    volumes: [\"./common.conf:/c\"]\n",
		"base/common.conf": "c",
		"over/prod.yaml":   "services:\n  app:\n    volumes: [\"./top.conf:/t\"]\n    env_file: [{path: missing.env, required: false}]\n",
		"top.conf":         "t", ".env": "NAME=secret\n",
	})
	dir := filepath.Dir(o.Files[0])
	check(t, os.Rename(filepath.Join(dir, ".env"), filepath.Join(dir, "site.env"))) // beside no included file: it would not be read
	check(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("NAME=secret\n"), 0o600))
	check(t, os.Chmod(filepath.Join(dir, "sub/conf/a.conf"), 0o755))
	check(t, os.Symlink("a.conf", filepath.Join(dir, "sub/conf/link.conf")))
	o.Files = append(o.Files, filepath.Join(dir, "over", "prod.yaml"))
	r, _, err := Create(t.Context(), o)
	check(t, err)
	var files []string
	for _, f := range r.Files {
		files = append(files, f.Path)
		if f.Path == "sub/conf/a.conf" {
			equal(t, "mode", f.Mode, uint32(0o755))
		}
	}
	equal(t, "compose", r.Compose, []string{"compose.yaml", "over/prod.yaml"})
	equal(t, "files", files, []string{
		"base/common.conf", "base/common.yaml", "compose.yaml", "over/prod.yaml", "sub/compose.yaml",
		"sub/conf/a.conf", "sub/conf/deep/b.conf", "sub/conf/link.conf", "top.conf",
	})
	equal(t, "settings", r.Settings, []manifest.Setting{{Name: "NAME", Required: true}})
	data, err := r.Encode()
	check(t, err)
	if strings.Contains(string(data), "secret") {
		t.Error("the .env file was read")
	}
}

func TestLinkOutOfTheFolder(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app + "    volumes: [\"./conf:/conf\"]\n", "conf/a": "a"})
	check(t, os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(o.Files[0]), "conf", "evil")))
	_, _, err := Create(t.Context(), o)
	fails(t, err, "compose.yaml:4: cannot take along conf/evil: openat conf/evil: path escapes from parent", "")
}

func TestTooManyFiles(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": app + "    volumes: [\"./conf:/conf\"]\n", "conf/big": strings.Repeat("x", 2000)})
	o.MaxFiles = 1500
	_, _, err := Create(t.Context(), o)
	fails(t, err, "compose.yaml:4: the files of the release are larger than 2 kB together (conf/big is one of 2)",
		"data belongs into a volume, and large files into an image")
}

// The type of a setting that has no default is not known: some stand-in must fit.
func TestStandIns(t *testing.T) {
	for name, service := range map[string]string{
		"port":     `ports: ["${PORT:?}:80"]`,
		"bool":     `read_only: ${X:?}`,
		"address":  `ports: ["${ADDRESS:?}:80:80"]`,
		"duration": `stop_grace_period: "${X:?}"`,
		"memory":   `mem_limit: ${X:?}`,
		"folder":   `volumes: ["${DATA:?}:/data"]`,
		"subdir":   `volumes: [{type: bind, source: "${DATA}/x", target: /data}]`,
		"number":   `healthcheck: {test: "true", retries: "${X:?}"}`,
		"list":     `cpus: ${X:?}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := Create(t.Context(), options(t, map[string]string{
				"compose.yaml": app + "    " + service + "\n",
			}))
			check(t, err)
			equal(t, "settings", len(r.Settings), 1)
			equal(t, "required", r.Settings[0].Required, true)
		})
	}
}

func TestPorts(t *testing.T) {
	r, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + `
    ports:
      - "127.0.0.1:${A:-8080}:80"
      - "${B:?}:53/udp"
      - {target: 9000, published: "${C:-9000}", protocol: tcp}
      - "7000-7001:7000-7001"
      - "[::1]:81:81"
`}))
	check(t, err)
	equal(t, "ports", r.Ports, []manifest.Port{
		{Service: "app", Published: "${A:-8080}", Target: 80, Protocol: "tcp"},
		{Service: "app", Published: "${B:?}", Target: 53, Protocol: "udp"},
		{Service: "app", Published: "${C:-9000}", Target: 9000, Protocol: "tcp"},
		{Service: "app", Published: "7000", Target: 7000, Protocol: "tcp"},
		{Service: "app", Published: "7001", Target: 7001, Protocol: "tcp"},
		{Service: "app", Published: "81", Target: 81, Protocol: "tcp"},
	})
}

func TestDatabases(t *testing.T) {
	const data = ", volumes: [\"data:/var/lib/mysql\"]"
	for _, c := range []struct {
		name, service string
		config        ggcr.Config
		want          *manifest.Database
	}{
		{
			"mariadb", `image: "registry.example.org/x/mariadb:11", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mariadb", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"mysql", `image: "mysql:8", environment: {MYSQL_ROOT_PASSWORD_FILE: /run/p}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mysql", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by environment", `image: "own-db:8", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mariadb", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by environment, mysql inside", `image: "own-db:8", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{Env: []string{"MYSQL_VERSION=8.0.4"}},
			&manifest.Database{Engine: "mysql", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by port", `image: "own:8", environment: {MARIADB_ROOT_PASSWORD: "${P:?}"}`,
			ggcr.Config{ExposedPorts: map[string]struct{}{"3306/tcp": {}}},
			&manifest.Database{Engine: "mariadb", PasswordEnv: "MARIADB_ROOT_PASSWORD"},
		},
		{"client", `image: "backup:8", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}`, ggcr.Config{}, nil},
		{
			"client in the image of the server", `image: "mysql:8", command: ["sh", "-c", "mysqldump x"], environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}`,
			ggcr.Config{},
			nil,
		},
		{
			"with options", `image: "mysql:8", command: ["--max-connections=3"], environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mysql", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{"something else", `image: "mysqld-exporter:1"`, ggcr.Config{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, map[string]string{"compose.yaml": "services:\n  db: {" + c.service + "}\nvolumes: {data: }\n"})
			ref, _, _ := strings.Cut(strings.TrimPrefix(c.service, `image: "`), `"`)
			o.Images = fake{configs: map[string]ggcr.Config{ref: c.config}}
			r, _, err := Create(t.Context(), o)
			check(t, err)
			if c.want == nil {
				equal(t, "databases", len(r.Databases), 0)
				return
			}
			c.want.Service, c.want.User = "db", "root"
			equal(t, "databases", r.Databases, []manifest.Database{*c.want})
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
