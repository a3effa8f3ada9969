package author

import (
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/v1"

	"dhow/manifest"
)

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
    volumes: ["/srv/data:/srv", "/scratch", "ext:/ext", "nfs:/nfs", "/etc/localtime:/etc/localtime:ro"]
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
	const (
		data   = ", volumes: [\"data:/var/lib/mysql\"]"
		pgData = ", volumes: [\"data:/var/lib/postgresql/data\"]"
	)
	for _, c := range []struct {
		name, service string
		config        ggcr.Config
		want          *manifest.Database
	}{
		{
			"mariadb", `image: "registry.example.org/x/mariadb:11", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mariadb", Version: "11", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"mysql", `image: "mysql:8", environment: {MYSQL_ROOT_PASSWORD_FILE: /run/p}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mysql", Version: "8", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by environment", `image: "own-db:8", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{},
			&manifest.Database{Engine: "mariadb", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by environment, mysql inside", `image: "own-db:8", environment: {MYSQL_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{Env: []string{"MYSQL_VERSION=8.0.4"}},
			&manifest.Database{Engine: "mysql", Version: "8.0.4", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"by port", `image: "own:8", environment: {MARIADB_ROOT_PASSWORD: "${P:?}"}`,
			ggcr.Config{ExposedPorts: map[string]struct{}{"3306/tcp": {}}},
			&manifest.Database{Engine: "mariadb", User: "root", PasswordEnv: "MARIADB_ROOT_PASSWORD"},
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
			&manifest.Database{Engine: "mysql", Version: "8", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		},
		{
			"postgres", `image: "postgres:15-alpine", environment: {POSTGRES_PASSWORD: "${P:?}", POSTGRES_USER: "${U:-odoo}"}` + pgData,
			ggcr.Config{Volumes: map[string]struct{}{"/var/lib/postgresql/data": {}}},
			&manifest.Database{Engine: "postgresql", Version: "15", PasswordEnv: "POSTGRES_PASSWORD"},
		},
		{
			"postgis", `image: "postgis/postgis:15-3.4", environment: {POSTGRES_PASSWORD_FILE: /run/p}` + pgData,
			ggcr.Config{Env: []string{"PG_MAJOR=15", "PG_VERSION=15.8-1.pgdg110+1"}},
			&manifest.Database{Engine: "postgresql", Version: "15.8", PasswordEnv: "POSTGRES_PASSWORD"},
		},
		{
			"timescale, another folder", `image: "timescale/timescaledb:latest-pg16", environment: {POSTGRES_HOST_AUTH_METHOD: trust, PGDATA: /pg/x}, ` +
				`volumes: ["data:/pg"]`,
			ggcr.Config{Env: []string{"PG_MAJOR=16"}},
			&manifest.Database{Engine: "postgresql", Version: "16"},
		},
		{
			"postgres by port", `image: "odoo-db:2.7", environment: {POSTGRES_PASSWORD: "${P:?}"}`,
			ggcr.Config{ExposedPorts: map[string]struct{}{"5432/tcp": {}}},
			&manifest.Database{Engine: "postgresql", PasswordEnv: "POSTGRES_PASSWORD"},
		},
		{
			"client of postgres", `image: "postgres:15", command: ["sh", "-c", "pg_dump x"], environment: {POSTGRES_PASSWORD: "${P:?}"}`,
			ggcr.Config{},
			nil,
		},
		{
			"mariadb in numbers", `image: "mariadb:lts", environment: {MARIADB_ROOT_PASSWORD: "${P:?}"}` + data,
			ggcr.Config{Env: []string{"MARIADB_VERSION=1:10.11.6+maria~ubu2204"}},
			&manifest.Database{Engine: "mariadb", Version: "10.11.6", User: "root", PasswordEnv: "MARIADB_ROOT_PASSWORD"},
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
			c.want.Service = "db"
			equal(t, "databases", r.Databases, []manifest.Database{*c.want})
		})
	}
}

// TestFourDatabases is a stack such as Bahmni's.
func TestFourDatabases(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": `
x-dhow: {databases: {reports: {engine: mysql, user: backup, password_env: BACKUP_PASSWORD, databases: [bi]}}}
services:
  openmrsdb: {image: "mysql:8.0.39", environment: {MYSQL_ROOT_PASSWORD: "${A:?}"}, volumes: ["data-a:/var/lib/mysql"]}
  reports: {image: "own/reports:4", environment: {BACKUP_PASSWORD: "${B:?}"}, volumes: ["data-b:/data"]}
  odoodb: {image: "postgres:16.3", environment: {POSTGRES_PASSWORD: "${C:?}", POSTGRES_USER: odoo}, volumes: ["data-c:/var/lib/postgresql/data"]}
  openelisdb: {image: "bahmni/openelis-db:1.0", environment: {POSTGRES_PASSWORD: "${D:?}"}, volumes: ["data-d:/var/lib/postgresql/data"]}
volumes: {data-a: , data-b: , data-c: , data-d: }
`})
	configs := map[string]ggcr.Config{}
	for _, ref := range []string{"mysql:8.0.39", "own/reports:4", "postgres:16.3", "bahmni/openelis-db:1.0"} {
		configs[ref] = ggcr.Config{}
	}
	o.Images = fake{configs: configs}
	r, report, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "databases", r.Databases, []manifest.Database{
		{Service: "odoodb", Engine: "postgresql", Version: "16.3", PasswordEnv: "POSTGRES_PASSWORD"},
		{Service: "openelisdb", Engine: "postgresql", PasswordEnv: "POSTGRES_PASSWORD"},
		{Service: "openmrsdb", Engine: "mysql", Version: "8.0.39", User: "root", PasswordEnv: "MYSQL_ROOT_PASSWORD"},
		{Service: "reports", Engine: "mysql", User: "backup", PasswordEnv: "BACKUP_PASSWORD", Databases: []string{"bi"}},
	})
	equal(t, "report", report.Databases[0],
		"database odoodb: PostgreSQL 16.3, user as in POSTGRES_USER, password from POSTGRES_PASSWORD (stays at the site)")
}
