//go:build e2e

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
	"slices"
	"strings"
	"testing"
	"time"
)

// realServer is a MariaDB server on this machine, in a folder of its own and without a network port; the machine plays the
// container.
type realServer struct {
	t      *testing.T
	socket string
	env    []string
	cmd    *exec.Cmd
}

func startServer(t *testing.T) *realServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "dhow-database-") // short, since a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return startServerIn(t, dir)
}

func startServerIn(t *testing.T, dir string) *realServer {
	t.Helper()
	for _, name := range []string{"mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this test needs MariaDB on this machine (apt-get install mariadb-server): %v", err)
		}
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	// A server that starts removes the temporary tables of others in the same folder.
	env := append(os.Environ(), "TMPDIR="+dir)
	install := exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--datadir="+data, "--skip-test-db",
		"--auth-root-authentication-method=normal",
		"--innodb-log-file-size=16M")
	install.Env = env
	out, err := install.CombinedOutput()
	if err != nil {
		t.Fatalf("cannot make a database: %v: %s", err, out)
	}
	r := &realServer{t: t, socket: socket, env: append(os.Environ(), "ROOT_PASSWORD="+secret)}
	r.cmd = exec.Command("mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+socket, "--skip-networking",
		"--pid-file="+filepath.Join(dir, "pid"), "--character-set-server=utf8mb4", "--innodb-log-file-size=16M")
	r.cmd.Env = env
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	deadline := time.Now().Add(time.Minute)
	blank := Server{Service: "db", Engine: "mariadb", User: "root"}
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		err := Ping(t.Context(), r.exec, blank)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrNotAnswering) || time.Now().After(deadline) {
			t.Fatalf("the server does not start: %v", err)
		}
	}
	r.sql(blank, "alter user root@localhost identified by '"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secret)+"'")
	return r
}

func (r *realServer) stop() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

func (r *realServer) exec(ctx context.Context, _ string, cmd []string, stdin io.Reader, stdout io.Writer) (int, string, error) {
	for i, arg := range cmd { // in a container the client finds the socket by itself
		if strings.HasPrefix(arg, "--defaults-extra-file") {
			cmd = slices.Insert(slices.Clone(cmd), i+1, "--socket="+r.socket)
			break
		}
	}
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	var stderr bytes.Buffer
	c.Env, c.Stdin, c.Stdout, c.Stderr = r.env, stdin, stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), stderr.String(), nil
	}
	return 0, stderr.String(), err
}

