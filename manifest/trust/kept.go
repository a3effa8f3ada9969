package trust

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
)

// Folders of the trust folder in which verified documents are kept, each under its version and digest.
const (
	releasesDir = "releases"
	waysDir     = "ways"
	agentDir    = "agent"
)

// documentFile is the name under which the document of a version is kept.
func documentFile(version string, info *metadata.TargetFiles) string {
	return version + "." + hex.EncodeToString(info.Hashes["sha256"]) + ".json"
}

// readKept returns a document that was kept. The caller holds mu.
func (c *Client) readKept(dir, name string, limit int64) ([]byte, error) {
	if c.dir == "" {
		if data, ok := c.kept[dir+"/"+name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}
	return readFile(filepath.Join(c.dir, dir, name), limit)
}

// keepDocument puts a document into the folder. The caller holds work, and not mu.
func (c *Client) keepDocument(dir, name string, data []byte) error {
	if c.dir == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.kept[dir+"/"+name] = data
		return nil
	}
	if err := c.clean(); err != nil {
		return err
	}
	path := filepath.Join(c.dir, dir)
	if err := durable.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	if err := durable.WriteFile(filepath.Join(path, name), data, 0o600); err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	return nil
}

// dropDocument removes a document that was kept. The caller holds work, and not mu.
func (c *Client) dropDocument(dir, name string) error {
	if c.dir == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.kept, dir+"/"+name)
		return nil
	}
	if err := os.Remove(filepath.Join(c.dir, dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove what is no longer needed: %w", err)
	}
	return nil
}

// keptFiles lists the documents in a folder. The caller holds mu.
func (c *Client) keptFiles(dir string) (all []string, err error) {
	if c.dir == "" {
		for name := range c.kept {
			if name, ok := strings.CutPrefix(name, dir+"/"); ok {
				all = append(all, name)
			}
		}
		return all, nil
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the documents that are kept: %w", err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, nil
}
