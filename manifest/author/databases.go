package author

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"dhow/manifest"
)

// A serverKind is how the images of a database server look: their names, and the variables that hold the password of the server's
// first user, the more specific ones first. Each of these has a form that ends in _FILE and names a file with it.
type serverKind struct {
	engine    string // "" where the names tell MariaDB from MySQL
	names     []string
	passwords []string
	empty     []string // variables that say that there is no password
	port      string
	data      string   // folder under which the data are
	programs  []string // of the server
	user      string   // "" when the container says it
}

var mysqlKind = &serverKind{
	names:     []string{"mariadb", "mysql", "percona"},
	passwords: []string{"MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"},
	empty:     []string{"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD"},
	port:      "3306/tcp",
	data:      "/var/lib/mysql",
	programs:  []string{"mysqld", "mariadbd", "mysqld_safe", "mariadbd-safe", "docker-entrypoint.sh"},
	user:      "root",
}

var postgresKind = &serverKind{
	engine:    "postgresql",
	names:     []string{"postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector"},
	passwords: []string{"POSTGRES_PASSWORD"},
	empty:     []string{"POSTGRES_HOST_AUTH_METHOD"},
	port:      "5432/tcp",
	data:      "/var/lib/postgresql",
	programs:  []string{"postgres", "docker-entrypoint.sh"},
}

func kindOf(engine string) *serverKind {
	if engine == "postgresql" {
		return postgresKind
	}
	return mysqlKind
}

// noDatabase under x-dhow.databases.SERVICE.engine says that the service is no database server, whatever it looks like.
const noDatabase = "none"

// findDatabases finds the database servers among the services: by what x-dhow says, by the image, by the environment.
func (a *making) findDatabases() error {
	for _, s := range a.services {
		said, named := a.extension.databases[s.Name]
		engine := a.engineOf(s)
		if said.Engine == noDatabase {
			continue
		}
		if !named && engine == "" {
			continue
		}
		if said.Engine != "" {
			engine = said.Engine
		}
		if engine == "" {
			return problem(a.extension.where["databases/"+s.Name], "say engine: mariadb, engine: mysql or engine: postgresql",
				"which database server is in service %s can't be seen", s.Name)
		}
		kind := kindOf(engine)
		db := manifest.Database{
			Service: s.Name, Engine: engine, Version: a.serverVersion(kind, s.Name), User: kind.user, PasswordEnv: kind.passwordOf(s),
			Databases: said.Databases,
		}
		if said.User != "" {
			db.User, db.PasswordEnv = said.User, said.PasswordEnv
		}
		if said.PasswordEnv != "" {
			db.PasswordEnv = said.PasswordEnv
		}
		if db.PasswordEnv == "" && !kind.emptyAllowed(s) {
			a.report.warn("%s: nothing says where the password of %s is; backups of the database will fail. "+
				"Set %s, or name the variable under x-dhow.databases.%s.password_env", s.Name, orText(db.User, "its user"),
				kind.passwords[len(kind.passwords)-1], s.Name)
		}
		folder := kind.data
		if v := s.Environment["PGDATA"]; kind == postgresKind && v != nil && *v != "" {
			folder = path.Clean(*v)
		}
		for _, target := range a.anonymous(s) {
			if within(target, folder) || within(folder, target) {
				return problem(a.documents.service(s.Name, "volumes"), "add a named volume: - NAME:"+target,
					"service %s keeps its database in no named volume: the next update would lose it", s.Name)
			}
		}
		a.release.Databases = append(a.release.Databases, db)
	}
	for _, name := range sortedKeys(a.extension.databases) {
		if _, ok := a.service(name); !ok {
			return a.noSuch("databases/"+name, "service", name, a.serviceNames())
		}
	}
	return nil
}

