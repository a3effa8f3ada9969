package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// postgres is a connection to PostgreSQL.
type postgres struct {
	exec   Exec
	server Server
	host   string // "" for the local socket
	base   string // a database that is always there
	number string // version
}

// clientScript becomes a client program with what it needs to log in, in its environment. $1 is the user, $2 the variable with the
// password ("" for none), $3 the host and $4 the database; the command follows. The password never leaves the container.
const clientScript = `fail() { printf 'dhow: %s\n' "$1" >&2; exit 66; }
user=$1 name=$2 PGHOST=${3:-${PGHOST-}} PGDATABASE=$4
shift 4
command -v "$1" >/dev/null || { printf 'dhow: no client\n' >&2; exit 64; }
if [ -z "$user" ]; then
	user=${POSTGRES_USER-}
	[ -z "${POSTGRES_USER_FILE-}" ] || user=$(cat "$POSTGRES_USER_FILE") || fail "no user"
fi
PGUSER=${user:-postgres}
if [ -z "$PGDATABASE" ]; then
	PGDATABASE=${POSTGRES_DB-}
	[ -z "${POSTGRES_DB_FILE-}" ] || PGDATABASE=$(cat "$POSTGRES_DB_FILE") || fail "no database"
fi
: "${PGDATABASE:=$PGUSER}"
if [ -n "$name" ]; then
	eval "file=\${${name}_FILE-} PGPASSWORD=\${$name-}"
	[ -z "$file" ] || PGPASSWORD=$(cat "$file") || fail "no password"
	[ -z "$PGPASSWORD" ] || export PGPASSWORD
fi
[ -n "$PGHOST" ] && export PGHOST || unset PGHOST
export PGUSER PGDATABASE PGAPPNAME=dhow PGCONNECT_TIMEOUT=20 PGCLIENTENCODING=UTF8 LC_ALL=C PGOPTIONS='-c lc_messages=C'
exec "$@"
`

