package api

import (
	"context"
	"net/http"
	"time"
)

// KnownGood answers GET /v1/known-good: the release that passed its checks here last, as the journal has it. Release is empty before the
// first; Digest (of the release document, "sha256:…") is empty for a stack that was taken over as it ran.
type KnownGood struct {
	Release  string    `json:"release"`
	Digest   string    `json:"digest,omitempty"`
	Project  string    `json:"project,omitempty"`
	Manifest int64     `json:"manifest,omitempty"` // that asked for it
	Since    time.Time `json:"since,omitzero"`
	Adopted  bool      `json:"adopted,omitempty"`
	Busy     bool      `json:"busy,omitempty"` // an update is under way: what runs may differ
}

// KnownGood asks what the journal says about the running release.
func (c *Client) KnownGood(ctx context.Context) (KnownGood, error) {
	var k KnownGood
	return k, c.ask(ctx, http.MethodGet, "/v1/known-good", nil, &k)
}
