package deltas

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// note is what a layer has come to: which file that was, whether or not it was worth to be kept, or why there can't be one. Its file is named after the digest of its key,
// "full 1 DIFFID" or "delta 1 DIFFID BASE"; the number counts ways of making.
type note struct {
	Key    string        `json:"key"`
	Digest digest.Digest `json:"digest,omitempty"`
	Size   int64         `json:"size,omitempty"`
	Spool  int64         `json:"spool,omitempty"`
	Failed string        `json:"failed,omitempty"` // then there is nothing else
}

// maxNote bounds the file of a note, in bytes.
const maxNote = 4096

func (n note) blob() manifest.Blob { return manifest.Blob{Digest: n.Digest, Size: n.Size} }

func (m *maker) notePath(key string) string {
	return filepath.Join(m.dir, digest.FromString(key).Encoded()+".json")
}

// noted returns what is known of a key. A note that can't be read is no note.
func (m *maker) noted(key string) (n note, ok bool) {
	path := m.notePath(key)
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxNote {
		return n, false
	}
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &n) != nil {
		return note{}, false
	}
	if n.Key == key && n.Failed != "" {
		return note{Key: key, Failed: n.Failed}, true
	}
	return n, n.Key == key && n.Size > 0 && n.Spool >= 0 && bundle.IsDigest(n.Digest)
}

func (m *maker) note(key string, n note) error {
	n.Key = key
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	if err := durable.WriteFile(m.notePath(key), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot note what was made: %w", err)
	}
	return nil
}
