//go:build e2e

package database

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// lockServer is a real server with the tables of the three tools.
type lockServer struct {
	t    *testing.T
	exec Exec
	Server
	sql  func(script string) string // in the database emr
	yes  string                     // true, as the server writes it
	hold string                     // takes Flyway's lock, and keeps it for long
}

// TestLocksInMariaDB and TestLocksInPostgreSQL plant what a killed migration of each tool leaves, look at it, and release it.
func TestLocksInMariaDB(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	l := lockServer{t: t, exec: r.exec, Server: server, yes: "1"}
	l.sql = func(script string) string { return r.sql(server, "use emr;\n"+script) }
	r.sql(server, "create database emr; create database other; create table other.databasechangelog (id int)")
	l.sql("create table LIQUIBASECHANGELOGLOCK (ID int primary key, LOCKED bit(1) not null, LOCKGRANTED datetime(3), LOCKEDBY varchar(255));" +
		"create table FLY_HFJ_MIGRATION (installed_rank int primary key, version varchar(50), description varchar(200), type varchar(20), script varchar(1000), checksum int," +
		" installed_by varchar(100), installed_on datetime, execution_time int, success bit(1));" +
		"create table flyway_schema_history (installed_rank int primary key, version varchar(50), installed_on timestamp default now(), success boolean);" +
		"create table schema_version (something int)") // of somebody else
	// The number was computed with Java: "`emr`.`flyway_schema_history`".hashCode()
	l.hold = fmt.Sprintf("select get_lock('Flyway-%d', 1), sleep(60)", javaHash("`emr`.`flyway_schema_history`"))
	l.all()
}

func TestLocksInPostgreSQL(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, "root")
	l := lockServer{t: t, exec: p.exec, Server: p.Server, yes: "true"}
	p.sql("postgres", "create database emr")
	l.sql = func(script string) string { return p.sql("emr", script) }
	l.sql("create table databasechangeloglock (id int primary key, locked boolean not null, lockgranted timestamp, lockedby varchar(255));" +
		`create schema hapi; create table hapi."FLY_HFJ_MIGRATION" ("installed_rank" int primary key, "version" varchar(50), "description" varchar(200), "installed_on" date, "success" boolean);` +
		"create table flyway_schema_history (installed_rank int primary key, version varchar(50), installed_on timestamp default now(), success boolean);" +
		"create table schema_version (something int)")
	l.hold = fmt.Sprintf("begin; select pg_advisory_xact_lock(%d + %d); select pg_sleep(60)", int64(77431708279161), javaHash(`"public"."flyway_schema_history"`))
	l.all()
}

func (l lockServer) locks() []Lock {
	l.t.Helper()
	list, err := Locks(l.t.Context(), l.exec, l.Server)
	if err != nil {
		l.t.Fatal(err)
	}
	return list
}

func (l lockServer) one() Lock {
	l.t.Helper()
	list := l.locks()
	if len(list) != 1 {
		l.t.Fatalf("%d locks: %+v", len(list), list)
	}
	return list[0]
}

func (l lockServer) all() {
	if list := l.locks(); len(list) != 0 {
		l.t.Errorf("locks where none is: %+v", list)
	}
	l.liquibase()
	l.hapi()
	l.flyway()
}

func (l lockServer) liquibase() {
	l.t.Helper()
	table := "databasechangeloglock"
	if l.Engine == "mariadb" {
		table = "LIQUIBASECHANGELOGLOCK"
	}
	l.sql("insert into " + table + " values (1, " + l.yes + ", '2026-11-21 21:04:00', 'backend-1 (172.18.0.4)')")
	lock := l.one()
	if lock.Tool != Liquibase || lock.Database != "emr" || lock.Holder != "backend-1 (172.18.0.4)" || !strings.HasPrefix(lock.Since, "2026-11-21 21:04:00") || lock.Held ||
		!strings.HasSuffix(lock.Table, table) || len(lock.Sessions) != 0 {
		l.t.Errorf("%+v", lock)
	}
	// Somebody else takes it between looking and releasing.
	l.sql("update " + table + " set lockedby = 'backend-2 (172.18.0.5)'")
	if done, err := Release(l.t.Context(), l.exec, l.Server, lock); done || err != nil {
		l.t.Errorf("the lock of another was released: %v, %v", done, err)
	}
	if again := l.one(); again.Holder != "backend-2 (172.18.0.5)" {
		l.t.Errorf("%+v", again)
	}
	if done, err := Release(l.t.Context(), l.exec, l.Server, l.one()); !done || err != nil {
		l.t.Errorf("%v, %v", done, err)
	}
	if list := l.locks(); len(list) != 0 {
		l.t.Errorf("not released: %+v", list)
	}
	if out := l.sql("select count(*) from " + table + " where lockedby is null and lockgranted is null"); strings.Trim(out, "\n\x00") != "1" {
		l.t.Errorf("what is left of the row: %q", out)
	}
}

