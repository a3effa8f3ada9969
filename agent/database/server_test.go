package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// fakeServer is a container made of a folder with programs that play the client: shell scripts that answer from files. Commands
// run by the real sh, so that the script which finds the password is tested too.
type fakeServer struct {
	t    *testing.T
	bin  string
	env  []string
	argv []string // every command line
}

const secret = `p'"\#a$(x)%; word`

func newFake(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{t: t, bin: t.TempDir(), env: []string{"ROOT_PASSWORD=" + secret}}
	// The client lists one database and two tables, and counts 5 and 6 rows; what came in on standard input is kept.
	f.program("mariadb", `case "$*" in
*"count(*)"*) echo 5; echo 6;;
*"version()"*) echo 10.11.6-MariaDB-1;;
*mysql.user*) ;;
*information_schema.schemata*) printf '%s\t100\n' 636C696E6963;;
*information_schema.tables*) printf '636C696E6963\t61\n636C696E6963\t62\n';;
*) printf 'first\\tfield\tsecond\nrow\n';;
esac`)
	f.program("mariadb-dump", `echo 'create table a;'; echo '-- Dump completed on 2026-11-21'`)
	return f
}

const fakeDump = "-- Accounts, by Dhow\nSET SESSION sql_mode = '';\ncreate table a;\n-- Dump completed on 2026-11-21\n" +
	"\n-- Privileges, by Dhow\nSET SESSION sql_mode = '';\n"

func (f *fakeServer) program(name, body string) {
	f.t.Helper()
	script := "#!/bin/sh\n/bin/cat >" + filepath.Join(f.bin, "stdin") + "\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(f.bin, name), []byte(script), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeServer) exec(ctx context.Context, _ string, cmd []string, stdin io.Reader, stdout io.Writer) (int, string, error) {
	f.argv = append(f.argv, strings.Join(cmd, " "))
	path := cmd[0]
	if path == "sh" {
		path = "/bin/sh"
	}
	c := exec.CommandContext(ctx, path, cmd[1:]...)
	c.Env = append([]string{"PATH=" + f.bin + ":/usr/bin/none"}, f.env...)
	if _, err := os.Stat(filepath.Join(f.bin, "cat")); err != nil {
		if err := os.Symlink("/bin/cat", filepath.Join(f.bin, "cat")); err != nil {
			f.t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), stderr.String(), nil
	}
	return 0, stderr.String(), err
}

var server = Server{Service: "db", Container: "c1", Engine: "mariadb", User: "root", PasswordEnv: "ROOT_PASSWORD"}

