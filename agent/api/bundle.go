package api

import (
	"context"
	"net/http"
)

// BundleRequest is the body of POST /v1/bundles: write what is here for neighbours. To is a path on the site's computer; no Releases means the
// one that runs and the one that waits.
type BundleRequest struct {
	To       string   `json:"to"`
	Releases []string `json:"releases,omitempty"`
}

// Bundle is a bundle that was written.
type Bundle struct {
	Path     string   `json:"path"`
	Releases []string `json:"releases"`
	Bytes    int64    `json:"bytes"`
	Warnings []string `json:"warnings,omitempty"` // sentences, such as for whom it is of no use
}

// Bundle asks for a bundle. It returns as soon as that has begun; follow it with Follow.
func (c *Client) Bundle(ctx context.Context, r BundleRequest) (Started, error) {
	var s Started
	return s, c.ask(ctx, http.MethodPost, "/v1/bundles", r, &s)
}
