package database

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// FileName is a good name for a compressed dump of s: an SQL script of MariaDB or MySQL may be read by anybody.
func FileName(s Server) string {
	if s.Engine == "postgresql" {
		return s.Service + ".pgdump.zst"
	}
	return s.Service + ".sql.zst"
}

// DumpServer writes a dump of s.Databases (or all but the system's) to path, compressed with zstd. The file is put there only when
// the dump is whole: exit code 0, every byte received, not empty, and the closing line at its end. Progress is in bytes before they
// are compressed, the total an estimate of the server's.
func DumpServer(ctx context.Context, exec Exec, s Server, path string, p Progress) (Dump, error) {
	d := Dump{File: filepath.Base(path)}
	err := checkName(d.File)
	if err == nil {
		err = durable.Write(path, 0o600, func(w io.Writer) error {
			sum := sha256.New()
			file := &counter{w: io.MultiWriter(w, sum)}
			z, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
			if err != nil {
				return err
			}
			if err := dump(ctx, exec, s, z, p, &d); err != nil {
				return err
			}
			if err := z.Close(); err != nil {
				return err
			}
			d.Bytes, d.SHA256 = file.n, hex.EncodeToString(sum.Sum(nil))
			return nil
		})
	}
	if err != nil {
		return Dump{}, fmt.Errorf("cannot dump database: %w", err)
	}
	return d, nil
}

// WriteDump writes a dump of s.Databases (or all but the system's) to w, as a plain stream. It is whole only when there is no error.
func WriteDump(ctx context.Context, exec Exec, s Server, w io.Writer, p Progress) (Dump, error) {
	var d Dump
	sum := sha256.New()
	out := &counter{w: io.MultiWriter(w, sum)}
	if err := dump(ctx, exec, s, out, p, &d); err != nil {
		return Dump{}, fmt.Errorf("cannot dump database: %w", err)
	}
	d.Bytes, d.SHA256 = out.n, hex.EncodeToString(sum.Sum(nil))
	return d, nil
}

func dump(ctx context.Context, exec Exec, s Server, w io.Writer, p Progress, d *Dump) error {
	c, err := open(ctx, exec, s)
	if err != nil {
		return err
	}
	d.Service, d.Engine = s.Service, s.Engine
	if d.Version, err = c.version(ctx); err != nil {
		return err
	}
	out := &parts{w: w, tell: p}
	err = c.dump(ctx, out, d, p)
	if out.err != nil { // a full disk here is the reason for whatever the other side says
		err = out.err
	}
	d.Parts = out.list
	return errors.Join(err, ctx.Err(), fault.Point("database/dump"))
}

// Load puts a dump into a running server, which must be no newer or older than the one that made it if it is to be proven. The
// databases of the dump are dropped and made again; accounts and roles of the dump, their privileges and the settings that the server
// keeps come back; other databases and accounts stay. It ends with the first error, and then the databases are in no state to be used.
func Load(ctx context.Context, exec Exec, s Server, r io.Reader, d Dump, p Progress) error {
	fail := func(err error) error { return fmt.Errorf("cannot load the dump of database %s: %w", d.Service, err) }
	if d.Engine != s.Engine {
		return fail(fmt.Errorf("%w: it comes from %s, the server is %s", ErrDamaged, d.Engine, s.Engine))
	}
	s.Databases = nil // they need not be there
	c, err := open(ctx, exec, s)
	if err != nil {
		return fail(err)
	}
	in := &reader{r: r, tell: p, total: d.Size(), list: d.Parts}
	if err := c.load(ctx, in, d); err != nil {
		return fail(err)
	}
	if err := errors.Join(in.end(), fault.Point("database/load")); err != nil {
		return fail(err)
	}
	return nil
}
