package database

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

const (
	maxPassword = 4096
	maxAnswer   = 64 << 20 // of lists of tables and counts
)

// findScript prints the paths of client and dump program, a line each, and then the password. Shell builtins print it, so no
// process has it among its arguments. $1 is the variable, "" for none, checked before; $2 and $3 are the names in order of
// preference.
const findScript = `find_one() { for c in "$@"; do command -v "$c" && return; done; exit 64; }
find_one $2 || exit 64
find_one $3 || exit 64
[ -n "$1" ] || exit 0
eval "f=\${${1}_FILE-} v=\${$1-}"
if [ -n "$f" ]; then v=$(cat "$f") || exit 66; fi
[ -n "$v" ] || exit 65
printf %s "$v"
`

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// errorNumber is how the client ("ERROR 1045 (28000): …") and the dump program ("Got error: 1045: …") begin the line that
	// counts; what failed inside of a statement stands at the end ("Couldn't execute …: … (1356)").
	errorNumber = regexp.MustCompile(`(?i)error:? ([0-9]{4})\b|\(([0-9]{4})\)$`)
)

// session is a connection to MariaDB or MySQL.
type session struct {
	exec           Exec
	server         Server
	client, dumper string // programs in the container
	password       string
	options        string // option file with user and password
	mariadb        bool   // by its version, whatever the release says
}

func openMySQL(ctx context.Context, exec Exec, s Server) (*session, error) {
	clients, dumps := "mariadb mysql", "mariadb-dump mysqldump"
	if s.Engine == "mysql" {
		clients, dumps = "mysql mariadb", "mysqldump mariadb-dump"
	}
	out := &limited{max: maxPassword + 1024}
	exit, stderr, err := exec(ctx, s.Container, []string{"sh", "-c", findScript, "sh", s.PasswordEnv, clients, dumps}, nil, out)
	if err != nil {
		return nil, fmt.Errorf("service %s: cannot run a command in its container: %w", s.Service, err)
	}
	lines := strings.SplitN(out.String(), "\n", 3)
	switch {
	case exit == 64:
		return nil, fmt.Errorf("service %s: %w (looked for %s and %s)", s.Service, ErrNoClient, clients, dumps)
	case exit == 65:
		return nil, fmt.Errorf("service %s: %w: neither %s nor %s_FILE has a value in its container",
			s.Service, ErrNoPassword, s.PasswordEnv, s.PasswordEnv)
	case exit == 66:
		return nil, fmt.Errorf("service %s: %w: the file that %s_FILE names cannot be read in its container",
			s.Service, ErrNoPassword, s.PasswordEnv)
	case exit != 0:
		return nil, fmt.Errorf("service %s: cannot look for the database client: exit code %d: %s", s.Service, exit, firstLine(stderr))
	case out.more || len(lines) != 3 || len(lines[2]) > maxPassword:
		return nil, fmt.Errorf("service %s: cannot read %s in its container", s.Service, s.PasswordEnv)
	}
	c := &session{exec: exec, server: s, client: lines[0], dumper: lines[1], password: lines[2]}
	c.options = "[client]\nuser=" + optionValue(s.User) + "\n"
	if c.password != "" {
		c.options += "password=" + optionValue(c.password) + "\n"
	}
	return c, nil
}

// optionValue quotes a value for an option file: in double quotes "#" is no comment and these escapes are known.
func optionValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// run starts a client program with the option file on its standard input. Its first argument must name that file.
func (c *session) run(ctx context.Context, stdout io.Writer, program string, args ...string) error {
	cmd := append([]string{program, "--defaults-extra-file=/dev/stdin"}, args...)
	exit, stderr, err := c.exec(ctx, c.server.Container, cmd, strings.NewReader(c.options), stdout)
	return c.judge(exit, stderr, err)
}

// judge turns the end of a client program into an error.
func (c *session) judge(exit int, stderr string, err error) error {
	if err != nil {
		return fmt.Errorf("service %s: cannot run a command in its container: %w", c.server.Service, err)
	}
	if exit == 0 {
		return nil
	}
	text := firstLine(c.scrub(stderr))
	kind := ErrClient
	number := 0
	if found := errorNumber.FindStringSubmatch(text); found != nil {
		number, _ = strconv.Atoi(found[1] + found[2])
	}
	switch {
	case isFull(text) || number == 1021:
		kind = ErrServerFull
	case number == 1045 || number == 1698:
		kind = ErrPassword
	case number == 1053 || number == 1927 || number >= 2002 && number <= 2013:
		kind = ErrNotAnswering
	case number == 1356 || number == 1449:
		kind = ErrBroken
	}
	return fmt.Errorf("service %s: %w: exit code %d: %s", c.server.Service, kind, exit, text)
}

// isFull recognises a full disk in what a server says.
func isFull(text string) bool {
	return strings.Contains(text, "No space left on device") || strings.Contains(text, "Errcode: 28") ||
		strings.Contains(text, "is full (1114)") || strings.Contains(text, "ERROR 1114")
}

// scrub takes the password out of a message, should a client ever print it.
func (c *session) scrub(s string) string {
	if c.password == "" {
		return s
	}
	return strings.ReplaceAll(s, c.password, "********")
}

// sql runs a script and returns its rows as the client's batch mode prints them: fields parted by tabs.
func (c *session) sql(ctx context.Context, script string, max int) (string, error) {
	out := &limited{max: max}
	args := []string{
		"--batch", "--skip-column-names", "--no-auto-rehash", "--connect-timeout=20",
		"--default-character-set=utf8mb4", "--execute=" + script,
	}
	if len(c.server.Databases) == 1 {
		args = append(args, "--database="+c.server.Databases[0])
	}
	if err := c.run(ctx, out, c.client, args...); err != nil {
		return "", err
	}
	if out.more {
		return "", fmt.Errorf("service %s: the answer is larger than %d bytes", c.server.Service, max)
	}
	return out.String(), nil
}
