package database

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

func (c *postgres) dump(ctx context.Context, w *parts, d *Dump, _ Progress) error {
	names, size, err := c.databases(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("service %s: %w", c.server.Service, ErrNoDatabases)
	}
	d.Databases, w.total = names, size
	d.Rows, d.Sums = map[string]int64{}, map[string]string{}
	w.begin("globals")
	if err := c.run(ctx, c.base, nil, w, "pg_dumpall", "--globals-only", "--no-tablespaces", "-w"); err != nil {
		return err
	}
	settings, err := c.settings(ctx)
	if err != nil {
		return err
	}
	w.begin("settings")
	if _, err := io.WriteString(w, settings); err != nil {
		return err
	}
	for _, name := range names {
		w.begin("data")
		if err := c.dumpDatabase(ctx, w, name, d); err != nil {
			return err
		}
	}
	return nil
}

// dumpDatabase dumps one database and adds up its rows, both in one snapshot: psql holds it, and starts pg_dump in between. All that
// they write comes in one stream, parted by a word that nothing in it can hold by chance.
func (c *postgres) dumpDatabase(ctx context.Context, w io.Writer, name string, d *Dump) error {
	mark := rand.Text()
	say := "\\! echo " + mark + "\n"
	script := pgSettings + "begin isolation level repeatable read read only;\n" +
		"select pg_export_snapshot() as dhow_snapshot \\gset\n\\setenv DHOW_SNAPSHOT :dhow_snapshot\n" + pgSequences + say +
		"\\! pg_dump --format=custom --compress=0 --create --no-tablespaces --no-password --lock-wait-timeout=120s" +
		` --snapshot="$DHOW_SNAPSHOT" && echo ` + mark + " || kill $PPID\n" + // the shell's parent is psql
		pgSums + say + pgSequences
	still, sums, now := &limited{max: maxAnswer}, &limited{max: maxAnswer}, &limited{max: maxAnswer}
	data := &counter{w: w}
	out := &splitter{mark: []byte(mark + "\n"), to: []io.Writer{still, data, sums, now}}
	if err := c.run(ctx, name, strings.NewReader(script), out, "psql", psqlArgs("-F", "\t")...); err != nil {
		return err
	}
	if err := out.end(); err != nil {
		return err
	}
	if data.n == 0 || len(out.to) != 1 || still.more || sums.more || now.more {
		return c.strange(errors.New("a part of the dump is missing"))
	}
	tables, err := c.split(sums.String(), 3)
	if err != nil {
		return err
	}
	sequences, err := c.split(now.String(), 2)
	if err != nil {
		return err
	}
	if err := c.add(name, tables, d.Rows, d.Sums); err != nil {
		return err
	}
	for _, row := range sequences {
		if line := strings.Join(row, "\t") + "\n"; !strings.HasPrefix(still.String(), line) && !strings.Contains(still.String(), "\n"+line) {
			continue // it moved meanwhile
		}
		if err := c.add(name, [][]string{row}, nil, d.Sums); err != nil {
			return err
		}
	}
	return nil
}

// splitter passes a stream on to one writer after the other; mark stands between what is for two of them.
type splitter struct {
	mark []byte
	to   []io.Writer
	held []byte // the end of what came, which may be the beginning of a mark
}

func (s *splitter) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	for len(s.to) > 1 {
		i := bytes.Index(s.held, s.mark)
		if i < 0 {
			break
		}
		if _, err := s.to[0].Write(s.held[:i]); err != nil {
			return 0, err
		}
		s.held, s.to = s.held[i+len(s.mark):], s.to[1:]
	}
	n := max(0, len(s.held)-len(s.mark)+1)
	if _, err := s.to[0].Write(s.held[:n]); err != nil {
		return 0, err
	}
	s.held = append(s.held[:0], s.held[n:]...)
	return len(p), nil
}

// end passes on what is left.
func (s *splitter) end() error {
	_, err := s.to[0].Write(s.held)
	return err
}

// add puts rows of name, count and sum, or name and sum, where they belong.
func (c *postgres) add(database string, list [][]string, rows map[string]int64, sums map[string]string) error {
	for _, row := range list {
		name, err := unhex(row[0])
		if err != nil {
			return c.strange(err)
		}
		key := database + "." + name
		if rows != nil {
			if rows[key], err = number(row[1]); err != nil {
				return c.strange(err)
			}
		}
		if sums != nil {
			sums[key] = row[len(row)-1]
		}
	}
	return nil
}

