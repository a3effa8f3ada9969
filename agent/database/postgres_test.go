//go:build e2e

package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pgContainer is a PostgreSQL server in a container of the test image.
type pgContainer struct {
	t *testing.T
	Server
	mu   sync.Mutex
	argv []string
}

func startPostgres(t *testing.T, user string, args ...string) *pgContainer {
	t.Helper()
	registry := os.Getenv("DHOW_E2E_REGISTRY")
	if registry == "" {
		t.Fatal("DHOW_E2E_REGISTRY is not set: run these tests with scripts/test")
	}
	p := &pgContainer{t: t, Server: Server{Service: "erp", Engine: "postgresql", PasswordEnv: "POSTGRES_PASSWORD"}}
	run := []string{
		"run", "-d", "--name", "dhow-e2e-pg-" + fmt.Sprint(time.Now().UnixNano()), "--network=none",
		"-e", "POSTGRES_PASSWORD=" + secret, "-e", "POSTGRES_USER=" + user,
	}
	p.Container = p.docker(append(append(run, args...), registry+"/dhow-hospital/postgres:15", "-c", "fsync=off")...)
	t.Cleanup(func() { p.docker("rm", "-f", "-v", p.Container) })
	p.wait()
	return p
}

func (p *pgContainer) wait() {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(200 * time.Millisecond); ; <-tick.C {
		err := Ping(p.t.Context(), p.exec, p.Server)
		if err == nil {
			return
		}
		if !errors.Is(err, ErrNotAnswering) || time.Now().After(deadline) {
			p.t.Fatalf("the server does not start: %v", err)
		}
	}
}

func (p *pgContainer) docker(args ...string) string {
	p.t.Helper()
	c := exec.Command("docker", args...)
	var stderr bytes.Buffer // where a pull of the image is told
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		p.t.Fatalf("docker %v: %v: %s", args, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (p *pgContainer) exec(ctx context.Context, container string, cmd []string, stdin io.Reader, stdout io.Writer) (int, string, error) {
	p.mu.Lock()
	p.argv = append(p.argv, strings.Join(cmd, " "))
	p.mu.Unlock()
	args := []string{"exec", container}
	if stdin != nil {
		args = []string{"exec", "-i", container}
	}
	c := exec.CommandContext(ctx, "docker", append(args, cmd...)...)
	var stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, &stderr
	c.WaitDelay = 10 * time.Second
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), stderr.String(), nil
	}
	return 0, stderr.String(), err
}