// engineOf judges which database server a service is, "" for none: by the name of the image, or by the password of the server's
// first user together with the port or the folder of a server. A client, such as a service that makes dumps, has only the password, or
// runs something else in the server's image.
func (a *making) engineOf(s types.ServiceConfig) string {
	for _, kind := range []*serverKind{mysqlKind, postgresKind} {
		if name := kind.nameOf(a.images[s.Name]); name != "" {
			if !kind.runs(s) {
				return ""
			}
			return kind.engineName(name)
		}
	}
	config := a.configs[a.images[s.Name]].Config
	for _, kind := range []*serverKind{mysqlKind, postgresKind} {
		if kind.passwordOf(s) == "" || !kind.runs(s) {
			continue
		}
		_, exposed := config.ExposedPorts[kind.port]
		mounted := slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return within(v.Target, kind.data) })
		if !exposed && !mounted {
			continue
		}
		if kind.engine != "" {
			return kind.engine
		}
		hints := strings.Join(slices.Concat([]string{repositoryOf(a.images[s.Name])}, config.Entrypoint, config.Cmd, config.Env, s.Entrypoint,
			s.Command), " ")
		for name := range s.Environment {
			hints += " " + name
		}
		hints = strings.ToLower(hints)
		if !strings.Contains(hints, "mariadb") && (strings.Contains(hints, "mysql_version") || strings.Contains(hints, "mysql_major")) {
			return "mysql"
		}
		return "mariadb" // both servers take these variables, and MariaDB's tools dump either
	}
	return ""
}

// repositoryOf is the last part of an image's name without tag and digest.
func repositoryOf(image string) string {
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// nameOf is the server's name in the name of an image, "" when it is none of the known ones.
func (k *serverKind) nameOf(image string) string {
	name := strings.TrimSuffix(repositoryOf(image), "-server")
	if slices.Contains(k.names, name) {
		return name
	}
	return ""
}

func (k *serverKind) engineName(name string) string {
	switch {
	case k.engine != "":
		return k.engine
	case name == "mariadb":
		return "mariadb"
	}
	return "mysql"
}

// runs reports whether a service leaves the command of its image alone, adds options to it, or names the server.
func (k *serverKind) runs(s types.ServiceConfig) bool {
	words := strings.Fields(strings.Join(slices.Concat(s.Entrypoint, s.Command), " "))
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(k.programs, path.Base(word)) })
}

// passwordOf names the variable that holds the password, without _FILE; "" when the service has none.
func (k *serverKind) passwordOf(s types.ServiceConfig) string {
	for _, name := range k.passwords {
		for _, form := range []string{name, name + "_FILE"} {
			if _, ok := s.Environment[form]; ok {
				return name
			}
		}
	}
	return ""
}

func (k *serverKind) emptyAllowed(s types.ServiceConfig) bool {
	for _, name := range k.empty {
		if v := s.Environment[name]; v != nil && *v != "" {
			return true
		}
	}
	return false
}

// within reports whether a path is a folder or something in it.
func within(target, folder string) bool {
	target = path.Clean(target)
	return target == folder || strings.HasPrefix(target, folder+"/")
}

// serverVersion is the version of the server in a service's image as its variables tell it; with an image of the server's own name also
// as its label or tag does, because other images count in their own way. It is "" when nothing does.
func (a *making) serverVersion(kind *serverKind, service string) string {
	config := a.configs[a.images[service]].Config
	names := []string{"MARIADB_VERSION", "MYSQL_VERSION", "MYSQL_MAJOR"}
	if kind == postgresKind {
		names = []string{"PG_VERSION", "PG_MAJOR"}
	}
	for _, want := range names {
		for _, entry := range config.Env {
			if name, value, _ := strings.Cut(entry, "="); name == want && value != "" {
				if _, after, found := strings.Cut(value, ":"); found { // Debian's epoch
					value = after
				}
				return numbers(value)
			}
		}
	}
	if kind.nameOf(a.images[service]) == "" {
		return ""
	}
	if label := numbers(config.Labels["org.opencontainers.image.version"]); label != "" {
		return label
	}
	_, tag, _ := strings.Cut(path.Base(a.images[service]), ":")
	return numbers(tag)
}

// numbers is the beginning of a text that is numbers and dots.
func numbers(s string) string {
	rest := strings.TrimLeft(s, "0123456789.")
	return strings.Trim(s[:len(s)-len(rest)], ".")
}

// shownVersion is the version of a database server for people: a tag is better than nothing.
func (a *making) shownVersion(d manifest.Database) string {
	if d.Version != "" {
		return d.Version
	}
	_, tag, _ := strings.Cut(path.Base(a.images[d.Service]), ":")
	tag, _, _ = strings.Cut(tag, "@")
	if tag != "" && tag[0] >= '0' && tag[0] <= '9' {
		return tag
	}
	return ""
}
