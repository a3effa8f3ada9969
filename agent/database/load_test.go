//go:build e2e

package database

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const clinicSQL = `set global log_bin_trust_function_creators = 1;
create role readers; create role chiefs with admin root@localhost; create user 'app'@'%' identified by 'it''s "se\\cret'; grant readers to 'app'@'%'; grant readers to chiefs;
create user "Dr. O'Kemba"@localhost identified by 'x' require ssl with max_user_connections 3 account lock;
create database clinic character set latin1 collate latin1_german1_ci; create database audit;
grant select on clinic.* to readers; grant all on clinic.* to 'app'@'%' with grant option; set default role readers for 'app'@'%';
use clinic;
create table patient (id int primary key auto_increment, name varchar(60) character set utf8mb4, photo longblob, born date, weight double,
  price decimal(10,2), j json, b bit(9), e enum('a','b'), g geometry, up varchar(80) character set utf8mb4 as (upper(name)) stored, hid int invisible default 7,
  index (name)) auto_increment = 1000;
insert into patient (name, photo, born, weight, price, j, b, e, g) select concat('Zoë''s \\ 😀 "(x),(y);', seq, char(10), char(13), char(0)),
  unhex(sha2(seq, 512)), '2026-11-21', seq / 3, seq, json_object('k', seq), seq % 512, 'b', point(seq, 1) from seq_1_to_20000;
create table visit (id int primary key, patient int, foreign key (patient) references patient (id));
insert into visit select seq, 999 + seq from seq_1_to_500;
create table heap (a int, t text) engine=MyISAM; insert into heap values (1, 'INSERT INTO (1),(2);'), (1, null), (1, ''), (2, '\n-- Dump completed\nDELIMITER ;;\n');
create table parted (a int, d date) partition by range (a) (partition p0 values less than (100), partition p1 values less than maxvalue);
insert into parted select seq, '2026-01-01' from seq_1_to_300;
create sequence receipt start with 100 increment by 5; select nextval(receipt), nextval(receipt);
create definer = 'app'@'%' sql security definer view inner_view as select id, name from patient where id % 2 = 0;
create definer = 'app'@'%' view outer_view as select count(*) n from inner_view;
create table audit.log (what text); insert into audit.log select seq from seq_1_to_500; create table audit.empty (a int);
delimiter //
create trigger tr before insert on visit for each row begin
insert into audit.log values ('INSERT INTO ` + "`x`" + ` VALUES (1);');
end//
create procedure p(in x int) begin
INSERT INTO audit.log VALUES ('x'), ('y');
end//
create definer = 'app'@'%' function f(a int) returns int deterministic begin
  return a + 1;
end//
delimiter ;
create event ev on schedule every 1 day do delete from audit.log where 1 = 0;
grant execute on procedure p to readers; grant select (name) on patient to "Dr. O'Kemba"@localhost;
grant execute on function f to 'app'@'%';
`

// clinicFacts are what a dump must bring back besides tables.
const clinicFacts = `show create user 'app'@'%'; show create user "Dr. O'Kemba"@localhost; show grants for 'app'@'%';
show grants for "Dr. O'Kemba"@localhost; show grants for readers; show create database clinic;
select n, clinic.f(1) from clinic.outer_view; select event_name, status from information_schema.events;
select auto_increment from information_schema.tables where table_name = 'patient'; show grants for chiefs;
select user, host, authentication_string <> '' from mysql.user where user not in ('mariadb.sys') order by 1, 2;
select routine_name, definer, security_type from information_schema.routines where routine_schema = 'clinic' order by 1;
checksum table clinic.patient, clinic.visit, clinic.heap, clinic.parted, audit.log`

// script runs a script with the client, which knows DELIMITER.
func (r *realServer) script(text string) {
	r.t.Helper()
	c := exec.Command("sh", "-c", `exec mariadb -uroot --password="$ROOT_PASSWORD" --socket="$1" --default-character-set=utf8mb4`, "sh", r.socket)
	c.Env, c.Stdin = r.env, strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("cannot run the script: %v: %s", err, out)
	}
}