func (c *postgres) tally(ctx context.Context) (map[string]int64, map[string]string, error) {
	rows, sums := map[string]int64{}, map[string]string{}
	for _, name := range c.server.Databases {
		list, err := c.rows(ctx, name, pgSums, 3)
		if err == nil {
			err = c.add(name, list, rows, sums)
		}
		if err != nil {
			return nil, nil, err
		}
		list, err = c.rows(ctx, name, pgSequences, 2)
		if err == nil {
			err = c.add(name, list, nil, sums)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return rows, sums, nil
}

func (c *postgres) counts(ctx context.Context) (map[string]int64, error) {
	names, _, err := c.databases(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, name := range names {
		list, err := c.rows(ctx, name, pgCounts, 2)
		if err == nil {
			err = c.add(name, list, counts, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// pgRelations are the relations of a kind that pg_dump takes the data of: not the system's, not an extension's.
func pgRelations(kind string) string {
	return `from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = '` + kind + `' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
`
}

// pgSum adds up the first 64 bits of the MD5 of an expression over all rows.
func pgSum(expression string) string {
	return "coalesce(sum(('x' || substr(md5(" + expression + "), 1, 16))::bit(64)::bigint::numeric), 0)"
}

var (
	pgName1  = pgHex("n.nspname::text || '.' || c.relname::text")
	pgCounts = "select format('select %L, count(*) from only %I.%I', " + pgName1 + ", n.nspname, c.relname) " + pgRelations("r") + "\\gexec\n"
	pgSums   = "select format($f$select %L, count(*), " + pgSum("(dhow_row.*)::text") + " from only %I.%I dhow_row$f$, " + pgName1 +
		", n.nspname, c.relname) " + pgRelations("r") + "\\gexec\n" +
		// Large objects, by their pages: one that holds nothing but zeros may be missing.
		"select " + pgHex("'(large objects)'") + ", (select count(*) from pg_largeobject_metadata), " +
		pgSum(`loid::text || ':' || pageno || ':' || encode(btrim(data, '\x00'::bytea), 'hex')`) +
		` from pg_largeobject where btrim(data, '\x00'::bytea) <> '' having (select count(*) from pg_largeobject_metadata) > 0;` + "\n"
	pgSequences = "select format($f$select %L, last_value || ' ' || is_called from %I.%I$f$, " + pgName1 + ", n.nspname, c.relname) " +
		pgRelations("S") + "\\gexec\n"
)

// pgLists are the settings whose values are lists of names.
const pgLists = `'local_preload_libraries', 'search_path', 'session_preload_libraries', 'shared_preload_libraries', 'temp_tablespaces',
'unix_socket_directories'`

// pgValue is an expression for the value of a setting in SQL.
func pgValue(name, value string) string {
	return `case when ` + name + ` in (` + pgLists + `) then (select string_agg(quote_literal(btrim(btrim(e), '"')), ', ') ` +
		`from unnest(string_to_array(` + value + `, ',')) e) else quote_literal(` + value + `) end`
}

// settings are the statements that make what ALTER SYSTEM has set, and what ALTER DATABASE has when pg_dump does not tell (before 11).
func (c *postgres) settings(ctx context.Context) (script string, err error) {
	query := "select " + pgHex("format('ALTER SYSTEM SET %s = %s;', quote_ident(name), "+pgValue("name", "setting")+")") +
		` from pg_file_settings where sourcefile ~ '/postgresql\.auto\.conf$' order by seqno`
	system, err := c.rows(ctx, c.base, query, 1)
	if err != nil {
		return "", err
	}
	if len(system) > 0 {
		script = "ALTER SYSTEM RESET ALL;\n"
	}
	var rest [][]string
	if before(c.number, 11, 0) {
		rest, err = c.rows(ctx, c.base, "select "+pgHex("format('ALTER DATABASE %I SET %s TO %s;', datname, quote_ident(n), "+pgValue("n", "v")+")")+
			` from (select datname, split_part(e, '=', 1) n, substr(e, strpos(e, '=') + 1) v from pg_db_role_setting s
join pg_database d on d.oid = s.setdatabase, unnest(setconfig) e where setrole = 0 and datallowconn and not datistemplate) x order by 1`, 1)
		if err != nil {
			return "", err
		}
	}
	for _, row := range append(system, rest...) {
		line, err := unhex(row[0])
		if err != nil {
			return "", c.strange(err)
		}
		script += line + "\n"
	}
	return script, nil
}

// self is the user that works here.
func (c *postgres) self(ctx context.Context) (string, error) {
	rows, err := c.rows(ctx, c.base, "select "+pgHex("current_user::text"), 1)
	if err != nil || len(rows) != 1 {
		return "", errors.Join(err, c.strange(errors.New("no user")))
	}
	return unhex(strings.TrimSpace(rows[0][0]))
}
