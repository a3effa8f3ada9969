package pack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

// Times of a claim in a registry.
const (
	claimLife  = 5 * time.Minute // a claim whose owner died ends by itself
	claimRenew = time.Minute
	endWait    = 10 * time.Second
	settle     = time.Second
)

// claimDocument is the content of the tag "publishing", in the annotations of an artifact without layers.
type claimDocument struct {
	By    string
	ID    string    // of Publisher
	Nonce string    // of this publication; empty: nobody publishes
	Until time.Time // by the clock of its owner
}

// ociClaim is a claim in a registry, which can neither lock nor compare and swap. It is made in the way of Fischer: see that nobody
// else has claimed, put the own claim, wait longer than such a put takes, and see whether it still stands. Right before the tag
// "manifest" is put, the claim must still stand and the tag must still be what it was when the claim began, and after it both are read back.
//
// What remains: a request that a network holds back for longer than the other publisher waits (a second at least, and four times as long
// as her own requests took), and that arrives between her last look and her put. Then the later put wins, and the other is told
// only when it arrives before she has read back. Sites see one whole manifest or the other even then, never a mixture, since everything but that one tag
// is found by its digest; and a site that has seen a higher number refuses a lower one.
type ociClaim struct {
	tags   *tags
	ref    string
	doc    claimDocument
	before digest.Digest // of the tag "manifest" when the claim began; "": there was none

	mu   sync.Mutex
	lost error // why the claim no longer stands
	stop context.CancelFunc
	done chan struct{}
}

func claimOCI(ctx context.Context, ref string, who Publisher) (*ociClaim, error) {
	t, err := newTags(ctx, ref)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	there, err := readClaim(ctx, t)
	if err != nil {
		return nil, err
	}
	if there.Nonce != "" && there.ID != who.ID && time.Now().Before(there.Until) && !who.TakeOver {
		return nil, fmt.Errorf("%w: %s, who may go on until %s", ErrClaimed, there.By, there.Until.Local().Format(time.TimeOnly))
	}
	c := &ociClaim{tags: t, ref: ref, doc: claimDocument{By: who.By, ID: who.ID, Nonce: rand.Text()}}
	if err := c.put(ctx); err != nil {
		return nil, err
	}
	pause := who.Settle
	if pause == 0 {
		pause = settle
	}
	if err := wait(ctx, max(pause, 4*time.Since(begin))); err != nil {
		c.release()
		return nil, err
	}
	if err := c.stands(ctx); err != nil {
		return nil, err
	}
	if _, c.before, err = t.get(ctx, bundle.ManifestTag); err != nil {
		c.release()
		return nil, err
	}
	c.keep(ctx)
	return c, nil
}

// keep renews the claim until end, so that a publication may take hours.
func (c *ociClaim) keep(ctx context.Context) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		for wait(ctx, claimRenew) == nil {
			err := c.stands(ctx)
			if err == nil {
				err = c.put(ctx)
			}
			if errors.Is(err, ErrClaimed) {
				c.mu.Lock()
				c.lost = err
				c.mu.Unlock()
				return
			}
		}
	}()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stands fails with ErrClaimed when the claim is another's by now.
func (c *ociClaim) stands(ctx context.Context) error {
	there, err := readClaim(ctx, c.tags)
	if err != nil {
		return err
	}
	if there.Nonce != c.doc.Nonce {
		by := there.By
		if there.Nonce == "" {
			by += ", and is done"
		}
		return fmt.Errorf("%w: %s", ErrClaimed, by)
	}
	return nil
}

func (c *ociClaim) put(ctx context.Context) error {
	c.doc.Until = time.Now().Add(claimLife).UTC().Truncate(time.Second)
	return c.tags.putClaim(ctx, c.doc)
}

func (c *ociClaim) publish(ctx context.Context, contents Contents, progress func(done, total int64)) error {
	return publishOCI(ctx, c.ref, contents, progress, func(next heads) error {
		c.mu.Lock()
		lost := c.lost
		c.mu.Unlock()
		if lost != nil {
			return lost
		}
		if err := c.stands(ctx); err != nil {
			return err
		}
		return c.tags.swap(ctx, &c.before, next)
	})
}

func (c *ociClaim) has(ctx context.Context, b manifest.Blob) (bool, error) { return c.tags.has(ctx, b) }

// end takes the claim back. When that fails it ends by itself.
func (c *ociClaim) end() {
	c.stop()
	<-c.done
	c.release()
}

func (c *ociClaim) release() {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	if c.stands(ctx) != nil {
		return
	}
	_ = c.tags.putClaim(ctx, claimDocument{By: c.doc.By})
}

// Annotations of a claim.
const (
	claimBy    = "dhow.publisher"
	claimID    = "dhow.publisher.id"
	claimNonce = "dhow.nonce"
	claimUntil = "dhow.until"
)

func (t *tags) putClaim(ctx context.Context, d claimDocument) error {
	m, err := artifact(bundle.ClaimArtifactType, nil, map[string]string{
		claimBy: d.By, claimID: d.ID, claimNonce: d.Nonce, claimUntil: d.Until.Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	if err := t.putEmpty(ctx); err != nil {
		return err
	}
	return t.put(ctx, bundle.ClaimTag, m)
}

// readClaim returns the claim of a repository; its zero value when there is none, or one that can't be read.
func readClaim(ctx context.Context, t *tags) (claimDocument, error) {
	data, _, err := t.get(ctx, bundle.ClaimTag)
	if err != nil || data == nil {
		return claimDocument{}, err
	}
	var m struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return claimDocument{}, nil
	}
	d := claimDocument{By: printable(m.Annotations[claimBy]), ID: m.Annotations[claimID], Nonce: m.Annotations[claimNonce]}
	if d.Until, err = time.Parse(time.RFC3339, m.Annotations[claimUntil]); err != nil || d.Until.After(time.Now().Add(12*claimLife)) {
		d.Nonce = "" // nobody of us has written this
	}
	return d, nil
}