func TestMariaDBLoad(t *testing.T) {
	t.Parallel()
	r, s := startServer(t), startServer(t)
	r.script(clinicSQL)
	print, err := Fingerprint(t.Context(), r.exec, server)
	if err != nil || len(print) != 64 {
		t.Errorf("fingerprint %q, %v", print, err)
	}
	// Somebody writes all the time; what is counted must be what was dumped.
	busy := exec.Command("sh", "-c", `while mariadb -uroot --password="$ROOT_PASSWORD" --socket="$1" --init-command='set autocommit=1' clinic -e \
		'insert into parted values (1, now()); delete from parted where a = 7 limit 1'; do :; done`, "sh", r.socket)
	busy.Env = r.env
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	d, err := WriteDump(t.Context(), r.exec, server, &file, nil)
	_ = busy.Process.Kill()
	_ = busy.Wait()
	if err != nil {
		t.Fatal(err)
	}
	rows := maps.Clone(d.Rows)
	delete(rows, "clinic.parted")
	want := map[string]int64{"clinic.patient": 20000, "clinic.visit": 500, "clinic.heap": 4, "audit.log": 500, "audit.empty": 0}
	if !maps.Equal(rows, want) || d.Rows["clinic.parted"] < 300 {
		t.Errorf("rows are %v, want %v", rows, want)
	}
	if d.Size() != int64(file.Len()) || d.Bytes != d.Size() || fmt.Sprint(d.Databases) != "[audit clinic]" || Major("mariadb", d.Version) == "" {
		t.Errorf("%d bytes, described as %+v", file.Len(), d)
	}

	s.script("create user 'app'@'%' identified by 'other'; grant all on *.* to 'app'@'%'; create database clinic; create table clinic.old (a int)")
	load := func() {
		t.Helper()
		if err := Load(t.Context(), s.exec, server, bytes.NewReader(file.Bytes()), d, nil); err != nil {
			t.Fatal(err)
		}
	}
	load()
	if err := Prove(t.Context(), s.exec, server, d); err != nil {
		t.Fatal(err)
	}
	if again, err := Fingerprint(t.Context(), s.exec, server); err != nil || again != print {
		t.Errorf("the fingerprint was %s, is %s (%v)", print, again, err)
	}
	r.script("delete from clinic.parted; delete from audit.log")
	s.script("delete from clinic.parted; delete from audit.log")
	if got, want := s.sql(server, clinicFacts), r.sql(server, clinicFacts); got != want {
		t.Errorf("after loading:\n%s\nbefore:\n%s", got, want)
	}
	load()
	for what, change := range map[string][2]string{
		"another value":   {"update clinic.patient set price = price + 1 where id = 1007", "update clinic.patient set price = price - 1 where id = 1007"},
		"a missing row":   {"delete from clinic.visit where id = 3", "insert into clinic.visit values (3, 1002)"},
		"a new table":     {"create table clinic.zzz (a int)", "drop table clinic.zzz"},
		"a missing table": {"drop table audit.empty", "create table audit.empty (a int)"},
		"a sequence":      {"select setval(clinic.receipt, 500000)", ""},
	} {
		s.script(change[0])
		if err := Prove(t.Context(), s.exec, server, d); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", what, err)
		}
		if change[1] == "" {
			load()
			continue
		}
		s.script("set sql_log_bin = 0; use clinic; drop trigger if exists tr; " + change[1])
		if err := Prove(t.Context(), s.exec, server, d); err != nil {
			t.Errorf("%s taken back: %v", what, err)
		}
	}
	for what, c := range map[string]struct {
		file []byte
		want string
	}{
		"cut short": {file.Bytes()[:file.Len()/2], "the dump is damaged: it is cut short"},
		"too long":  {append(slices.Clone(file.Bytes()), 'x'), "the dump is damaged: it is longer than it should be"},
		"bad SQL": {
			bytes.Replace(file.Bytes(), []byte("INSERT INTO `heap`"), []byte("INSERT INTO `heap("), 1),
			"the database client failed: exit code 1: ERROR 1103 (42000)",
		},
	} {
		err := Load(t.Context(), s.exec, server, bytes.NewReader(c.file), d, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Dump completed") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestMariaDBFails has a dump fail in the ways that happen at sites.
func TestMariaDBFails(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	r.script("create database clinic; use clinic; create table clinic.a (x longtext); insert into clinic.a select repeat('x', 1000000) from seq_1_to_40;" +
		"create table clinic.gone (y int); create view clinic.broken as select y from clinic.gone; drop table clinic.gone")
	if _, err := WriteDump(t.Context(), r.exec, server, io.Discard, nil); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a broken view: %v", err)
	}
	r.script("drop view clinic.broken")
	killed := false
	_, err := WriteDump(t.Context(), r.exec, server, writerFunc(func(b []byte) (int, error) {
		if !killed && len(b) > 4096 {
			killed = true
			r.stop()
		}
		return len(b), nil
	}), nil)
	if !errors.Is(err, ErrNotAnswering) {
		t.Errorf("a killed server: %v", err)
	}
}

// TestMariaDBFullDisk loads into a server whose disk is too small.
func TestMariaDBFullDisk(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	r.script("create database clinic; use clinic; create table clinic.a (x longtext); insert into clinic.a select repeat(md5(seq), 30000) from seq_1_to_60")
	var file bytes.Buffer
	d, err := WriteDump(t.Context(), r.exec, server, &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount a small disk: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	small := startServerIn(t, dir)
	out, _ := exec.Command("dd", "if=/dev/zero", "of="+dir+"/ballast", "bs=1M").CombinedOutput()
	if !strings.Contains(string(out), "No space left") {
		t.Fatalf("the disk is not full: %s", out)
	}
	if err := Load(t.Context(), small.exec, server, bytes.NewReader(file.Bytes()), d, nil); !errors.Is(err, ErrServerFull) {
		t.Errorf("a full disk: %v", err)
	}
	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	if err := Load(t.Context(), small.exec, server, bytes.NewReader(file.Bytes()), d, nil); err != nil {
		t.Fatal(err)
	}
	if err := Prove(t.Context(), small.exec, server, d); err != nil {
		t.Error(err)
	}
}
