package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// maxGlobals bounds what is read of roles and settings.
const maxGlobals = 64 << 20

func (c *postgres) load(ctx context.Context, r *reader, d Dump) error {
	c.base = "template1" // the only one that is never dropped
	self, err := c.self(ctx)
	if err != nil {
		return err
	}
	globals, err := small(r, "globals")
	if err != nil {
		return err
	}
	first, last := roles(globals, self)
	settings, err := small(r, "settings")
	if err != nil {
		return err
	}
	if err := c.script(ctx, first, "--single-transaction"); err != nil {
		return err
	}
	for _, name := range d.Databases {
		if err := c.loadDatabase(ctx, r, name); err != nil {
			return err
		}
	}
	if err := c.script(ctx, last, "--single-transaction"); err != nil {
		return err
	}
	if settings == "" {
		return nil
	}
	return c.script(ctx, settings+"select pg_reload_conf();\n")
}

func (c *postgres) loadDatabase(ctx context.Context, r *reader, name string) error {
	p, err := r.next("data")
	if err != nil {
		return err
	}
	err = c.script(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where datname = "+pgText(name)+" and pid <> pg_backend_pid();\n"+
		"drop database if exists "+pgName(name)+";\n")
	if err != nil {
		return err
	}
	err = c.run(ctx, c.base, p, io.Discard, "pg_restore", "--create", "--exit-on-error", "--no-tablespaces", "--no-password",
		"--dbname="+c.base)
	if p.err != nil { // the dump broke off, whatever the client says then
		return p.err
	}
	return errors.Join(err, p.ended())
}

func (c *postgres) script(ctx context.Context, script string, more ...string) error {
	return c.run(ctx, c.base, strings.NewReader(script), io.Discard, "psql", psqlArgs(more...)...)
}

// small reads a part that fits into memory.
func small(r *reader, name string) (string, error) {
	p, err := r.next(name)
	if err != nil {
		return "", err
	}
	if p.left > maxGlobals {
		return "", fmt.Errorf("%w: part %s is larger than %d bytes", ErrDamaged, name, maxGlobals)
	}
	data, err := io.ReadAll(p)
	return string(data), err
}

var (
	createRole   = regexp.MustCompile(`^CREATE ROLE (.+);$`)
	alterRole    = regexp.MustCompile(`^ALTER ROLE ("(?:[^"]|"")+"|[^ "]+) (.*)$`)
	rolePassword = regexp.MustCompile(` PASSWORD '(?:[^']|'')*'`)
)

// roles makes a script of pg_dumpall fit for a server that has some of the roles already: those lose their settings and get those of
// the dump. The password of self stays. What belongs to a role in one database comes last, when the database is there.
func roles(globals, self string) (first, last string) {
	var early, late strings.Builder
	for line := range strings.Lines(globals) {
		line = strings.TrimSuffix(line, "\n")
		if found := createRole.FindStringSubmatch(line); found != nil {
			fmt.Fprintf(&early, "DO $dhow$ BEGIN %s EXCEPTION WHEN duplicate_object THEN NULL; END $dhow$;\nALTER ROLE %s RESET ALL;\n",
				line, found[1])
			continue
		}
		to := &early
		if found := alterRole.FindStringSubmatch(line); found != nil {
			name := found[1]
			if strings.HasPrefix(name, `"`) {
				name = strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
			}
			if name == self {
				line = rolePassword.ReplaceAllString(line, "")
			}
			if strings.HasPrefix(found[2], "IN DATABASE ") {
				to = &late
			}
		}
		to.WriteString(line + "\n")
	}
	return early.String(), late.String()
}
