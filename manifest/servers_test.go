package manifest

import "testing"

func TestMajor(t *testing.T) {
	for _, c := range []struct{ engine, version, want string }{
		{"mariadb", "10.11.6", "10.11"},
		{"mariadb", "11.4", "11.4"},
		{"mariadb", "11", ""},
		{"mysql", "8.0.39", "8.0"},
		{"mysql", "5.7.44", "5.7"},
		{"postgresql", "15.8", "15"},
		{"postgresql", "15", "15"},
		{"postgresql", "9.6.24", "9.6"},
		{"postgresql", "9", ""},
		{"postgresql", "17beta1", "17"},
		{"postgresql", "", ""},
		{"mysql", "latest", ""},
	} {
		if got := Major(c.engine, c.version); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.engine, c.version, got, c.want)
		}
	}
}

func TestSameServers(t *testing.T) {
	release := func(version string, list ...Database) *Release { return &Release{Version: version, Databases: list} }
	db := func(engine, version string) Database {
		return Database{Service: "db", Engine: engine, Version: version}
	}
	for _, c := range []struct {
		name string
		a, b Database
		want string
	}{
		{"the same", db("mariadb", "10.11.6"), db("mariadb", "10.11.6"), ""},
		{"a newer minor", db("postgresql", "15.2"), db("postgresql", "15.8"), ""},
		{"not known", db("mariadb", ""), db("mariadb", "11.4.2"), ""},
		{
			"a newer major", db("postgresql", "15.8"), db("postgresql", "16.1"),
			"database db is PostgreSQL 15 in release 1.0.0 and PostgreSQL 16 in release 1.1.0: its data do not go from one to the other",
		},
		{
			"another engine", db("mysql", ""), db("mariadb", "10.11.6"),
			"database db is MySQL in release 1.0.0 and MariaDB 10.11 in release 1.1.0: its data do not go from one to the other",
		},
		{"another service", db("mysql", "8.0"), Database{Service: "other", Engine: "mariadb"}, ""},
	} {
		same, why := SameServers(release("1.0.0", c.a), release("1.1.0", c.b))
		if same != (c.want == "") || why != c.want {
			t.Errorf("%s: %v, %s", c.name, same, why)
		}
	}
}
