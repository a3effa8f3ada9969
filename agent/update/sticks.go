package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/stick"
	"dhow/manifest"
)

// Times of looking at what people have brought. What has been read is kept in mind: looking again costs a list of names.
const (
	lookAgain  = 30 * time.Second
	lookSoon   = 5 * time.Second // when an update was in the way
	lookRarely = 10 * time.Minute
	// readFor bounds the reading of one bundle. Its signed documents stand at its beginning; what takes longer is somebody's large archive.
	readFor = 2 * time.Minute
	// lookFor is how long a stick may take to answer until it is said that it does not. Nobody waits for it.
	lookFor = 30 * time.Second
)

// Sticks looks after sticks and the watched folder until ctx ends. It changes nothing at this site, and gives way to every update.
func (m *Manager) Sticks(ctx context.Context) {
	stick.Watch(ctx, stick.Options{
		Places: func() stick.Places {
			c := m.config().Sticks
			if c.Off {
				return stick.Places{}
			}
			return stick.Places{Watch: c.Places(), Folder: c.Folder}
		},
		Visit: m.visit, Log: m.Log,
	})
}

// visit looks after one place until it is gone.
func (m *Manager) visit(ctx context.Context, p stick.Place) {
	b := m.sticks.enter(p)
	defer m.sticks.leave(p)
	known := map[string]find{}
	var told reported
	for {
		turn := m.sticks.wait()
		pause := lookAgain
		if !m.lookAt(ctx, b, known) || !m.bringReport(ctx, b, &told) {
			pause = lookSoon
		}
		pause = min(max(pause, 100*b.slow), lookRarely) // a large disk is looked at less often
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-turn:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// lookAt lists what is there and reads what is new. It reports whether it has come to its end.
func (m *Manager) lookAt(ctx context.Context, b *brought, known map[string]find) bool {
	m.sticks.begin(b, nil)
	began := time.Now()
	list, err := stick.Look(ctx, b.place.Path)
	b.slow = time.Since(began)
	m.sticks.begin(b, nil)
	if ctx.Err() != nil {
		return true
	}
	var finds []find
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		finds = append(finds, find{offer: offerAt(b.place, b.place.Path, api.OfferUnreadable, "problem", plainly(err)), what: b.place.Path})
	}
	for i := range finds {
		finds[i].offer.Found = b.foundAt(finds[i].what, m.stamp())
	}
	standing := m.standing()
	var unread []int
	now := map[string]find{}
	for _, bundle := range list {
		what := bundle.Path + "\x00" + bundle.Key
		key := what + "\x00" + standing
		f, ok := known[key]
		if !ok {
			f = find{offer: offerAt(b.place, bundle.Path, api.OfferLooking), what: what, key: key}
			f.offer.Found = b.foundAt(what, m.stamp())
			unread = append(unread, len(finds))
		} else {
			now[key] = f
		}
		finds = append(finds, f)
	}
	clear(known)
	for key, f := range now {
		known[key] = f
	}
	m.sticks.found(b, b.hushed(finds))
	for _, i := range unread {
		if m.atWork() {
			return false
		}
		read, cancel := context.WithTimeout(ctx, readFor)
		m.sticks.begin(b, cancel)
		f := m.judge(read, finds[i].offer)
		stopped := errors.Is(read.Err(), context.Canceled)
		cancel()
		if stopped {
			m.sticks.end(b)
			return ctx.Err() != nil
		}
		f.what, f.key = finds[i].what, finds[i].key
		known[f.key], finds[i] = f, f
		m.Log.Info("a bundle was found", "path", f.offer.Path, "kind", f.offer.Kind, "release", f.offer.Release, "problem", f.offer.Args["problem"])
		m.sticks.found(b, b.hushed(finds))
	}
	b.hush(finds)
	m.sticks.found(b, b.hushed(finds))
	m.sticks.end(b)
	return true
}

// standing is by what bundles are judged here: when it changes they are judged anew.
func (m *Manager) standing() string {
	var number int64
	var as manifest.Assignment
	if current, err := m.Trust.Current(); err == nil {
		number = current.Number
		as, _ = current.Fleet.Assignment(m.Config.Site)
	}
	good, _ := m.good()
	if good == nil {
		good = &Good{}
	}
	bad, _ := m.bad()
	return fmt.Sprint(number, as.Pin, as.Hold, good.Release, good.Digest, good.Manifest, len(bad))
}

// atWork reports whether something is under way that reading a stick would slow: anything but a fetch from elsewhere.
func (m *Manager) atWork() bool {
	c, err := m.unfinished()
	return err != nil || c != nil && readsHere(c)
}

// readsHere reports whether a change works on the disks and sticks of this computer.
func readsHere(c *change.Change) bool {
	var p fetchPlan
	return c.Kind != KindFetch || c.ReadPlan(&p) != nil || p.From != "" && onThisComputer(p.From)
}

// offerAt is an offer with pairs of arguments.
func offerAt(p stick.Place, path, kind string, args ...string) api.Offer {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.ID + "\x00" + path))
	o := api.Offer{ID: fmt.Sprintf("%016x", h.Sum64()), Path: path, Label: p.Label, Kind: kind}
	return with(o, append(args, "label", p.Label)...)
}

func with(o api.Offer, args ...string) api.Offer {
	for i := 0; i+1 < len(args); i += 2 {
		if o.Args == nil {
			o.Args = map[string]string{}
		}
		o.Args[args[i]] = args[i+1]
	}
	return o
}

// offerOrder says what comes first: what may be installed, then what somebody should know who waits for that.
var offerOrder = []string{
	api.OfferInstall, api.OfferLooking, api.OfferSince, api.OfferFailed, api.OfferUnreadable, api.OfferCurrent, api.OfferNothing, api.OfferOlder,
	api.OfferDamaged, api.OfferOthers, api.OfferForeign,
}

// mostCopies bounds how many bundles with the same release are remembered beside the first.
const mostCopies = 5

// offers are what may be installed, the newest that the central team has asked for first, and what else was found. Bundles that bring the same release
// are one offer.
func (m *Manager) offers() []api.Offer {
	finds := m.sticks.all()
	slices.SortFunc(finds, func(a, b find) int {
		full := func(f find) int {
			if f.since {
				return 1
			}
			return 0
		}
		return cmp.Or(
			cmp.Compare(slices.Index(offerOrder, a.offer.Kind), slices.Index(offerOrder, b.offer.Kind)),
			cmp.Compare(b.number, a.number),
			manifest.CompareVersions(b.offer.Release, a.offer.Release),
			cmp.Compare(full(a), full(b)),
			cmp.Compare(a.offer.Path, b.offer.Path),
		)
	})
	var list []api.Offer
	first := map[digest.Digest]int{}
	for _, f := range finds {
		if n, again := first[f.release]; again {
			if copies := &list[n].Copies; len(*copies) < mostCopies {
				*copies = append(*copies, api.Copy{ID: f.offer.ID, Path: f.offer.Path})
			}
			continue
		}
		if f.release != "" {
			first[f.release] = len(list)
		}
		list = append(list, f.offer)
	}
	return list
}

// copiesOf are the paths of bundles that bring the same as the one at a path.
func (m *Manager) copiesOf(path string) (others []string) {
	for _, o := range m.offers() {
		all := []string{o.Path}
		for _, c := range o.Copies {
			all = append(all, c.Path)
		}
		if slices.Contains(all, path) {
			return slices.DeleteFunc(all, func(p string) bool { return p == path })
		}
	}
	return nil
}
