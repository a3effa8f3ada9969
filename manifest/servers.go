package manifest

import (
	"fmt"
	"regexp"
)

var versionNumbers = regexp.MustCompile(`^([0-9]+)(?:\.([0-9]+))?`)

// Major is the part of a database server's version within which it can go back to data that a later one has written: the first number
// for PostgreSQL from 10 on, else the first two. It is "" when the version does not tell.
func Major(engine, version string) string {
	found := versionNumbers.FindStringSubmatch(version)
	switch {
	case found == nil:
		return ""
	case engine == "postgresql" && len(found[1]) > 1:
		return found[1]
	case found[2] == "":
		return "" // a tag such as 10 may be any of its versions
	}
	return found[1] + "." + found[2]
}

// SameServers reports whether the database servers that two releases have in common are of the same kind and major version, so that
// each release can work on data that the other has written. Otherwise it says why not. A version that is not known is taken for the
// same.
func SameServers(a, b *Release) (bool, string) {
	for _, x := range a.Databases {
		for _, y := range b.Databases {
			if x.Service != y.Service {
				continue
			}
			before, after := Major(x.Engine, x.Version), Major(y.Engine, y.Version)
			if x.Engine != y.Engine || before != "" && after != "" && before != after {
				return false, fmt.Sprintf("database %s is %s in release %s and %s in release %s: its data do not go from one to the other",
					x.Service, ServerName(x.Engine, before), a.Version, ServerName(y.Engine, after), b.Version)
			}
		}
	}
	return true, ""
}

// ServerName is how people call a server of some version, which may be "".
func ServerName(engine, version string) string {
	name := map[string]string{"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}[engine]
	if name == "" {
		name = engine
	}
	if version == "" {
		return name
	}
	return name + " " + version
}
