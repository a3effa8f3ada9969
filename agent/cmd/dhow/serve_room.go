package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/durable"
)

// serveRoom is where a bundle is unpacked, in the cache of this user, until dhow serve ends. What one left behind that was killed goes with
// the next one that takes its place.
type serveRoom struct {
	dir    string
	store  *bundle.Store
	unlock func() error
}

// maxServing is how many bundles a user can serve at once.
const maxServing = 16

func (r *serveRoom) begin() (*bundle.Store, error) {
	cache, err := defaultCache("serve")
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	for n := 1; n <= maxServing; n++ {
		r.dir = filepath.Join(cache, strconv.Itoa(n))
		r.unlock, err = site.Lock(r.dir + ".lock")
		if errors.Is(err, site.ErrLocked) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := os.RemoveAll(r.dir); err != nil {
			return nil, err
		}
		r.store, err = bundle.OpenStore(r.dir)
		return r.store, err
	}
	return nil, api.Fail(api.CodeBusy, "stop one of them", "%d bundles are served already", maxServing).In("served_already", "count", strconv.Itoa(maxServing))
}

func (r *serveRoom) end() {
	if r.unlock == nil {
		return
	}
	_ = os.RemoveAll(r.dir)
	_ = r.unlock()
}
