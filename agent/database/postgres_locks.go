package database

import (
	"context"
	"fmt"
	"strings"
)

// pgPatience keeps a question from waiting for a table that is altered.
const pgPatience = "set lock_timeout = '3s';\n"

func (c *postgres) locks(ctx context.Context) ([]Lock, error) {
	everything := *c
	everything.server.Databases = nil
	names, _, err := everything.databases(ctx)
	if err != nil {
		return nil, err
	}
	var list []Lock
	for _, db := range names {
		found, err := c.locksIn(ctx, db)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// pgTable is a table in which locks may be. Its columns stand under their names in lower case, quoted: HAPI writes the name of its table in capitals.
type pgTable struct {
	schema, name string
	columns      map[string]string
}

func (t pgTable) String() string { return pgName(t.schema) + "." + pgName(t.name) }

func (t pgTable) has(columns ...string) bool {
	for _, c := range columns {
		if t.columns[c] == "" {
			return false
		}
	}
	return true
}

// text is an expression for the value of a column in hex.
func (t pgTable) text(column string) string {
	return pgHex("coalesce(" + t.columns[column] + "::text, '')")
}

func (c *postgres) lockTables(ctx context.Context, db string) (list []pgTable, err error) {
	rows, err := c.rows(ctx, db, "select "+pgHex("n.nspname::text")+", "+pgHex("x.relname::text")+", "+pgHex("a.attname::text")+
		" from pg_class x join pg_namespace n on n.oid = x.relnamespace join pg_attribute a on a.attrelid = x.oid where x.relkind = 'r' and "+
		"a.attnum > 0 and not a.attisdropped and lower(x.relname) in ("+lockNames+") order by 1, 2", 3)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		var names [3]string
		for i := range names {
			if names[i], err = unhex(row[i]); err != nil {
				return nil, c.strange(err)
			}
		}
		if n := len(list); n == 0 || list[n-1].schema != names[0] || list[n-1].name != names[1] {
			list = append(list, pgTable{names[0], names[1], map[string]string{}})
		}
		list[len(list)-1].columns[strings.ToLower(names[2])] = pgName(names[2])
	}
	return list, nil
}

func (c *postgres) locksIn(ctx context.Context, db string) (list []Lock, err error) {
	tables, err := c.lockTables(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		var found []Lock
		switch tool := lockTables[strings.ToLower(t.name)]; {
		case tool == Liquibase && t.has("id", "locked", "lockedby", "lockgranted"):
			found, err = c.lockRows(ctx, tool, db, t, "select "+t.columns["id"]+", "+t.text("lockedby")+", "+t.text("lockgranted")+" from "+t.String()+" where "+pgLocked(t))
		case tool == HAPI && t.has("installed_rank", "description", "installed_on"):
			found, err = c.lockRows(ctx, tool, db, t, "select "+t.columns["installed_rank"]+", "+t.text("description")+", "+t.text("installed_on")+" from "+t.String()+
				" where "+t.columns["installed_rank"]+" = "+hapiRank)
		case tool == Flyway && t.has("installed_rank", "version", "success", "installed_on"):
			found, err = c.flyway(ctx, db, t)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		return nil, nil
	}
	rows, err := c.rows(ctx, db, "select "+pgHex("coalesce(host(client_addr), '')")+", case when state = 'active' and query !~* '^\\s*(select|show|set|begin|commit|rollback)' or "+
		"backend_xid is not null then 1 else 0 end from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null", 2)
	if err != nil {
		return nil, err
	}
	sessions, err := sessionRows(rows)
	if err != nil {
		return nil, c.strange(err)
	}
	for i := range list {
		list[i].Sessions = sessions
	}
	return list, nil
}

// pgLocked is a condition for a row of Liquibase that is locked.
func pgLocked(t pgTable) string { return t.columns["locked"] + "::text in ('t', 'true', '1')" }

func (c *postgres) lockRows(ctx context.Context, tool, db string, t pgTable, question string) ([]Lock, error) {
	rows, err := c.rows(ctx, db, pgPatience+question, 3)
	if err != nil {
		return nil, err
	}
	var list []Lock
	for _, row := range rows {
		l, err := lockRow(tool, db, t.schema+"."+t.name, row)
		if err != nil {
			return nil, c.strange(err)
		}
		list = append(list, l)
	}
	return list, nil
}

// flyway looks for the session that holds Flyway's advisory lock, and for migrations that have failed.
func (c *postgres) flyway(ctx context.Context, db string, t pgTable) ([]Lock, error) {
	lock := int64(flywayMagic) + int64(javaHash(t.String()))
	list, err := c.lockRows(ctx, Flyway, db, t, fmt.Sprintf("select l.pid, %s, %s from pg_locks l join pg_stat_activity a on a.pid = l.pid "+
		"where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = %d and l.objid = %d and l.database = (select oid from pg_database where datname = current_database())",
		pgHex("coalesce(host(a.client_addr), '')"), pgHex("coalesce(a.xact_start, a.query_start)::text"), uint32(lock>>32), uint32(lock)))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Held = true
	}
	failed, err := c.lockRows(ctx, Flyway, db, t, "select "+t.columns["installed_rank"]+", "+pgHex("coalesce("+t.columns["version"]+", '?')")+", "+t.text("installed_on")+
		" from "+t.String()+" where not "+t.columns["success"]+" and "+t.columns["installed_rank"]+" >= 0 order by 1")
	for _, l := range failed {
		l.Failed, l.Holder = l.Holder, ""
		list = append(list, l)
	}
	return list, err
}

func (c *postgres) release(ctx context.Context, l Lock) (int64, error) {
	tables, err := c.lockTables(ctx, l.Database)
	if err != nil {
		return 0, err
	}
	for _, t := range tables {
		if t.schema+"."+t.name != l.Table || lockTables[strings.ToLower(t.name)] != l.Tool {
			continue
		}
		script := fmt.Sprintf("update %s set %s = false, %s = null, %s = null where %s = %d and %s and %s = '%x' and %s = '%x'", t, t.columns["locked"], t.columns["lockedby"],
			t.columns["lockgranted"], t.columns["id"], l.id, pgLocked(t), t.text("lockedby"), l.key, t.text("lockgranted"), l.Since)
		if l.Tool == HAPI {
			script = fmt.Sprintf("delete from %s where %s = %s and %s = '%x'", t, t.columns["installed_rank"], hapiRank, t.text("description"), l.key)
		}
		rows, err := c.rows(ctx, l.Database, pgPatience+"with done as ("+script+" returning 1) select count(*) from done", 1)
		if err != nil {
			return 0, err
		}
		if len(rows) != 1 {
			return 0, c.strange(fmt.Errorf("%d rows", len(rows)))
		}
		return number(rows[0][0])
	}
	return 0, nil
}
