package stick

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"time"
)

// Place is a mounted stick, or the folder that is watched.
type Place struct {
	ID    string // stays the same while it is there, and is another one when it comes again
	Path  string // the root of the stick
	Label string // what people know it by: the last part of Path
	// Before says that it was there already when Watch began: a disk that belongs to the computer, or a stick that was left in it.
	Before bool
}

// Places says where to look.
type Places struct {
	Watch  []string // folders below which sticks are mounted, or at which
	Folder string   // a folder that counts as a stick, also while it is not there; empty means none
}

// Options of Watch.
type Options struct {
	// Places is asked again at every turn: what is configured anew counts at once.
	Places func() Places
	// Visit looks after one place. Its ctx ends when the place is gone; it may return before or after that. Visits run side by side.
	Visit func(ctx context.Context, p Place)
	Log   *slog.Logger
	// Every is how often the configuration, and sticks that were pulled out, are looked at without being told; 0 means 10 seconds.
	Every time.Duration
}

const (
	defaultEvery = 10 * time.Second
	// mostHanging bounds the visits that don't end although their place is gone: reading from a device that has died may never return.
	mostHanging = 16
)

// ErrUnsupported: this system can't tell what is mounted.
var ErrUnsupported = errors.New("sticks are not noticed on this system")

// visit is one that was begun.
type visit struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Watch calls Visit for every place that is there or comes, until ctx ends. It does not wait for visits that hang.
func Watch(ctx context.Context, o Options) {
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	told := events(ctx, o.Log)
	visits := map[string]*visit{}
	hanging := map[*visit]bool{}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	trouble, first := "", true
	for ctx.Err() == nil {
		places, err := there(o.Places())
		if text := fmt.Sprint(err); err != nil && text != trouble {
			trouble = text
			o.Log.Warn("cannot look for sticks", "error", err)
		}
		if err == nil {
			trouble = ""
			for i := range places {
				places[i].Before = first
			}
			first = false
			turn(ctx, o, places, visits, hanging)
		}
		select {
		case <-ctx.Done():
		case <-told:
		case <-tick.C:
		}
	}
	for _, v := range visits {
		v.cancel()
	}
}

// turn ends the visits of places that are gone and begins those of new ones.
func turn(ctx context.Context, o Options, places []Place, visits map[string]*visit, hanging map[*visit]bool) {
	now := map[string]bool{}
	for _, p := range places {
		now[p.ID] = true
	}
	for id, v := range visits {
		if now[id] {
			continue
		}
		v.cancel()
		delete(visits, id)
		hanging[v] = true
	}
	for v := range hanging {
		select {
		case <-v.done:
			delete(hanging, v)
		default:
		}
	}
	for _, p := range places {
		if visits[p.ID] != nil || len(hanging) >= mostHanging {
			continue
		}
		of, cancel := context.WithCancel(ctx)
		v := &visit{cancel: cancel, done: make(chan struct{})}
		visits[p.ID] = v
		o.Log.Info("looking for bundles", "path", p.Path)
		go func() {
			defer close(v.done)
			defer cancel()
			o.Visit(of, p)
		}()
	}
}

// there lists the places that are there now.
func there(p Places) ([]Place, error) {
	found, err := mounted(p.Watch)
	if errors.Is(err, ErrUnsupported) {
		found, err = nil, nil // the folder is watched all the same
	}
	if p.Folder != "" {
		found = append(found, placeAt("folder", p.Folder))
	}
	return found, err
}

// placeAt names a place by where it is and what makes it this one.
func placeAt(what, path string) Place {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s", what, path)
	return Place{ID: fmt.Sprintf("%016x", h.Sum64()), Path: path, Label: filepath.Base(path)}
}
