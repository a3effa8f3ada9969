package pack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dhow/manifest"
)

// Kinds of failure that callers tell apart.
var (
	// ErrClaimed: somebody else is publishing to the same place.
	ErrClaimed = errors.New("somebody else is publishing there")
	// ErrOvertaken: somebody else has published to the same place since this publication began.
	ErrOvertaken = errors.New("somebody else has published there meanwhile")
)

// Publisher says who publishes.
type Publisher struct {
	By string // for people: "Marie on laptop-3"
	// ID is the same for all publications from one fleet repository on one computer. A claim that one of them left behind does not
	// stop the next one.
	ID string
	// TakeOver goes on although somebody else has begun: her computer has died.
	TakeOver bool
	// Settle is how long a claim in a registry is left to stand before it counts; 0 means a second.
	Settle time.Duration
}

// Claim is the right to publish to one place. Two publishers at once: the second one's Begin fails with ErrClaimed; one who began with
// what is no longer there when her timestamp is to be put fails with ErrOvertaken, and changes nothing that sites see.
//
// In a folder this is a lock of the operating system on the file .dhow-publish: it can't outlive its process. An OCI registry has no
// locks and no compare-and-swap. There the claim is the tag "publishing" (see ociClaim), which ends by itself when its owner dies.
type Claim struct {
	place string
	holder
}

type holder interface {
	publish(ctx context.Context, c Contents, progress func(done, total int64)) error
	has(ctx context.Context, b manifest.Blob) (bool, error)
	end()
}

// Begin claims a place, "oci://HOST/PATH" or a folder, which is made when it is not there. The claim must be ended with End.
func Begin(ctx context.Context, place string, who Publisher) (*Claim, error) {
	var h holder
	var err error
	if strings.HasPrefix(place, "oci://") {
		h, err = claimOCI(ctx, place, who)
	} else {
		h, err = claimDir(place, who)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot publish to %s: %w", place, err)
	}
	return &Claim{place, h}, nil
}

// Publish writes the contents as PublishDir and PublishOCI do.
func (c *Claim) Publish(ctx context.Context, contents Contents, progress func(done, total int64)) error {
	if err := c.publish(ctx, contents, progress); err != nil {
		return fmt.Errorf("cannot publish to %s: %w", c.place, err)
	}
	return nil
}

// Has reports whether the place has a blob already.
func (c *Claim) Has(ctx context.Context, b manifest.Blob) (bool, error) {
	has, err := c.has(ctx, b)
	if err != nil {
		return false, fmt.Errorf("cannot look at what is published at %s: %w", c.place, err)
	}
	return has, nil
}

// End gives the place free. What was not published may be tried again.
func (c *Claim) End() { c.end() }
