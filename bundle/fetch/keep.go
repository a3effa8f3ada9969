package fetch

import (
	"context"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
)

// Bounds of what a Network keeps.
const (
	maxKeptDocument = 256 << 10
	maxKept         = 1 << 20
	// keepFor is how long a server is believed that nothing has changed: one whose ETags are broken hides news for a day at most.
	keepFor = 24 * time.Hour
)

// kept is the last whole answer to a question.
type kept struct {
	data []byte
	etag string    // empty: the server gave none that can be sent back
	deaf bool      // it has sent the same again although it was asked whether that had changed
	at   time.Time // of the answer; monotonic
}

// keeper keeps answers by their question, the oldest go first.
type keeper struct {
	answers map[string]*kept
	size    int
}

func (k *keeper) get(question string) *kept {
	if a := k.answers[question]; a != nil && time.Since(a.at) < keepFor {
		return a
	}
	return nil
}

func (k *keeper) put(question string, a *kept) {
	if old := k.answers[question]; old != nil {
		k.size -= len(old.data)
		delete(k.answers, question)
	}
	if a == nil || len(a.data) > maxKeptDocument {
		return
	}
	if k.answers == nil {
		k.answers = map[string]*kept{}
	}
	k.answers[question] = a
	for k.size += len(a.data); k.size > maxKept; {
		oldest := ""
		for q, x := range k.answers {
			if oldest == "" || x.at.Before(k.answers[oldest].at) {
				oldest = q
			}
		}
		k.size -= len(k.answers[oldest].data)
		delete(k.answers, oldest)
	}
}

// remember keeps an answer; nil forgets what was kept.
func (n *Network) remember(question string, a *kept) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept.put(question, a)
}

func (n *Network) recall(question string, limit int64) *kept {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.kept.get(question); a != nil && int64(len(a.data)) <= limit {
		return a
	}
	return nil
}

// whenChanged reads a document that was maybe read before: it crosses the line only when the server does not say that it is the same.
func (n *Network) whenChanged(ctx context.Context, g *getter, address string, header http.Header, limit int64) ([]byte, error) {
	old := n.recall(address, limit)
	if old != nil && old.etag != "" && !old.deaf {
		header = header.Clone()
		header.Set("If-None-Match", old.etag)
	}
	resp, data, err := g.ask(ctx, http.MethodGet, address, header, nil, limit)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotModified:
		if header.Get("If-None-Match") == "" {
			return nil, errNotAsked
		}
		return old.data, nil
	}
	now := &kept{data: data, etag: sendable(resp.Header.Get("ETag")), at: time.Now()}
	now.deaf = header.Get("If-None-Match") != "" && string(data) == string(old.data)
	n.remember(address, now)
	return data, nil
}

// unchangedTag reports whether a registry that has no ETags, or does not heed them, still names the same manifest under a tag.
func (n *Network) unchangedTag(ctx context.Context, g *getter, address string, header http.Header, limit int64) ([]byte, bool) {
	old := n.recall(address, limit)
	if old == nil || old.etag != "" && !old.deaf {
		return nil, false
	}
	resp, err := g.head(ctx, address, header)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, false // the whole question will tell why
	}
	return old.data, resp.Header.Get("Docker-Content-Digest") == digest.FromBytes(old.data).String()
}

// sendable returns an ETag that may stand in a request, or "".
func sendable(etag string) string {
	if len(etag) > 200 {
		return ""
	}
	for _, c := range []byte(etag) {
		if c < 0x20 || c > 0x7e {
			return ""
		}
	}
	return etag
}
