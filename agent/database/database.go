// Package database dumps database servers that run in containers, loads dumps, proves what was loaded, and asks questions.
// The servers are MariaDB, MySQL, and PostgreSQL from 9.6 on.
//
// The server's own programs run inside its container through an Exec that the caller gives. A password is in no argument list, no
// error, no log and nothing that an inspect shows: for MariaDB and MySQL it is read inside the container and handed to the client as
// an option file on its standard input; for PostgreSQL a shell inside the container puts it into the environment of the one program
// that it becomes, and it never leaves the container.
//
// # Dumps
//
// A dump is taken while users work, and describes one moment of every database. It is a stream of parts, one after the other without
// anything in between; Dump.Parts says how long each is. Nothing is compressed in it, so that equal data make equal bytes.
//
//	MariaDB, MySQL   accounts   SQL: accounts, roles, and their privileges on databases
//	                 data       what mariadb-dump or mysqldump --single-transaction writes for all databases
//	                 grants     SQL: privileges on tables and routines, default roles, and what MySQL keeps of SET PERSIST
//	PostgreSQL       globals    SQL: what pg_dumpall --globals-only writes
//	                 settings   SQL: ALTER SYSTEM, and ALTER DATABASE … SET of servers before 11
//	                 data       for each database, in the order of Dump.Databases: what pg_dump -Fc -Z0 --create writes
//
// The parts of MariaDB and MySQL together are one SQL script that the client loads. A part "data" of PostgreSQL is a file for
// pg_restore once it is cut out.
//
// The account that makes the dump is not in it: its password is a setting of the site, and stays what it is. Tablespaces are not
// kept. A user for PostgreSQL must be a superuser.
//
// # Proof
//
// Dump.Rows and Dump.Sums belong to exactly the data in the dump. For MariaDB and MySQL, where no second connection can look at the
// moment that the dump shows, they are added up from the rows of the dump itself on their way; for PostgreSQL the server adds them up
// in the snapshot that it exports to pg_dump. The sum of a table is the sum of a hash of each row, so the order of rows is of no
// matter. A sequence of PostgreSQL that moved meanwhile has no sum, as sequences stand outside of snapshots. Prove does the same with
// a server and compares. Programs of other versions may write the same value in another way: prove with the image that made the dump.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"dhow/manifest"
)

// Exec runs a command inside a container: its standard output goes to stdout, what it wrote to standard error comes back
// bounded. Stdin is closed after its last byte. An err says that the command could not be run or watched to its end; a command
// that failed has an exit code.
type Exec func(ctx context.Context, container string, cmd []string, stdin io.Reader, stdout io.Writer) (exit int, stderr string, err error)

// Server is a database server in a container. Engine is mariadb, mysql or postgresql. PasswordEnv names the variable inside the
// container that holds the password; PasswordEnv with _FILE appended may name a file instead. It is empty when User needs none.
// User empty means, with PostgreSQL, what POSTGRES_USER says in the container, or postgres. Databases empty means all but the system's.
type Server struct {
	Service, Container, Engine, User, PasswordEnv string
	Databases                                     []string
}

// Progress hears about bytes done and to do. It is called from one goroutine, often; nil is allowed. When total is 0 it is not
// known.
type Progress func(done, total int64)

// Dump describes a dump. Bytes and SHA256 (hex) are those of what was written: the stream of WriteDump, or the compressed File (a name
// without a folder) of DumpServer. Version is the server's, for example 10.11.6. Keys of Rows and Sums are "database.table" or
// "database.schema.table".
type Dump struct {
	Service   string            `json:"service"`
	Engine    string            `json:"engine"`
	Version   string            `json:"version"`
	File      string            `json:"file,omitempty"`
	Bytes     int64             `json:"bytes"`
	SHA256    string            `json:"sha256"`
	Databases []string          `json:"databases"`
	Parts     []Part            `json:"parts"`
	Rows      map[string]int64  `json:"rows"`
	Sums      map[string]string `json:"sums"`
}

// Part is a part of a dump's stream: its name and its length in bytes.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Size is the length of the stream, which is more than Bytes when that is compressed.
func (d Dump) Size() int64 {
	var n int64
	for _, p := range d.Parts {
		n += p.Bytes
	}
	return n
}

var (
	// ErrNoPassword means that the container has no value for the variable that should hold the password.
	ErrNoPassword = errors.New("there is no password")
	// ErrPassword means that the server refuses user or password.
	ErrPassword = errors.New("the database server refuses user or password")
	// ErrNotAnswering means that the database server is not running, not ready, or ended in the middle of it.
	ErrNotAnswering = errors.New("the database server does not answer")
	// ErrNoClient means that the container has no client program of the engine.
	ErrNoClient = errors.New("there is no database client in the container")
	// ErrNoDatabases means that the server holds no database but the system's.
	ErrNoDatabases = errors.New("the server holds no databases")
	// ErrBroken means that a database holds something that can't be dumped, such as a view of a table that is gone.
	ErrBroken = errors.New("a view or another part of the database is broken")
	// ErrServerFull means that the disk of the server is full.
	ErrServerFull = errors.New("the disk of the database server is full")
	// ErrClient means that a client program failed for a reason that is not one of the others; its words follow.
	ErrClient = errors.New("the database client failed")
	// ErrDamaged means that a dump is not what its record says.
	ErrDamaged = errors.New("the dump is damaged")
	// ErrDiffers means that a server does not hold what a dump holds.
	ErrDiffers = errors.New("the database is not the same as in the dump")
)

// connection is a kind of server, as far as the functions of this package need it. Nothing of it is kept after a call.
type connection interface {
	ping(ctx context.Context) error
	version(ctx context.Context) (string, error)
	counts(ctx context.Context) (map[string]int64, error)
	query(ctx context.Context, query string) (string, error)
	schema(ctx context.Context) ([]string, error)                  // a line for everything that a fingerprint covers
	dump(ctx context.Context, w *parts, d *Dump, p Progress) error // fills in what it writes
	load(ctx context.Context, r *reader, d Dump) error
	tally(ctx context.Context) (rows map[string]int64, sums map[string]string, err error)
	locks(ctx context.Context) ([]Lock, error)
	release(ctx context.Context, l Lock) (rows int64, err error)
}

func open(ctx context.Context, exec Exec, s Server) (connection, error) {
	if s.PasswordEnv != "" && !variableName.MatchString(s.PasswordEnv) {
		return nil, fmt.Errorf("service %s: %q is no name of a variable", s.Service, s.PasswordEnv)
	}
	switch s.Engine {
	case "mariadb", "mysql":
		return openMySQL(ctx, exec, s)
	case "postgresql":
		return openPostgres(ctx, exec, s)
	}
	return nil, fmt.Errorf("service %s: databases of kind %q are not supported", s.Service, s.Engine)
}

// Major is the part of a version within which a server can go back to older data, for example 10.11 for MariaDB 10.11.6 and 15 for
// PostgreSQL 15.8; "" when the version does not tell.
func Major(engine, version string) string { return manifest.Major(engine, version) }

// checkName keeps dumps inside their folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 200 || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return fmt.Errorf("%q cannot be the name of a dump", name)
	}
	return nil
}