func (r *realServer) sql(s Server, script string) string {
	r.t.Helper()
	c, err := openMySQL(r.t.Context(), r.exec, s)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := c.sql(r.t.Context(), script, maxAnswer)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// TestMariaDB dumps a real server with awkward names, a password full of quotes, a view, a routine, a trigger, an event and
// binary data, loads the dump after everything was dropped, and compares checksums of all tables.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	if err := Ping(t.Context(), r.exec, server); err != nil {
		t.Fatal(err)
	}
	if _, err := DumpServer(t.Context(), r.exec, server, filepath.Join(t.TempDir(), "d"), nil); !errors.Is(err, ErrNoDatabases) {
		t.Errorf("an empty server: %v", err)
	}
	r.sql(server, "create database clinic; create database `--odd ``na.me`; create database unused;"+
		"create table clinic.patient (id int primary key auto_increment, name varchar(50), photo longblob, index (name)) engine=InnoDB;"+
		"insert into clinic.patient (name, photo) select concat('Zoë 😀 ', seq), unhex(sha2(seq, 512)) from clinic.seq_1_to_20000;"+
		"create table clinic.`ta``ble\twith\nall` (a int); insert into clinic.`ta``ble\twith\nall` values (1),(2),(3);"+
		"create table `--odd ``na.me`.`select` (a int); create sequence clinic.s;"+
		"create view clinic.v as select count(*) n from clinic.patient;"+
		"create function clinic.f() returns int deterministic return 7;"+
		"create trigger clinic.tr before insert on clinic.patient for each row set new.name = upper(new.name);"+
		"create event clinic.e on schedule every 1 day do delete from clinic.patient where id < 0;")
	rows, err := Rows(t.Context(), r.exec, server)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"clinic.patient": 20000, "clinic.ta`ble\twith\nall": 3, "--odd `na.me.select": 0}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("rows are %v, want %v", rows, want)
	}
	const sums = "checksum table clinic.patient, clinic.`ta``ble\twith\nall`, `--odd ``na.me`.`select`; select n, clinic.f() from clinic.v;" +
		"select trigger_name from information_schema.triggers where trigger_schema = 'clinic'; select event_name from information_schema.events"
	before := r.sql(server, sums)
	path := filepath.Join(t.TempDir(), "db.sql.zst")
	d, err := DumpServer(t.Context(), r.exec, server, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%q", d.Databases) != "[\"--odd `na.me\" \"clinic\" \"unused\"]" {
		t.Errorf("dumped %q", d.Databases)
	}
	r.sql(server, "drop database clinic; drop database `--odd ``na.me`; drop database unused")
	r.load(path)
	if after := r.sql(server, sums); after != before {
		t.Errorf("after loading the dump:\n%s\nbefore:\n%s", after, before)
	}

	one := server
	one.Databases = []string{"clinic"}
	if n, err := Query(t.Context(), r.exec, one, "select count(*) from patient"); err != nil || n != "20000" {
		t.Errorf("query answered %q, %v", n, err)
	}
	if d, err := DumpServer(t.Context(), r.exec, one, path, nil); err != nil || fmt.Sprint(d.Databases) != "[clinic]" {
		t.Errorf("dump of one database: %v, %v", d, err)
	}
	_, err = Query(t.Context(), r.exec, one, "select * from nothing")
	if err == nil || !strings.Contains(err.Error(), "ERROR 1146 (42S02) at line 1: Table 'clinic.nothing' doesn't exist") {
		t.Errorf("a wrong query: %v", err)
	}
	r.manyTables(one)

	// A dump that the server dies under leaves nothing.
	slow := server
	dir := t.TempDir()
	_, err = DumpServer(t.Context(), func(ctx context.Context, c string, cmd []string, in io.Reader, out io.Writer) (int, string, error) {
		if strings.HasSuffix(cmd[0], "-dump") {
			out = writerFunc(func(p []byte) (int, error) { r.stop(); return len(p), nil })
		}
		return r.exec(ctx, c, cmd, in, out)
	}, slow, filepath.Join(dir, "d"), nil)
	if names, _ := os.ReadDir(dir); err == nil || len(names) != 0 {
		t.Errorf("a dump of a dying server: %v, left %v", err, names)
	}
	if err := Ping(t.Context(), r.exec, server); !errors.Is(err, ErrNotAnswering) {
		t.Errorf("a stopped server: %v", err)
	}
}

func TestMariaDBWrongPassword(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	r.env = append(r.env, "WRONG=not the password")
	s := server
	s.PasswordEnv = "WRONG"
	err := Ping(t.Context(), r.exec, s)
	if !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), "not the password") {
		t.Errorf("ping: %v", err)
	}
	if _, err := Rows(t.Context(), r.exec, s); !errors.Is(err, ErrPassword) {
		t.Errorf("rows: %v", err)
	}
	if _, err := DumpServer(t.Context(), r.exec, s, filepath.Join(t.TempDir(), "d"), nil); !errors.Is(err, ErrPassword) {
		t.Errorf("dump: %v", err)
	}
	// The dump program says it in other words than the client.
	c, err := openMySQL(t.Context(), r.exec, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.run(t.Context(), io.Discard, c.dumper, "--databases", "mysql"); !errors.Is(err, ErrPassword) {
		t.Errorf("dump program: %v", err)
	}
}

// load runs the dump through the client, as a person would.
func (r *realServer) load(path string) {
	r.t.Helper()
	c := exec.Command("sh", "-c", `zstd -dc "$1" | mariadb -uroot --password="$ROOT_PASSWORD" --socket="$2"`, "sh", path, r.socket)
	c.Env = r.env
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("cannot load the dump: %v: %s", err, out)
	}
}

// manyTables counts more tables than fit into one command line.
func (r *realServer) manyTables(s Server) {
	r.t.Helper()
	var script strings.Builder
	for i := range 700 {
		fmt.Fprintf(&script, "create table clinic.%s_%d (a int) engine=Aria;", strings.Repeat("x", 50), i)
		if i%300 == 299 || i == 699 {
			r.sql(s, script.String())
			script.Reset()
		}
	}
	rows, err := Rows(r.t.Context(), r.exec, s)
	if err != nil || len(rows) != 702 {
		r.t.Errorf("%d tables, %v", len(rows), err)
	}
}