// sql runs a script as the superuser and returns what it prints.
func (p *pgContainer) sql(database, script string) string {
	p.t.Helper()
	c, err := openPostgres(p.t.Context(), p.exec, p.Server)
	if err != nil {
		p.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.run(p.t.Context(), database, strings.NewReader(script), &out, "psql", psqlArgs()...); err != nil {
		p.t.Fatal(err)
	}
	return out.String()
}

const hospitalSQL = `create role pharmacy login password 'it''s "secret"' connection limit 7;
create role readers; create role "Dr. O'Kemba" login in role readers;
alter role pharmacy set work_mem = '5MB';
create database odoo owner pharmacy; create database "--odd 'na.me" template template0 lc_collate 'C' lc_ctype 'C';
alter database odoo set datestyle = 'German'; alter database odoo set search_path = shop, public;
alter role pharmacy in database odoo set statement_timeout = '77s';
grant connect on database odoo to readers; revoke connect on database odoo from public;
alter system set log_min_duration_statement = '4711ms';
alter system set session_preload_libraries = 'auto_explain', '$libdir/plpgsql';
\c odoo
create schema shop authorization pharmacy; create extension hstore schema public; create extension pgcrypto;
create type shop.size as enum ('small', 'large');
create table shop.product (id serial primary key, name text not null check (name <> ''), weight double precision, made timestamptz, raw bytea,
  tags public.hstore, size shop.size, price numeric(12,2), doc jsonb, t text, double_id int generated always as (id * 2) stored);
insert into shop.product (name, weight, made, raw, tags, size, price, doc, t)
  select 'Zoë 😀 ' || i || E'\t\n\\', i / 3.0, '2026-11-21'::timestamptz + i * interval '1 minute 7 microseconds', decode(md5(i::text), 'hex'),
  public.hstore('k', i::text), 'small', i, jsonb_build_object('i', i), null from generate_series(1, 20000) i;
create table shop.sale (id bigint generated always as identity, product int references shop.product, day date) partition by range (day);
create table shop.sale_2025 partition of shop.sale for values from ('2025-01-01') to ('2026-01-01');
create table shop.sale_2026 partition of shop.sale for values from ('2026-01-01') to ('2027-01-01');
insert into shop.sale (product, day) select 1 + i % 100, '2025-06-01'::date + i from generate_series(1, 500) i;
create table public.parent (a int); create table public.child (b int) inherits (public.parent);
insert into public.parent values (1); insert into public.child values (2, 3);
create table public."odd "" na.me" (a regclass, dhow_row int); insert into public."odd "" na.me" values ('shop.product', 1);
create view shop.cheap as select * from shop.product where price < 10;
create materialized view shop.per_day as select day, count(*) from shop.sale group by day;
create function shop.f(a int) returns int language plpgsql as $$ begin return a + 1; end $$;
create function shop.touch() returns trigger language plpgsql as $$ begin new.t := 'touched'; return new; end $$;
create trigger touch before update on shop.product for each row execute function shop.touch();
grant select on all tables in schema shop to readers; alter table shop.product enable row level security;
create policy p on shop.product for select to readers using (price > 1);
alter default privileges in schema shop grant select on tables to readers;
select lo_from_bytea(0, decode(repeat('abcd', 5000), 'hex')); select lo_from_bytea(4711, '\x00'); comment on table shop.product is 'It''s a product';
create sequence shop.receipt start 100 increment 5; select nextval('shop.receipt'); select nextval('shop.receipt');
`

// hospitalFacts are what a dump must bring back besides tables.
const hospitalFacts = `select rolname, rolcanlogin, rolconnlimit, rolpassword from pg_authid where rolname !~ '^pg_' order by 1;
select r.rolname, m.rolname from pg_auth_members a join pg_roles r on r.oid = roleid join pg_roles m on m.oid = member where m.rolname !~ '^pg_' order by 1, 2;
select datname, setrole::regrole, setconfig from pg_db_role_setting left join pg_database d on d.oid = setdatabase order by 1, 2;
select datname, pg_get_userbyid(datdba), datcollate, array(select unnest(datacl)::text order by 1) from pg_database where not datistemplate order by 1;
select name, setting from pg_file_settings where sourcefile ~ 'auto.conf' order by 1;
\c odoo
select oid, md5(lo_get(oid)) from pg_largeobject_metadata order by 1; select nspname, nspowner::regrole, nspacl from pg_namespace where nspname = 'shop';
select relname, relacl, relowner::regrole from pg_class where relnamespace = 'shop'::regnamespace order by 1; select last_value from shop.receipt;
select shop.f(1), count(*), obj_description('shop.product'::regclass) from shop.cheap; select extname from pg_extension order by 1;
`

func TestPostgres(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, "chief")
	p.sql("postgres", hospitalSQL)
	rows, err := Rows(t.Context(), p.exec, p.Server)
	want := map[string]int64{
		"odoo.shop.product": 20000, "odoo.shop.sale_2025": 213, "odoo.shop.sale_2026": 287, "odoo.public.parent": 1,
		"odoo.public.child": 1, `odoo.public.odd " na.me`: 1,
	}
	if err != nil || !maps.Equal(rows, want) {
		t.Errorf("rows are %v (%v), want %v", rows, err, want)
	}
	print, err := Fingerprint(t.Context(), p.exec, p.Server)
	if err != nil || len(print) != 64 {
		t.Errorf("fingerprint %q, %v", print, err)
	}
	if v, err := Version(t.Context(), p.exec, p.Server); err != nil || Major("postgresql", v) != "15" {
		t.Errorf("version %q, %v", v, err)
	}
	// Servers before 11 keep their databases' settings apart.
	c, err := openPostgres(t.Context(), p.exec, p.Server)
	if err != nil {
		t.Fatal(err)
	}
	c.number = "10.23"
	const old = "ALTER SYSTEM RESET ALL;\nALTER SYSTEM SET log_min_duration_statement = '4711ms';\n" +
		"ALTER SYSTEM SET session_preload_libraries = 'auto_explain', '$libdir/plpgsql';\n" +
		"ALTER DATABASE odoo SET \"DateStyle\" TO 'German';\nALTER DATABASE odoo SET search_path TO 'shop', 'public';\n"
	if got, err := c.settings(t.Context()); err != nil || got != old {
		t.Errorf("settings of an old server:\n%s(%v), want\n%s", got, err, old)
	}
	odoo := p.Server
	odoo.Databases = []string{"odoo"}
	if n, err := Query(t.Context(), p.exec, odoo, "select name, 1 from shop.product where id = 1"); err != nil || n != "Zoë 😀 1\t\n\\" {
		t.Errorf("query answered %q, %v", n, err)
	}

	// Somebody writes all the time; what is counted must be what was dumped.
	writing, stop := context.WithCancel(t.Context())
	wrote := make(chan error, 1)
	go func() {
		_, _, err := p.exec(writing, p.Container, []string{
			"psql", "-U", "chief", "-d", "odoo", "-qc",
			`do $$ begin loop insert into shop.sale (product, day) values (1, '2026-02-02'); delete from shop.sale where id % 7 = 0;
			commit; end loop; end $$`,
		}, nil, io.Discard)
		wrote <- err
	}()
	var file bytes.Buffer
	d, err := WriteDump(t.Context(), p.exec, p.Server, &file, nil)
	stop()
	<-wrote
	if err != nil {
		t.Fatal(err)
	}
	if d.Bytes != int64(file.Len()) || d.Size() != d.Bytes || fmt.Sprintf("%q", d.Databases) != `["--odd 'na.me" "chief" "odoo" "postgres"]` {
		t.Errorf("the dump is %d bytes, described as %+v", file.Len(), d)
	}
	if _, found := d.Sums["odoo.shop.receipt"]; !found || d.Sums["odoo.(large objects)"] == "" {
		t.Errorf("sums: %v", d.Sums)
	}
	if err := Prove(t.Context(), p.exec, p.Server, d); !errors.Is(err, ErrDiffers) {
		t.Errorf("a server that went on: %v", err)
	}
	t.Run("scratch", func(t *testing.T) {
		s := startPostgres(t, "chief")
		s.sql("postgres", "create role pharmacy nologin; alter role pharmacy set work_mem = '1MB'; create database odoo")
		if err := Load(t.Context(), s.exec, s.Server, bytes.NewReader(file.Bytes()), d, nil); err != nil {
			t.Fatal(err)
		}
		if err := Prove(t.Context(), s.exec, s.Server, d); err != nil {
			t.Fatal(err)
		}
		if again, err := Fingerprint(t.Context(), s.exec, s.Server); err != nil || again != print {
			t.Errorf("the fingerprint was %s, is %s (%v)", print, again, err)
		}
		if got, want := s.sql("postgres", hospitalFacts), p.sql("postgres", hospitalFacts); !sameFacts(got, want) {
			t.Errorf("after loading:\n%s\nbefore:\n%s", got, want)
		}
		for what, change := range map[string][2]string{
			"another value":   {"update shop.product set t = 'x' where id = 7", "alter table shop.product disable trigger touch; update shop.product set t = null where id = 7"},
			"a missing row":   {"delete from public.child", "insert into public.child values (2, 3)"},
			"a new table":     {"create table public.zzz ()", "drop table public.zzz"},
			"a missing table": {"drop table public.child", "create table public.child (b int) inherits (public.parent); insert into public.child values (2, 3)"},
			"a sequence":      {"select nextval('shop.receipt')", "select setval('shop.receipt', 105)"},
			"a large object":  {"select lo_put(4711, 0, 'x')", `select lo_put(4711, 0, '\x00')`},
		} {
			s.sql("odoo", change[0])
			if err := Prove(t.Context(), s.exec, s.Server, d); !errors.Is(err, ErrDiffers) {
				t.Errorf("%s: %v", what, err)
			}
			s.sql("odoo", change[1])
			if err := Prove(t.Context(), s.exec, s.Server, d); err != nil {
				t.Errorf("%s taken back: %v", what, err)
			}
		}
		s.badLoads(file.Bytes(), d)
	})
	for _, line := range p.argv {
		if strings.Contains(line, "#a$(x)") {
			t.Errorf("the password is in an argument: %s", line)
		}
	}
}

