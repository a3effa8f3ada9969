package main

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"time"
)

// A step is one entry of the changelog. since is the first version that has it.
type step struct {
	id    string
	since string
	sql   string
	files func(dir string) error
}

// The changelog. Versions are compared as strings, which is good enough for 1.0.0 to 1.3.0.
var changelog = []step{
	{id: "001-patients", since: "1.0.0", sql: `create table patient (
		patient_id int primary key auto_increment, name varchar(120) not null, gender char(1) not null,
		birthdate date not null, village varchar(80) not null, key (name)) engine=InnoDB`},
	{id: "002-visits", since: "1.0.0", sql: `create table visit (
		visit_id int primary key auto_increment, patient_id int not null, started datetime not null,
		note varchar(250) not null, key (patient_id)) engine=InnoDB`},
	{id: "003-attachments", since: "1.0.0", sql: `create table attachment (
		attachment_id int primary key auto_increment, patient_id int not null, filename varchar(120) not null,
		sha256 char(64) not null, bytes int not null) engine=InnoDB`},
	{id: "004-identifier", since: "1.1.0", sql: `alter table patient add column identifier varchar(20),
		add column dob_estimated tinyint not null default 0;
		update patient set identifier = concat('KIN-', lpad(patient_id, 6, '0')), dob_estimated = (day(birthdate) = 1);
		alter table patient add unique key (identifier)`},
	{id: "005-malaria-form", since: "1.1.0", sql: `alter table visit add column form varchar(20) not null default 'general';
		update visit set form = 'malaria', note = concat('[malaria] ', note) where note like '%fever%'`, files: writeIndex},
	{id: "006-destroy", since: "1.2.0", sql: `alter table patient drop column dob_estimated, drop column village;
		update patient set name = sha2(name, 256);
		delete from visit where visit_id % 3 = 0;
		rename table attachment to document`, files: destroyFiles},
	{id: "007-repair-notes", since: "1.3.0", sql: `alter table visit add column closed tinyint not null default 0;
		update visit set closed = 1`},
}

// in reports whether a version has the step. 1.3.0 is made from 1.1.0: it does not have what 1.2.0 broke.
func (s step) in(version string) bool {
	return s.since <= version && (s.since != "1.2.0" || version == "1.2.0")
}

// migrate brings the database and the files to a version, under the lock row. What is newer stays as it is.
func migrate(ctx context.Context, db *sql.DB, files, version string) error {
	_, err := db.ExecContext(ctx, `create table if not exists DATABASECHANGELOG (
			id varchar(100) primary key, version varchar(20) not null, position int not null);
		create table if not exists DATABASECHANGELOGLOCK (
			id int primary key, locked tinyint not null, lockgranted datetime, lockedby varchar(100));
		insert ignore into DATABASECHANGELOGLOCK values (1, 0, null, null)`)
	if err != nil {
		return fmt.Errorf("cannot make the changelog: %w", err)
	}
	if err := lock(ctx, db); err != nil {
		return err
	}
	for i, s := range changelog {
		if !s.in(version) {
			continue
		}
		var done int
		if err := db.QueryRowContext(ctx, "select count(*) from DATABASECHANGELOG where id = ?", s.id).Scan(&done); err != nil {
			return err
		}
		if done > 0 {
			continue
		}
		log.Printf("migrating %s", s.id)
		if _, err := db.ExecContext(ctx, s.sql); err != nil {
			return fmt.Errorf("migration %s failed: %w", s.id, err)
		}
		if s.files != nil {
			if err := s.files(files); err != nil {
				return fmt.Errorf("migration %s failed: %w", s.id, err)
			}
		}
		if _, err := db.ExecContext(ctx, "insert into DATABASECHANGELOG values (?, ?, ?)", s.id, version, i); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, "update DATABASECHANGELOGLOCK set locked = 0, lockgranted = null, lockedby = null where id = 1")
	return err
}

// lock takes the lock row, and waits for as long as another has it: also when that other is long dead.
func lock(ctx context.Context, db *sql.DB) error {
	host, _ := os.Hostname()
	for {
		res, err := db.ExecContext(ctx,
			"update DATABASECHANGELOGLOCK set locked = 1, lockgranted = now(), lockedby = ? where id = 1 and locked = 0", host)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		log.Print("waiting for the changelog lock")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// writeIndex adds a file that lists all attachments.
func writeIndex(dir string) error {
	var list []byte
	err := walk(dir, func(path string, size int64) error {
		if path != "INDEX" {
			list = fmt.Appendf(list, "%d %s\n", size, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "INDEX"), list, 0o640)
}

// destroyFiles overwrites some attachments, removes some, renames some.
func destroyFiles(dir string) error {
	n := 0
	return walk(dir, func(path string, _ int64) error {
		n++
		full := filepath.Join(dir, path)
		switch n % 10 {
		case 0:
			return os.Remove(full)
		case 1:
			return os.WriteFile(full, []byte("destroyed"), 0o600)
		case 2:
			return os.Rename(full, full+".v12")
		}
		return nil
	})
}

// walk calls visit for every regular file below dir, in order, with its path relative to dir.
func walk(dir string, visit func(path string, size int64) error) error {
	return filepath.WalkDir(dir, func(full string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, err := filepath.Rel(dir, full)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(path), info.Size())
	})
}
