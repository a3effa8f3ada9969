package database

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxScript bounds the SQL of one call: a single argument of a program may have 128 KiB.
const maxScript = 64 << 10

func (c *session) ping(ctx context.Context) error {
	_, err := c.rows(ctx, "select 1", 1)
	return err
}

func (c *session) version(ctx context.Context) (string, error) {
	rows, err := c.rows(ctx, "select version()", 1)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", c.strange(errors.New("no version"))
	}
	c.mariadb = strings.Contains(rows[0][0], "MariaDB")
	version, _, _ := strings.Cut(strings.TrimPrefix(rows[0][0], "5.5.5-"), "-")
	return version, nil
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

func (c *session) query(ctx context.Context, query string) (string, error) {
	out, err := c.sql(ctx, query, 1<<20)
	if err != nil {
		return "", err
	}
	line, _, ok := strings.Cut(out, "\n")
	if !ok {
		return "", fmt.Errorf("service %s: the query has no result", c.server.Service)
	}
	field, _, _ := strings.Cut(line, "\t")
	return unescape(field), nil
}

// unescape takes back what the client's batch mode does to a field.
func unescape(field string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(field)
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

// databases returns what is to be dumped and about how many bytes that is.
func (c *session) databases(ctx context.Context) (names []string, size int64, err error) {
	rows, err := c.rows(ctx, `select hex(s.schema_name), coalesce(sum(t.data_length), 0) from information_schema.schemata s
left join information_schema.tables t on t.table_schema = s.schema_name where `+userSchemas("s.schema_name")+` group by s.schema_name`, 2)
	if err != nil {
		return nil, 0, err
	}
	return choose(c.server, rows, c.strange)
}

// choose takes from rows with a name in hex and a size those that s asks for.
func choose(s Server, rows [][]string, strange func(error) error) (names []string, size int64, err error) {
	for _, row := range rows {
		name, err := unhex(row[0])
		if err != nil {
			return nil, 0, strange(err)
		}
		if len(s.Databases) > 0 && !slices.Contains(s.Databases, name) {
			continue
		}
		n, err := number(row[1])
		if err != nil {
			return nil, 0, strange(err)
		}
		names, size = append(names, name), size+n
	}
	for _, want := range s.Databases {
		if !slices.Contains(names, want) {
			return nil, 0, fmt.Errorf("service %s: it holds no database %s", s.Service, want)
		}
	}
	slices.Sort(names)
	return names, size, nil
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
