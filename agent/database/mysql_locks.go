package database

import (
	"context"
	"fmt"
	"strings"
)

// myPatience keeps a question from waiting for a table that is altered.
const myPatience = "set session lock_wait_timeout = 3;\n"

func (c *session) locks(ctx context.Context) ([]Lock, error) {
	tables, err := c.rows(ctx, `select hex(table_schema), hex(table_name) from information_schema.tables where `+
		userSchemas("table_schema")+` and table_type = 'BASE TABLE' and lower(table_name) in (`+lockNames+`) order by 1, 2`, 2)
	if err != nil {
		return nil, err
	}
	var list []Lock
	for _, t := range tables {
		db, err := unhex(t[0])
		if err != nil {
			return nil, c.strange(err)
		}
		table, err := unhex(t[1])
		if err != nil {
			return nil, c.strange(err)
		}
		found, err := c.locksIn(ctx, db, table)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

func (c *session) locksIn(ctx context.Context, db, table string) (list []Lock, err error) {
	name := identifier(db) + "." + identifier(table)
	tool := lockTables[strings.ToLower(table)]
	switch tool {
	case Liquibase:
		list, err = c.lockRows(ctx, tool, db, table, "select id, hex(coalesce(lockedby, '')), hex(cast(coalesce(lockgranted, '') as char)) from "+name+" where locked = 1")
	case HAPI:
		list, err = c.lockRows(ctx, tool, db, table, "select installed_rank, hex(coalesce(description, '')), hex(cast(coalesce(installed_on, '') as char)) from "+
			name+" where installed_rank = "+hapiRank)
	case Flyway:
		list, err = c.flyway(ctx, db, table, name)
	}
	if err != nil || len(list) == 0 {
		return nil, err
	}
	rows, err := c.rows(ctx, `select hex(coalesce(p.host, '')), (p.command = 'Query' and upper(left(ltrim(coalesce(p.info, '')), 4)) not in ('SELE', 'SHOW', 'SET ', 'COMM', 'ROLL'))
or exists (select 1 from information_schema.innodb_trx x where x.trx_mysql_thread_id = p.id and x.trx_rows_modified > 0)
from information_schema.processlist p where p.id <> connection_id() and hex(p.db) = '`+inHex(db)+`'`, 2)
	if err != nil {
		return nil, err
	}
	sessions, err := sessionRows(rows)
	if err != nil {
		return nil, c.strange(err)
	}
	for i, s := range sessions {
		sessions[i].Address, _, _ = strings.Cut(s.Address, ":") // the port
		if sessions[i].Address == "localhost" {
			sessions[i].Address = ""
		}
	}
	for i := range list {
		list[i].Sessions = sessions
	}
	return list, nil
}

func (c *session) lockRows(ctx context.Context, tool, db, table, question string) ([]Lock, error) {
	rows, err := c.rows(ctx, myPatience+question, 3)
	if err != nil {
		return nil, err
	}
	var list []Lock
	for _, row := range rows {
		l, err := lockRow(tool, db, table, row)
		if err != nil {
			return nil, c.strange(err)
		}
		list = append(list, l)
	}
	return list, nil
}

// flyway looks for the session that holds Flyway's named lock, and for migrations that have failed. A table that is called like Flyway's and is none is
// passed over.
func (c *session) flyway(ctx context.Context, db, table, name string) ([]Lock, error) {
	columns, err := c.rows(ctx, "select count(*) from information_schema.columns where hex(table_schema) = '"+inHex(db)+
		"' and hex(table_name) = '"+inHex(table)+"' and lower(column_name) in ('installed_rank', 'success', 'version', 'installed_on')", 1)
	if err != nil || len(columns) != 1 || columns[0][0] != "4" {
		return nil, err
	}
	list, err := c.lockRows(ctx, Flyway, db, table, fmt.Sprintf("select id, hex(coalesce(host, '')), '' from information_schema.processlist where id = is_used_lock('Flyway-%d')",
		javaHash(name)))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Held = true
		list[i].Holder, _, _ = strings.Cut(list[i].Holder, ":")
	}
	failed, err := c.lockRows(ctx, Flyway, db, table, "select installed_rank, hex(coalesce(version, '?')), hex(cast(coalesce(installed_on, '') as char)) from "+name+
		" where success = 0 and installed_rank >= 0 order by installed_rank")
	for _, l := range failed {
		l.Failed, l.Holder = l.Holder, ""
		list = append(list, l)
	}
	return list, err
}

func (c *session) release(ctx context.Context, l Lock) (int64, error) {
	name := identifier(l.Database) + "." + identifier(l.Table)
	script := fmt.Sprintf("update %s set locked = 0, lockedby = null, lockgranted = null where id = %d and locked = 1 and hex(coalesce(lockedby, '')) = '%X' "+
		"and hex(cast(coalesce(lockgranted, '') as char)) = '%X'", name, l.id, l.key, l.Since)
	if l.Tool == HAPI {
		script = fmt.Sprintf("delete from %s where installed_rank = "+hapiRank+" and hex(coalesce(description, '')) = '%X'", name, l.key)
	}
	rows, err := c.rows(ctx, myPatience+"set autocommit = 1;\n"+script+";\nselect row_count()", 1)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, c.strange(fmt.Errorf("%d rows", len(rows)))
	}
	return number(rows[0][0])
}

// inHex is what hex() makes of a text.
func inHex(s string) string { return fmt.Sprintf("%X", s) }