// sameFacts compares all but the hash of the password of the user that loads, which has another salt.
func sameFacts(a, b string) bool {
	own := func(line string) bool { return strings.HasPrefix(line, "chief|t|") }
	return slices.Equal(slices.DeleteFunc(strings.Split(a, "\n"), own), slices.DeleteFunc(strings.Split(b, "\n"), own))
}

// badLoads loads what is no whole dump.
func (p *pgContainer) badLoads(file []byte, d Dump) {
	p.t.Helper()
	flipped := bytes.Replace(file, []byte("CREATE VIEW shop.cheap"), []byte("CREATE VIEW shop!cheap"), 1)
	other := d
	other.Engine = "mariadb"
	for what, c := range map[string]struct {
		file []byte
		d    Dump
		want string
	}{
		"cut short": {file[:len(file)/2], d, "the dump is damaged: it is cut short"},
		"too long":  {append(slices.Clone(file), 'x'), d, "the dump is damaged: it is longer than it should be"},
		"bad SQL":   {flipped, d, `exit code 1: pg_restore: error: could not execute query: ERROR:  syntax error at or near …`},
		"other":     {file, other, "the dump is damaged: it comes from mariadb, the server is postgresql"},
	} {
		err := Load(p.t.Context(), p.exec, p.Server, bytes.NewReader(c.file), c.d, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			p.t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPostgresFails has a dump fail in the ways that happen at sites.
func TestPostgresFails(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, "postgres", "-e", "POSTGRES_INITDB_ARGS=--auth-local=scram-sha-256", "-e", "WRONG=not the password",
		"--tmpfs", "/var/lib/postgresql/data:size=160m")
	p.sql("postgres", "create table a as select i, repeat(md5(i::text), 5) t from generate_series(1, 100000) i")
	wrong := p.Server
	wrong.PasswordEnv = "WRONG"
	if _, err := WriteDump(t.Context(), p.exec, wrong, io.Discard, nil); !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), "not the") {
		t.Errorf("wrong password: %v", err)
	}
	wrong.PasswordEnv = ""
	if err := Ping(t.Context(), p.exec, wrong); !errors.Is(err, ErrNoPassword) {
		t.Errorf("no password: %v", err)
	}
	wrong = p.Server
	wrong.User = "nobody"
	if err := Ping(t.Context(), p.exec, wrong); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong user: %v", err)
	}

	var file bytes.Buffer
	d, err := WriteDump(t.Context(), p.exec, p.Server, &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := p.exec(t.Context(), p.Container, []string{"sh", "-c", `exec dd if=/dev/zero of=/var/lib/postgresql/data/ballast bs=1M`}, nil, io.Discard)
	if !strings.Contains(text, "No space left") {
		t.Fatalf("the disk is not full: %s", text)
	}
	// A server that cannot write its log any more says so and ends.
	err = Load(t.Context(), p.exec, p.Server, bytes.NewReader(file.Bytes()), d, nil)
	if !errors.Is(err, ErrServerFull) && !errors.Is(err, ErrNotAnswering) {
		t.Errorf("a full disk: %v", err)
	}
	p.docker("restart", p.Container) // with an empty disk
	p.wait()
	if err := Load(t.Context(), p.exec, p.Server, bytes.NewReader(file.Bytes()), d, nil); err != nil {
		t.Fatal(err)
	}
	if err := Prove(t.Context(), p.exec, p.Server, d); err != nil {
		t.Fatal(err)
	}

	// Killed in the middle of it.
	killed, n := false, 0
	_, err = WriteDump(t.Context(), p.exec, p.Server, writerFunc(func(b []byte) (int, error) {
		if n += len(b); !killed && n > 1<<20 { // in the middle of a table
			killed = true
			p.docker("exec", p.Container, "sh", "-c", "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in postgres:*) kill -9 ${p#/proc/};; esac; done")
		}
		return len(b), nil
	}), nil)
	if !errors.Is(err, ErrNotAnswering) {
		t.Errorf("a killed server: %v", err)
	}
}
