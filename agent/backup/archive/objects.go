package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"dhow/bundle/durable"
)

// Object is a file of the archive that never changes: a pack ("packs/SHA256") or a record ("records/NAME.json"). A copy of all
// objects of a backup is a copy of the backup.
type Object struct {
	Name   string
	Size   int64
	SHA256 string // hex
}

// Objects returns the files that a backup needs, its record last. A backup of which something is known to be damaged has none.
func (a *Archive) Objects(name string) ([]Object, error) {
	list, err := a.objects(name)
	if err != nil {
		return nil, fmt.Errorf("cannot copy backup %s: %w", name, err)
	}
	return list, nil
}

func (a *Archive) objects(name string) ([]Object, error) {
	rec, r, end, err := a.reading(name)
	if err != nil {
		return nil, err
	}
	defer end()
	seen := map[uint32]bool{}
	var list []Object
	err = complete(context.Background(), r, rec, func(x ref) error {
		s, err := r.c.find(x.id)
		if err != nil || seen[s.pack] {
			return err
		}
		seen[s.pack] = true
		p := r.c.packs[s.pack]
		if r.c.states[s.pack] != good {
			return damaged("pack %s does not hold what was written", p.name)
		}
		list = append(list, Object{packsDir + "/" + p.name.String(), p.size, p.name.String()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	data, err := readSmall(a.recordPath(name), maxRecord)
	if err != nil {
		return nil, err
	}
	return append(list, Object{recordsDir + "/" + name + recordSuffix, int64(len(data)), digest(sha256.Sum256(data)).String()}), nil
}

// objectName takes an object's name apart: the name of a pack, or that of a backup.
func objectName(name string) (pack digest, backup string, err error) {
	dir, base := path.Split(name)
	switch dir {
	case packsDir + "/":
		pack, err = parseDigest(base)
	case recordsDir + "/":
		var ok bool
		if backup, ok = strings.CutSuffix(base, recordSuffix); !ok {
			err = fmt.Errorf("%q is no record", name)
		} else {
			err = checkName("backup", backup)
		}
	default:
		err = fmt.Errorf("%q is no part of a backup", name)
	}
	return pack, backup, err
}

// OpenObject opens an object. A pack that is not what was written gives ErrDamaged in place of its end.
func (a *Archive) OpenObject(name string) (io.ReadCloser, error) {
	pack, backup, err := objectName(name)
	if err != nil {
		return nil, err
	}
	where := a.path(packsDir, pack.String())
	if backup != "" {
		where = a.recordPath(backup)
	}
	f, err := os.Open(where)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("%s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	if backup != "" {
		return f, nil
	}
	return &checked{f, sha256.New(), pack}, nil
}

type checked struct {
	*os.File
	sum  hash.Hash
	want digest
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.sum.Write(p[:n])
	if err == io.EOF && digest(c.sum.Sum(nil)) != c.want {
		err = damaged("pack %s does not hold what was written", c.want)
	}
	return n, err
}

// PutObject puts a copy of an object back, after its size and SHA-256 are proven, on disk and read back. A record is taken only when
// all that it needs is there; then its backup is listed.
func (a *Archive) PutObject(ctx context.Context, o Object, r io.Reader) error {
	if err := a.putObject(ctx, o, r); err != nil {
		return fmt.Errorf("cannot take in %s: %w", o.Name, err)
	}
	return nil
}

func (a *Archive) putObject(ctx context.Context, o Object, r io.Reader) error {
	pack, backup, err := objectName(o.Name)
	if err != nil {
		return err
	}
	sum, err := parseDigest(o.SHA256)
	if err != nil {
		return err
	}
	r = &contextReader{ctx, r}
	if backup != "" {
		return a.takeRecord(ctx, backup, o.Size, sum, r)
	}
	if sum != pack {
		return errors.New("a pack of another name")
	}
	l, err := lock(a.path(lockName), true)
	if err != nil {
		return err
	}
	defer l.Close()
	return a.takePack(packInfo{pack, o.Size}, r)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

var errContent = errors.New("its content is not what its name says")

func (a *Archive) takePack(p packInfo, r io.Reader) (err error) {
	if p.size > maxPack {
		return errPack
	}
	if err := point("archive/object-write"); err != nil {
		return err
	}
	f, err := os.CreateTemp(a.path(packsDir), durable.TempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, p.size+1))
	if err != nil {
		return err
	}
	if n != p.size || digest(sum.Sum(nil)) != p.name {
		return errContent
	}
	if _, err := readContents(f, p.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := readBack(f, p); err != nil {
		return err
	}
	if err := point("archive/object-place"); err != nil {
		return err
	}
	return settle(f, a.dir, p.name)
}

func (a *Archive) takeRecord(ctx context.Context, name string, size int64, sum digest, r io.Reader) error {
	if size > maxRecord {
		return fmt.Errorf("a record of %d bytes", size)
	}
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if int64(len(data)) != size || digest(sha256.Sum256(data)) != sum {
		return errContent
	}
	rec, err := decodeRecord(name, data)
	if err != nil {
		return err
	}
	c, end, err := a.begin(true)
	if err != nil {
		return err
	}
	defer end()
	old, err := readSmall(a.recordPath(name), maxRecord)
	if err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err == nil {
		if _, err := decodeRecord(name, old); err == nil {
			return errors.New("there is another backup of that name")
		}
	}
	cr, err := newReader(c, framesOfLists)
	if err != nil {
		return err
	}
	defer cr.close()
	err = complete(ctx, cr, rec, func(x ref) error {
		_, err := c.find(x.id)
		return err
	})
	if err != nil {
		return err
	}
	return a.putRecord(name, data)
}
