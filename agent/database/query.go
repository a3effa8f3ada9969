package database

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// maxScript bounds the SQL of one call: a single argument of a program may have 128 KiB.
const maxScript = 64 << 10

// Ping reports whether the server answers and takes the password: ErrNoPassword, ErrPassword, ErrNotAnswering, ErrNoClient, or
// another error.
func Ping(ctx context.Context, exec Exec, s Server) error {
	s.Databases = nil // it need not be there yet
	c, err := open(ctx, exec, s)
	if err != nil {
		return err
	}
	_, err = c.rows(ctx, "select 1", 1)
	return err
}

// Rows counts the rows of every table of s.Databases (or of all but the system's): exactly, which takes as long as it takes.
// Keys are "database.table".
func Rows(ctx context.Context, exec Exec, s Server) (map[string]int64, error) {
	c, err := open(ctx, exec, s)
	if err != nil {
		return nil, fmt.Errorf("cannot count rows: %w", err)
	}
	counts, err := c.counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot count rows: %w", err)
	}
	return counts, nil
}

func (c *session) counts(ctx context.Context) (map[string]int64, error) {
	names, _, err := c.databases(ctx)
	if err != nil {
		return nil, err
	}
	dumped := map[string]bool{}
	for _, name := range names {
		dumped[name] = true
	}
	tables, err := c.rows(ctx, `select hex(table_schema), hex(table_name) from information_schema.tables where `+
		userSchemas("table_schema")+` and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by 1, 2`, 2)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(tables))
	var keys []string
	var script strings.Builder
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		rows, err := c.rows(ctx, script.String(), 1)
		if err != nil {
			return err
		}
		if len(rows) != len(keys) {
			return c.strange(fmt.Errorf("%d counts for %d tables", len(rows), len(keys)))
		}
		for i, row := range rows {
			if counts[keys[i]], err = number(row[0]); err != nil {
				return c.strange(err)
			}
		}
		keys = keys[:0]
		script.Reset()
		return nil
	}
	for _, t := range tables {
		db, err := unhex(t[0])
		if err != nil {
			return nil, c.strange(err)
		}
		table, err := unhex(t[1])
		if err != nil {
			return nil, c.strange(err)
		}
		if !dumped[db] {
			continue
		}
		fmt.Fprintf(&script, "select count(*) from %s.%s;\n", identifier(db), identifier(table))
		keys = append(keys, db+"."+table)
		if script.Len() > maxScript-2048 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return counts, flush()
}

// Query runs one query and returns the first field of its first row, "NULL" for a null. With exactly one database in s it is
// the default one.
func Query(ctx context.Context, exec Exec, s Server, query string) (string, error) {
	if len(query) > maxScript {
		return "", fmt.Errorf("cannot query service %s: the query is longer than %d bytes", s.Service, maxScript)
	}
	c, err := open(ctx, exec, s)
	if err != nil {
		return "", fmt.Errorf("cannot query: %w", err)
	}
	out, err := c.sql(ctx, query, 1<<20)
	if err != nil {
		return "", fmt.Errorf("cannot query: %w", err)
	}
	line, _, ok := strings.Cut(out, "\n")
	if !ok {
		return "", fmt.Errorf("cannot query: service %s: the query has no result", s.Service)
	}
	field, _, _ := strings.Cut(line, "\t")
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(field), nil
}

// rows runs a script whose answers have n fields each without tabs and line ends.
func (c *session) rows(ctx context.Context, script string, n int) ([][]string, error) {
	plain := *c
	plain.server.Databases = nil
	out, err := plain.sql(ctx, script, maxAnswer)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) != n {
			return nil, c.strange(fmt.Errorf("a row with %d fields", len(row)))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *session) strange(err error) error {
	return fmt.Errorf("service %s: strange answer from the database client: %w", c.server.Service, err)
}

func userSchemas(column string) string {
	return "lower(" + column + ") not in ('information_schema', 'performance_schema', 'mysql', 'sys')"
}

func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func unhex(s string) (string, error) {
	b, err := hex.DecodeString(s)
	return string(b), err
}

func number(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