func openPostgres(ctx context.Context, exec Exec, s Server) (*postgres, error) {
	c := &postgres{exec: exec, server: s, base: "postgres"}
	err := c.greet(ctx)
	if err != nil && strings.Contains(err.Error(), "Peer authentication failed") {
		c.host = "127.0.0.1"
		err = c.greet(ctx)
	}
	if errors.Is(err, ErrNoDatabases) { // somebody dropped it
		c.base = "template1"
		err = c.greet(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// greet asks for the version.
func (c *postgres) greet(ctx context.Context) error {
	rows, err := c.rows(ctx, c.base, "show server_version", 1)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return c.strange(errors.New("no version"))
	}
	c.number, _, _ = strings.Cut(rows[0][0], " ")
	return nil
}

func (c *postgres) ping(context.Context) error { return nil } // opening was the proof

func (c *postgres) version(context.Context) (string, error) { return c.number, nil }

// run starts a client program. The database is a name, which is never taken for a connection string as it goes by PGDATABASE.
func (c *postgres) run(ctx context.Context, database string, stdin io.Reader, stdout io.Writer, program string, args ...string) error {
	cmd := append([]string{"sh", "-c", clientScript, "sh", c.server.User, c.server.PasswordEnv, c.host, database, program}, args...)
	exit, stderr, err := c.exec(ctx, c.server.Container, cmd, stdin, stdout)
	if err != nil {
		return fmt.Errorf("service %s: cannot run a command in its container: %w", c.server.Service, err)
	}
	if exit == 0 {
		return nil
	}
	text := pgLine(stderr)
	kind := pgKind(text)
	if kind == ErrClient { // what the server said may stand on a line of its own
		kind = pgKind(stderr)
	}
	return fmt.Errorf("service %s: %w: exit code %d: %s", c.server.Service, kind, exit, text)
}

func pgKind(text string) error {
	for _, k := range pgErrors {
		if k.text.MatchString(text) {
			return k.err
		}
	}
	return ErrClient
}

// pgErrors recognise what programs of PostgreSQL say; the first one counts.
var pgErrors = []struct {
	text *regexp.Regexp
	err  error
}{
	{regexp.MustCompile(`^dhow: no client`), ErrNoClient},
	{regexp.MustCompile(`^dhow: no password|no password supplied`), ErrNoPassword},
	{regexp.MustCompile(`authentication failed|FATAL:  role ".*" does not exist|no pg_hba.conf entry|permission denied|must be superuser`), ErrPassword},
	{regexp.MustCompile(`No space left on device`), ErrServerFull},
	{regexp.MustCompile(`database ".*" does not exist`), ErrNoDatabases},
	{regexp.MustCompile(`connection to server |could not connect|the database system is |server closed the connection|` +
		`terminating connection|connection to server was lost|SSL SYSCALL|could not receive data`), ErrNotAnswering},
}

// pgLine picks the line of a message that counts: the first that is an error, without the data that it may quote.
func pgLine(s string) string {
	first := ""
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		bad := strings.Contains(line, "ERROR:") || strings.Contains(line, "FATAL:") || strings.Contains(line, "error:")
		if first == "" && line != "" && !strings.Contains(line, "NOTICE:") && !strings.Contains(line, "WARNING:") || bad {
			first = line
		}
		if bad {
			break
		}
	}
	return firstLine(pgValues.ReplaceAllString(first, "$1 …"))
}

// pgValues finds pieces of data in messages, as in: invalid input syntax for type integer: "x".
var pgValues = regexp.MustCompile(`(invalid input [^:]*:|invalid byte sequence [^:]*:|out of range:|at or near) .*$`)

// psql runs a script and returns what it prints: fields parted by tabs, without a head.
func (c *postgres) psql(ctx context.Context, database, script string, max int) (string, error) {
	out := &limited{max: max}
	err := c.run(ctx, database, strings.NewReader(pgSettings+script+"\n"), out, "psql", psqlArgs("-F", "\t")...)
	if err != nil {
		return "", err
	}
	if out.more {
		return "", fmt.Errorf("service %s: the answer is larger than %d bytes", c.server.Service, max)
	}
	return out.String(), nil
}

// pgSettings make values print the same way everywhere.
const pgSettings = `set search_path = pg_catalog; set datestyle = 'ISO, YMD'; set intervalstyle = postgres; set timezone = 'UTC';
set extra_float_digits = 3; set bytea_output = hex; set row_security = off; set statement_timeout = 0; set lock_timeout = '120s';
select set_config(name, '0', false) from pg_settings where name = 'idle_in_transaction_session_timeout' \gset dhow_

`

func psqlArgs(more ...string) []string {
	return append([]string{"-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-f", "-"}, more...)
}

// rows runs a script whose answers have n fields each without tabs and line ends.
func (c *postgres) rows(ctx context.Context, database, script string, n int) ([][]string, error) {
	out, err := c.psql(ctx, database, script, maxAnswer)
	if err != nil {
		return nil, err
	}
	return c.split(out, n)
}

func (c *postgres) split(out string, n int) ([][]string, error) {
	var rows [][]string
	for line := range strings.Lines(out) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) != n {
			return nil, c.strange(fmt.Errorf("a row with %d fields", len(row)))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *postgres) strange(err error) error {
	return fmt.Errorf("service %s: strange answer from the database client: %w", c.server.Service, err)
}

// databases returns what is to be dumped and about how many bytes that is.
func (c *postgres) databases(ctx context.Context) (names []string, size int64, err error) {
	rows, err := c.rows(ctx, c.base, "select "+pgHex("datname::text")+", pg_database_size(oid) from pg_database "+
		"where datallowconn and not datistemplate", 2)
	if err != nil {
		return nil, 0, err
	}
	return choose(c.server, rows, c.strange)
}

// query runs a query of the release's author, with the server's own settings.
func (c *postgres) query(ctx context.Context, query string) (string, error) {
	database := ""
	if len(c.server.Databases) == 1 {
		database = c.server.Databases[0]
	}
	out := &limited{max: 1 << 20}
	if err := c.run(ctx, database, strings.NewReader(query), out, "psql", psqlArgs("-z", "-0", "-P", "null=NULL")...); err != nil {
		return "", err
	}
	field, _, found := bytes.Cut(out.Bytes(), []byte{0})
	if !found {
		return "", fmt.Errorf("service %s: the query has no result", c.server.Service)
	}
	return string(field), nil
}

// pgHex is an expression for the bytes of a text in hex.
func pgHex(expression string) string { return "encode(convert_to(" + expression + ", 'UTF8'), 'hex')" }

// pgText is a string of SQL.
func pgText(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// pgName is a name in SQL.
func pgName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
