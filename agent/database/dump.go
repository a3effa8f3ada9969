package database

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// dumpEnd stands at the end of every dump that its program finished.
const dumpEnd = "-- Dump completed"

// DumpServer writes all of s.Databases (or all but the system's) as a zstd-compressed SQL script to path, a file name that ends
// in .sql.zst. The file is put there only when the dump is whole: exit code 0, every byte received, not empty, and the closing
// line at its end. Progress is in bytes of SQL, the total an estimate of the server's, 0 when it has none. Accounts and grants
// are not in it.
func DumpServer(ctx context.Context, exec Exec, s Server, path string, p Progress) (Dump, error) {
	d, err := dumpServer(ctx, exec, s, path, p)
	if err != nil {
		return Dump{}, fmt.Errorf("cannot dump database: %w", err)
	}
	return d, nil
}

func dumpServer(ctx context.Context, exec Exec, s Server, path string, p Progress) (Dump, error) {
	if err := checkName(filepath.Base(path)); err != nil {
		return Dump{}, err
	}
	c, err := open(ctx, exec, s)
	if err != nil {
		return Dump{}, err
	}
	names, size, err := c.databases(ctx)
	if err != nil {
		return Dump{}, err
	}
	if len(names) == 0 {
		return Dump{}, fmt.Errorf("service %s: %w", s.Service, ErrNoDatabases)
	}
	sum := sha256.New()
	file := &counter{}
	err = durable.Write(path, 0o600, func(w io.Writer) error {
		file.w = io.MultiWriter(w, sum)
		z, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		sql := &script{w: z, meter: meter{tell: p, total: size}}
		err = c.run(ctx, sql, c.dump, append(dumpArgs(), names...)...)
		if sql.err != nil { // a full disk here is the reason for whatever the other side says
			err = sql.err
		}
		if err := errors.Join(err, ctx.Err(), fault.Point("backup/dump")); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		return sql.whole(s.Service)
	})
	if err != nil {
		return Dump{}, err
	}
	return Dump{
		Service: s.Service, Engine: s.Engine, File: filepath.Base(path), Bytes: file.n,
		SHA256: hex.EncodeToString(sum.Sum(nil)), Databases: names,
	}, nil
}

// dumpArgs are the options before the names of the databases. "loose-" makes a program that does not know an option warn only.
func dumpArgs() []string {
	return []string{
		"--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--tz-utc", "--no-tablespaces",
		"--default-character-set=utf8mb4", "--max-allowed-packet=1G", "--comments", "--loose-set-gtid-purged=OFF", "--databases", "--",
	}
}

// databases returns what is to be dumped and about how many bytes that is.
func (c *session) databases(ctx context.Context) (names []string, size int64, err error) {
	rows, err := c.rows(ctx, `select hex(s.schema_name), coalesce(sum(t.data_length), 0) from information_schema.schemata s
left join information_schema.tables t on t.table_schema = s.schema_name where `+userSchemas("s.schema_name")+` group by s.schema_name`, 2)
	if err != nil {
		return nil, 0, err
	}
	for _, row := range rows {
		name, err := unhex(row[0])
		if err != nil {
			return nil, 0, c.strange(err)
		}
		if len(c.server.Databases) > 0 && !slices.Contains(c.server.Databases, name) {
			continue
		}
		n, err := number(row[1])
		if err != nil {
			return nil, 0, c.strange(err)
		}
		names, size = append(names, name), size+n
	}
	for _, want := range c.server.Databases {
		if !slices.Contains(names, want) {
			return nil, 0, fmt.Errorf("service %s: it holds no database %s", c.server.Service, want)
		}
	}
	slices.Sort(names)
	return names, size, nil
}

// script takes the text of a dump on its way and remembers how it ends.
type script struct {
	meter
	w    io.Writer
	n    int64
	tail []byte
	err  error
}

func (s *script) Write(p []byte) (int, error) {
	if _, err := s.w.Write(p); err != nil {
		s.err = err
		return 0, err
	}
	s.n += int64(len(p))
	s.add(int64(len(p)))
	s.tail = append(s.tail, p[max(0, len(p)-256):]...)
	s.tail = append([]byte(nil), s.tail[max(0, len(s.tail)-256):]...)
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

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