// hapi also has sessions beside it, of which one is in the middle of a transaction.
func (l lockServer) hapi() {
	l.t.Helper()
	table := `hapi."FLY_HFJ_MIGRATION"`
	if l.Engine == "mariadb" {
		table = "FLY_HFJ_MIGRATION"
	}
	l.sql("insert into " + table + " (installed_rank, description, installed_on, success) values (-100, 'd5a26eb6-9a7c-4c5f-a9f5-a1ea6d3ae1b6', null, " + l.yes + ")")
	lock := l.one()
	if lock.Tool != HAPI || lock.Holder != "" || lock.Since != "" || lock.Held {
		l.t.Errorf("%+v", lock)
	}
	sleep, begin := "select pg_sleep(60);", "begin;"
	if l.Engine == "mariadb" {
		sleep, begin = "select sleep(60);", "start transaction;"
	}
	end := l.beside(sleep)
	if lock := l.waitFor(func(k Lock) bool { return len(k.Sessions) == 1 }); lock.Sessions[0] != (Session{}) {
		l.t.Errorf("a session that only asks: %+v", lock.Sessions)
	}
	end()
	end = l.beside(begin + "insert into " + table + " (installed_rank) values (-7);" + sleep)
	l.waitFor(func(k Lock) bool { return len(k.Sessions) == 1 && k.Sessions[0].Writes })
	end()
	lock = l.waitFor(func(k Lock) bool { return len(k.Sessions) == 0 })
	if done, err := Release(l.t.Context(), l.exec, l.Server, lock); !done || err != nil {
		l.t.Errorf("%v, %v", done, err)
	}
	if list := l.locks(); len(list) != 0 {
		l.t.Errorf("not released: %+v", list)
	}
}

func (l lockServer) flyway() {
	l.t.Helper()
	end := l.beside(l.hold)
	lock := l.waitFor(func(k Lock) bool { return k.Held })
	if lock.Tool != Flyway || len(lock.Sessions) != 1 || lock.Failed != "" {
		l.t.Errorf("%+v", lock)
	}
	if done, err := Release(l.t.Context(), l.exec, l.Server, lock); done || err == nil || !strings.Contains(err.Error(), "it ends with the session that holds it") {
		l.t.Errorf("%v, %v", done, err)
	}
	end()
	no := "0"
	if l.yes == "true" {
		no = "false"
	}
	l.sql("insert into flyway_schema_history (installed_rank, version, success) values (1, '1.0', " + l.yes + "), (2, '1.1', " + no + ")")
	if lock = l.waitFor(func(k Lock) bool { return !k.Held }); lock.Failed != "1.1" || lock.Since == "" {
		l.t.Errorf("%+v", lock)
	}
}

// beside runs a script in a session of its own, which the function that it returns ends.
func (l lockServer) beside(script string) (end func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l.Engine == "mariadb" {
			c, err := openMySQL(ctx, l.exec, l.Server)
			if err == nil {
				_, _ = c.sql(ctx, "use emr;\n"+script, maxAnswer)
			}
			return
		}
		c, err := openPostgres(ctx, l.exec, l.Server)
		if err == nil {
			_ = c.run(ctx, "emr", strings.NewReader(script), io.Discard, "psql", psqlArgs()...)
		}
	}()
	return func() {
		cancel()
		<-done
		// The client in a container outlives its stream: its session is ended on the server.
		if l.Engine == "postgresql" {
			l.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'emr' and pid <> pg_backend_pid()")
		} else {
			ids := l.sql("select group_concat(concat('kill ', id) separator ';') from information_schema.processlist where db = 'emr' and id <> connection_id()")
			if ids = strings.TrimSpace(ids); ids != "NULL" {
				l.sql(ids)
			}
		}
	}
}

// waitFor looks until the only lock is as it should be.
func (l lockServer) waitFor(ready func(Lock) bool) Lock {
	l.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		list := l.locks()
		if len(list) == 1 && ready(list[0]) {
			return list[0]
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%+v", list)
		}
	}
}