func TestDumpServer(t *testing.T) {
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "db.sql.zst")
	var last int64
	d, err := DumpServer(t.Context(), f.exec, server, path, func(done, total int64) {
		if last = done; total != 100 {
			t.Errorf("total is %d", total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	sql, err := dec.DecodeAll(data, nil)
	if err != nil || string(sql) != fakeDump {
		t.Errorf("the dump holds %q (%v)", sql, err)
	}
	if d.File != "db.sql.zst" || d.Bytes != int64(len(data)) || fmt.Sprint(d.Databases) != "[clinic]" || d.Service != "db" || len(d.SHA256) != 64 {
		t.Errorf("the dump is described as %+v", d)
	}
	if last == 0 {
		t.Error("no progress was told")
	}
	options, err := os.ReadFile(filepath.Join(f.bin, "stdin"))
	want := "[client]\nuser=\"root\"\npassword=\"p'\\\"\\\\#a$(x)%; word\"\n"
	if err != nil || string(options) != want {
		t.Errorf("the option file is %q (%v), want %q", options, err, want)
	}
	for _, line := range f.argv {
		if strings.Contains(line, "#a$(x)") {
			t.Errorf("the password is in an argument: %s", line)
		}
		if !strings.HasPrefix(line, "sh -c") && !strings.Contains(line, " --defaults-extra-file=/dev/stdin ") {
			t.Errorf("a client was started without its option file: %s", line)
		}
	}
}

// TestBadDumps breaks each condition that makes a dump valid.
func TestBadDumps(t *testing.T) {
	for _, c := range []struct{ what, body, want string }{
		{
			"exit code", `echo '-- Dump completed'; echo 'mysqldump: Got error: 1146: no table' >&2; exit 2`,
			"cannot dump database: service db: the database client failed: exit code 2: mysqldump: Got error: 1146: no table",
		},
		{
			"cut short", `echo 'create table a;'`,
			`cannot dump database: service db: the dump is cut short: it does not end with "-- Dump completed"`,
		},
		{"empty", `exit 0`, "cannot dump database: service db: the dump is empty"},
		{
			"password", `echo "mysqldump: Got error: 1045: Access denied for 'root' ($ROOT_PASSWORD)" >&2; exit 2`,
			"cannot dump database: service db: the database server refuses user or password: exit code 2: " +
				"mysqldump: Got error: 1045: Access denied for 'root' (********)",
		},
		{
			"not running", `echo "mysqldump: Got error: 2002: Can't connect" >&2; exit 2`,
			"cannot dump database: service db: the database server does not answer: exit code 2: mysqldump: Got error: 2002: Can't connect",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFake(t)
			f.program("mariadb-dump", c.body)
			dir := t.TempDir()
			_, err := DumpServer(t.Context(), f.exec, server, filepath.Join(dir, "db.sql.zst"), nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if names, _ := os.ReadDir(dir); len(names) != 0 {
				t.Errorf("a bad dump left %v", names)
			}
		})
	}
	t.Run("stream broken", func(t *testing.T) {
		f := newFake(t)
		broken := func(ctx context.Context, c string, cmd []string, in io.Reader, out io.Writer) (int, string, error) {
			exit, text, err := f.exec(ctx, c, cmd, in, out)
			if strings.HasSuffix(cmd[0], "-dump") {
				err = io.ErrUnexpectedEOF
			}
			return exit, text, err
		}
		if _, err := DumpServer(t.Context(), broken, server, filepath.Join(t.TempDir(), "d"), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDumpOnFullDisk has the disk fill up while the other side goes on, and says something else about it.
func TestDumpOnFullDisk(t *testing.T) {
	f := newFake(t)
	f.program("mariadb-dump", `echo 'create table a;'; echo "mysqldump: Got errno 32 on write" >&2; exit 5`)
	full := writerFunc(func([]byte) (int, error) { return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC} })
	if _, err := WriteDump(t.Context(), f.exec, server, full, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func TestServerErrors(t *testing.T) {
	with := func(change func(f *fakeServer, s *Server)) (*fakeServer, Server) {
		f, s := newFake(t), server
		change(f, &s)
		return f, s
	}
	for _, c := range []struct {
		what   string
		change func(f *fakeServer, s *Server)
		kind   error
		want   string
	}{
		{
			"no value", func(f *fakeServer, _ *Server) { f.env = nil }, ErrNoPassword,
			"service db: there is no password: neither ROOT_PASSWORD nor ROOT_PASSWORD_FILE has a value in its container",
		},
		{
			"no file", func(f *fakeServer, _ *Server) { f.env = []string{"ROOT_PASSWORD_FILE=/none"} }, ErrNoPassword,
			"service db: there is no password: the file that ROOT_PASSWORD_FILE names cannot be read in its container",
		},
		{
			"no client", func(f *fakeServer, _ *Server) { os.Remove(filepath.Join(f.bin, "mariadb")) }, ErrNoClient,
			"service db: there is no database client in the container (looked for mariadb mysql and mariadb-dump mysqldump)",
		},
		{
			"engine", func(_ *fakeServer, s *Server) { s.Engine = "oracle" }, nil,
			`service db: databases of kind "oracle" are not supported`,
		},
		{
			"variable", func(_ *fakeServer, s *Server) { s.PasswordEnv = "X; rm -rf /" }, nil,
			`service db: "X; rm -rf /" is no name of a variable`,
		},
		{
			"strange", func(f *fakeServer, _ *Server) { f.program("mariadb", `printf 'a\tb\n'`) }, nil,
			"service db: strange answer from the database client: a row with 2 fields",
		},
		{"not running", func(f *fakeServer, _ *Server) {
			f.program("mariadb", `printf "\n[Warning] old\nERROR 2002 (HY000): Can't connect\n" >&2; exit 1`)
		}, ErrNotAnswering, "service db: the database server does not answer: exit code 1: ERROR 2002 (HY000): Can't connect"},
	} {
		f, s := with(c.change)
		err := Ping(t.Context(), f.exec, s)
		if err == nil || err.Error() != c.want || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v\nwant %s", c.what, err, c.want)
		}
	}
	f, s := with(func(_ *fakeServer, s *Server) { s.Databases = []string{"other"} })
	_, err := DumpServer(t.Context(), f.exec, s, filepath.Join(t.TempDir(), "d"), nil)
	if want := "cannot dump database: service db: it holds no database other"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	f, s = with(func(f *fakeServer, _ *Server) { f.program("mariadb", `case "$*" in *version*) echo 10.11.6;; esac`) })
	if _, err := DumpServer(t.Context(), f.exec, s, filepath.Join(t.TempDir(), "d"), nil); !errors.Is(err, ErrNoDatabases) {
		t.Errorf("a server without databases: %v", err)
	}
}

func TestPasswordFromFile(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "ROOT_PASSWORD_FILE="+file)
	c, err := openMySQL(t.Context(), f.exec, server)
	if err != nil || c.password != "from file" {
		t.Errorf("password %q, %v", c.password, err)
	}
	s := server
	s.PasswordEnv = ""
	c, err = openMySQL(t.Context(), f.exec, s)
	if err != nil || c.options != "[client]\nuser=\"root\"\n" {
		t.Errorf("options %q, %v", c.options, err)
	}
}

func TestQueryAndRows(t *testing.T) {
	f := newFake(t)
	s := server
	s.Databases = []string{"clinic"}
	field, err := Query(t.Context(), f.exec, s, "select x")
	if err != nil || field != "first\tfield" {
		t.Errorf("got %q, %v", field, err)
	}
	if last := f.argv[len(f.argv)-1]; !strings.HasSuffix(last, "--execute=select x --database=clinic") {
		t.Errorf("the query ran as %s", last)
	}
	rows, err := Rows(t.Context(), f.exec, s)
	if err != nil || fmt.Sprint(rows) != "map[clinic.a:5 clinic.b:6]" {
		t.Errorf("rows %v, %v", rows, err)
	}
	f.program("mariadb", "exit 0")
	if _, err := Query(t.Context(), f.exec, s, "select x"); err == nil || err.Error() != "cannot query: service db: the query has no result" {
		t.Errorf("got %v", err)
	}
}
