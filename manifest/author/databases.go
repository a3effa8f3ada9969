package author

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"dhow/manifest"
)

// passwordVariables are the variables of the official images that hold root's password, the more specific ones first. Each has a
// form that ends in _FILE and names a file with it.
var passwordVariables = []string{"MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"}

// noDatabase under x-dhow.databases.SERVICE.engine says that the service is no database server, whatever it looks like.
const noDatabase = "none"

// dataFolder is where both servers keep their data.
const dataFolder = "/var/lib/mysql"

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
		db := manifest.Database{Service: s.Name, Engine: engine, User: "root", PasswordEnv: passwordOf(s), Databases: said.Databases}
		if said.Engine != "" {
			db.Engine = said.Engine
		}
		if db.Engine == "" {
			return problem(a.extension.where["databases/"+s.Name], "say engine: mariadb or engine: mysql",
				"which database server is in service %s can't be seen", s.Name)
		}
		if said.User != "" {
			db.User, db.PasswordEnv = said.User, said.PasswordEnv
		}
		if said.PasswordEnv != "" {
			db.PasswordEnv = said.PasswordEnv
		}
		if db.PasswordEnv == "" && !emptyAllowed(s) {
			a.report.warn("%s: nothing says where the password of %s is; backups of the database will fail. "+
				"Set MYSQL_ROOT_PASSWORD, or name the variable under x-dhow.databases.%s.password_env", s.Name, db.User, s.Name)
		}
		for _, target := range a.anonymous(s) {
			if target == dataFolder {
				return problem(a.documents.service(s.Name, "volumes"), "add a named volume: - NAME:"+dataFolder,
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

// engineOf judges which database server a service is, "mariadb", "mysql" or "" for none: by the name of the image, or by the
// password of root together with the port or the folder of a server. A client, such as a service that makes dumps, has only the
// password, or runs something else in the server's image.
func (a *making) engineOf(s types.ServiceConfig) string {
	config := a.configs[a.images[s.Name]].Config
	repository, _, _ := strings.Cut(path.Base(a.images[s.Name]), "@")
	repository, _, _ = strings.Cut(repository, ":")
	for _, server := range []string{"mariadb", "mysql", "percona"} {
		if repository == server || repository == server+"-server" {
			if !runsServer(s) {
				return ""
			}
			return engineName(server)
		}
	}
	if passwordOf(s) == "" || !runsServer(s) {
		return ""
	}
	_, exposed := config.ExposedPorts["3306/tcp"]
	mounted := slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return path.Clean(v.Target) == dataFolder || strings.HasPrefix(v.Target, dataFolder+"/")
	})
	if !exposed && !mounted {
		return ""
	}
	hints := strings.Join(slices.Concat([]string{repository}, config.Entrypoint, config.Cmd, config.Env, s.Entrypoint, s.Command), " ")
	for name := range s.Environment {
		hints += " " + name
	}
	switch hints = strings.ToLower(hints); {
	case strings.Contains(hints, "mariadb"):
		return "mariadb"
	case strings.Contains(hints, "mysql_version"), strings.Contains(hints, "mysql_major"):
		return "mysql"
	}
	// Both servers take these variables. MariaDB's tools dump either.
	return "mariadb"
}

// runsServer reports whether a service leaves the command of its image alone, adds options to it, or names the server.
func runsServer(s types.ServiceConfig) bool {
	words := strings.Fields(strings.Join(slices.Concat(s.Entrypoint, s.Command), " "))
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool {
		switch path.Base(word) {
		case "mysqld", "mariadbd", "mysqld_safe", "mariadbd-safe", "docker-entrypoint.sh":
			return true
		}
		return false
	})
}

func engineName(server string) string {
	if server == "mariadb" {
		return "mariadb"
	}
	return "mysql"
}

// passwordOf names the variable that holds root's password, without _FILE; "" when the service has none.
func passwordOf(s types.ServiceConfig) string {
	for _, name := range passwordVariables {
		for _, form := range []string{name, name + "_FILE"} {
			if _, ok := s.Environment[form]; ok {
				return name
			}
		}
	}
	return ""
}

func emptyAllowed(s types.ServiceConfig) bool {
	for _, name := range []string{"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD"} {
		if v := s.Environment[name]; v != nil && *v != "" {
			return true
		}
	}
	return false
}

// versionOf is the version of a database server for people, as far as its image tells; "" when it does not.
func (a *making) versionOf(service string) string {
	config := a.configs[a.images[service]].Config
	for _, entry := range config.Env {
		name, value, _ := strings.Cut(entry, "=")
		if name == "MARIADB_VERSION" || name == "MYSQL_VERSION" {
			_, after, found := strings.Cut(value, ":") // Debian's epoch
			if !found {
				after = value
			}
			version, _, _ := strings.Cut(after, "+")
			version, _, _ = strings.Cut(version, "-")
			return version
		}
	}
	_, tag, _ := strings.Cut(path.Base(a.images[service]), ":")
	tag, _, _ = strings.Cut(tag, "@")
	if tag != "" && tag[0] >= '0' && tag[0] <= '9' {
		return tag
	}
	return ""
}
