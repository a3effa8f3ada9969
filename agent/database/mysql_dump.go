package database

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// dumpEnd stands at the end of every dump that its program finished.
const dumpEnd = "-- Dump completed"

func (c *session) dump(ctx context.Context, w *parts, d *Dump, _ Progress) error {
	names, size, err := c.databases(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("service %s: %w", c.server.Service, ErrNoDatabases)
	}
	d.Databases, w.total = names, size
	before, after, err := c.accounts(ctx)
	if err != nil {
		return err
	}
	w.begin("accounts")
	if _, err := io.WriteString(w, before); err != nil {
		return err
	}
	w.begin("data")
	t := newTally()
	if err := c.data(ctx, io.MultiWriter(w, t), names); err != nil {
		return err
	}
	d.Rows, d.Sums = t.rows, t.hashes()
	w.begin("grants")
	_, err = io.WriteString(w, after)
	return err
}

// tally makes the dump again for its counts.
func (c *session) tally(ctx context.Context) (map[string]int64, map[string]string, error) {
	names, _, err := c.databases(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := newTally()
	if err := c.data(ctx, t, names); err != nil {
		return nil, nil, err
	}
	return t.rows, t.hashes(), nil
}

// data writes the dump of databases.
func (c *session) data(ctx context.Context, w io.Writer, names []string) error {
	sql := &script{w: w}
	if err := c.run(ctx, sql, c.dumper, append(dumpArgs(), names...)...); err != nil {
		return err
	}
	return sql.whole(c.server.Service)
}

// dumpArgs are the options before the names of the databases. "loose-" makes a program that does not know an option warn only.
func dumpArgs() []string {
	return []string{
		"--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--tz-utc", "--no-tablespaces",
		"--default-character-set=utf8mb4", "--max-allowed-packet=1G", "--comments", "--skip-dump-date", "--loose-set-gtid-purged=OFF",
		"--databases", "--",
	}
}

// script takes the text of a dump on its way and remembers how it ends.
type script struct {
	w    io.Writer
	n    int64
	tail []byte
}

func (s *script) Write(p []byte) (int, error) {
	if _, err := s.w.Write(p); err != nil {
		return 0, err
	}
	s.n += int64(len(p))
	s.tail = append(s.tail, p[max(0, len(p)-256):]...)
	s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-256):]...)
	return len(p), nil
}

func (s *script) whole(service string) error {
	if s.n == 0 {
		return fmt.Errorf("service %s: the dump is empty", service)
	}
	if !bytes.Contains(s.tail, []byte(dumpEnd)) {
		return fmt.Errorf("service %s: the dump is cut short: it does not end with %q", service, dumpEnd)
	}
	return nil
}

// loadScript starts "$@" with an option file at descriptor 4 and the rest of its own input as input. The option file comes first and
// ends with an empty line; "read" takes no byte more.
const loadScript = `o=
while IFS= read -r line && [ -n "$line" ]; do o="$o$line
"; done
exec 3<&0
printf %s "$o" | { exec "$@" 4<&0 0<&3 3<&-; }
`

func (c *session) load(ctx context.Context, r *reader, d Dump) error {
	var drop strings.Builder
	for _, name := range d.Databases {
		fmt.Fprintf(&drop, "DROP DATABASE IF EXISTS %s;\n", identifier(name))
	}
	in := []io.Reader{strings.NewReader(c.options + "\n" + drop.String())}
	var all []*part
	for _, name := range []string{"accounts", "data", "grants"} {
		p, err := r.next(name)
		if err != nil {
			return err
		}
		in, all = append(in, p), append(all, p)
	}
	cmd := []string{
		"sh", "-c", loadScript, "sh", c.client, "--defaults-extra-file=/dev/fd/4", "--batch", "--binary-mode", "--no-auto-rehash",
		"--connect-timeout=20", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
	}
	exit, stderr, err := c.exec(ctx, c.server.Container, cmd, io.MultiReader(in...), &limited{})
	for _, p := range all {
		if p.err != nil { // the dump broke off, whatever the client says then
			return p.err
		}
	}
	if err := c.judge(exit, quotedValues.ReplaceAllString(stderr, "$1 …"), err); err != nil {
		return err
	}
	for _, p := range all {
		if err := p.ended(); err != nil {
			return err
		}
	}
	return nil
}

// quotedValues finds pieces of data in the messages of a client.
var quotedValues = regexp.MustCompile(`(?i)\b(entry|value:?|near|string:?|row) '(?s:.*?)'(?: for|$| at| in|\n)`)
