package database

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Prove compares a server with a dump: every table that the dump's databases have there, or should have, by its number of rows and
// the sum of its rows. ErrDiffers comes with the first table that is not the same.
func Prove(ctx context.Context, exec Exec, s Server, d Dump) error {
	fail := func(err error) error { return fmt.Errorf("cannot prove database %s: %w", d.Service, err) }
	if d.Rows == nil || d.Sums == nil {
		return fail(fmt.Errorf("%w: its record has no counts and sums", ErrDamaged))
	}
	s.Databases = d.Databases
	c, err := open(ctx, exec, s)
	if err != nil {
		return fail(err)
	}
	rows, sums, err := c.tally(ctx)
	if err != nil {
		return fail(err)
	}
	for _, table := range slices.Sorted(maps.Keys(d.Rows)) {
		n, found := rows[table]
		switch {
		case !found:
			return fail(fmt.Errorf("%w: table %s is missing", ErrDiffers, table))
		case n != d.Rows[table]:
			return fail(fmt.Errorf("%w: table %s has %d rows, not %d", ErrDiffers, table, n, d.Rows[table]))
		}
	}
	for _, table := range slices.Sorted(maps.Keys(d.Sums)) {
		if sums[table] != d.Sums[table] {
			return fail(fmt.Errorf("%w: the content of %s is another one", ErrDiffers, table))
		}
	}
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		if _, found := d.Rows[table]; !found {
			return fail(fmt.Errorf("%w: table %s is not in the dump", ErrDiffers, table))
		}
	}
	return nil
}

// Fingerprint is the SHA-256 (hex) of a listing of the schema: tables, columns, indexes, constraints, views, routines, triggers and
// what else has a definition, in all of s.Databases. It does not depend on the order in which they were made, nor on data.
func Fingerprint(ctx context.Context, exec Exec, s Server) (string, error) {
	c, err := open(ctx, exec, s)
	if err != nil {
		return "", fmt.Errorf("cannot read the schema: %w", err)
	}
	lines, err := c.schema(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot read the schema: %w", err)
	}
	slices.Sort(lines)
	sum := sha256.New()
	for _, line := range lines {
		_, _ = io.WriteString(sum, line+"\n")
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Ping reports whether the server answers and takes the password: ErrNoPassword, ErrPassword, ErrNotAnswering, ErrNoClient, or
// another error.
func Ping(ctx context.Context, exec Exec, s Server) error {
	s.Databases = nil // they need not be there yet
	c, err := open(ctx, exec, s)
	if err != nil {
		return err
	}
	return c.ping(ctx)
}

// Version is the version of the server in numbers, for example 10.11.6 or 15.8.
func Version(ctx context.Context, exec Exec, s Server) (string, error) {
	s.Databases = nil
	c, err := open(ctx, exec, s)
	if err != nil {
		return "", fmt.Errorf("cannot ask for the version: %w", err)
	}
	version, err := c.version(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot ask for the version: %w", err)
	}
	return version, nil
}

// Rows counts the rows of every table of s.Databases (or of all but the system's): exactly, which takes as long as it takes.
// Keys are "database.table" or "database.schema.table".
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

// Query runs one query and returns the first field of its first row, "NULL" for a null. With exactly one database in s it is
// the default one; otherwise PostgreSQL's is what POSTGRES_DB says in the container.
func Query(ctx context.Context, exec Exec, s Server, query string) (string, error) {
	if len(query) > maxScript {
		return "", fmt.Errorf("cannot query service %s: the query is longer than %d bytes", s.Service, maxScript)
	}
	c, err := open(ctx, exec, s)
	if err != nil {
		return "", fmt.Errorf("cannot query: %w", err)
	}
	answer, err := c.query(ctx, query)
	if err != nil {
		return "", fmt.Errorf("cannot query: %w", err)
	}
	return answer, nil
}
