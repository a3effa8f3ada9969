package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// claimFile is locked while somebody publishes into a folder. Its text says who.
const claimFile = ".dhow-publish"

// dirClaim holds the lock of a folder.
type dirClaim struct {
	dir    string
	file   *os.File
	before []byte // timestamp.json when the claim began; nil: none
	made   bool   // the folder was not there before
}

func claimDir(dir string, who Publisher) (*dirClaim, error) {
	_, err := os.Stat(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, claimFile)
	f, err := lockFile(path)
	if errors.Is(err, ErrClaimed) {
		if text, errRead := os.ReadFile(path); errRead == nil && len(text) > 0 && len(text) < 1000 {
			err = fmt.Errorf("%w: %s", ErrClaimed, strings.TrimSpace(string(text)))
		}
	}
	if err != nil {
		return nil, err
	}
	c := &dirClaim{dir: dir, file: f, made: made}
	if c.before, err = c.stamp(); err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%s, since %s\n", who.By, time.Now().Format(time.DateTime))
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (c *dirClaim) stamp() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(bundle.TimestampPath)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// publish looks once more before the timestamp is put: not every file system keeps locks between computers.
func (c *dirClaim) publish(ctx context.Context, contents Contents, _ func(done, total int64)) error {
	p, err := newPlan(contents, false)
	if err != nil {
		return err
	}
	_, err = writeDir(ctx, c.dir, contents.Store, p, func() error {
		now, err := c.stamp()
		if err != nil {
			return err
		}
		if !bytes.Equal(now, c.before) {
			return ErrOvertaken
		}
		return nil
	})
	if err == nil {
		c.before = contents.Documents[bundle.TimestampPath]
	}
	return err
}

func (c *dirClaim) has(_ context.Context, b manifest.Blob) (bool, error) {
	info, err := os.Stat(filepath.Join(c.dir, filepath.FromSlash(bundle.BlobPath(b.Digest))))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular() && info.Size() == b.Size, err
}

// end leaves nothing behind: not the lock, nor a folder into which nothing was published.
func (c *dirClaim) end() {
	unlockFile(c.file)
	if c.made {
		_ = os.Remove(c.dir) // fails when there is something in it
	}
}
