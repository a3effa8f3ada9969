package fetch

import (
	"sync"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// item is a want on its way.
type item struct {
	Want
	state state
	have  int64                              // of Size, whatever form it is that comes
	said  map[*source]error                  // why a source did not bring it
	from  map[digest.Digest]map[*source]bool // who gave to a part, in this call

	doubts   []doubt                            // of it, by sources over the line
	suspects map[digest.Digest]map[*source]bool // who gave to a beginning that did not fit
}

type state int

const (
	open  state = iota
	taken       // somebody is bringing it
	met
)

// ledger says what of the wants is here, what is coming and what nobody has begun. Two items that share a form are never brought at once.
type ledger struct {
	mu    sync.Mutex
	items []*item
	by    map[digest.Digest][]*item
	total int64
	told  int64 // the progress that was told last: it never goes back
	moved Moved
	tell  func(done, total int64)
}

// newLedger makes a ledger of wants, each once.
func newLedger(store *bundle.Store, wants []Want, tell func(done, total int64)) (*ledger, error) {
	l := &ledger{by: map[digest.Digest][]*item{}, told: -1, tell: tell}
	seen := map[digest.Digest]bool{}
	for _, w := range wants {
		if err := w.check(); err != nil {
			return nil, err
		}
		if seen[w.Forms[0].Digest] {
			continue
		}
		seen[w.Forms[0].Digest] = true
		it := newItem(w)
		if w.In(store) {
			it.state, it.have = met, w.Size()
		} else {
			for _, b := range w.Forms {
				it.have = max(it.have, scaled(w, b, store.PartialSize(b)))
			}
		}
		l.total += w.Size()
		l.items = append(l.items, it)
		for _, b := range w.Forms {
			l.by[b.Digest] = append(l.by[b.Digest], it)
		}
	}
	l.report()
	return l, nil
}

// scaled is how much of a want n bytes of one of its forms are.
func scaled(w Want, b manifest.Blob, n int64) int64 {
	if b.Size <= 0 {
		return 0
	}
	if b.Size == w.Size() {
		return min(n, w.Size())
	}
	return min(w.Size(), int64(float64(n)/float64(b.Size)*float64(w.Size())))
}

// next takes the first item that is open and for which want says so.
func (l *ledger) next(want func(*item) bool) *item {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if l.free(it) && want(it) {
			it.state = taken
			return it
		}
	}
	return nil
}

// free reports whether an item is open, and none that shares a form with it is being brought.
func (l *ledger) free(it *item) bool {
	if it.state != open {
		return false
	}
	for _, b := range it.Forms {
		for _, other := range l.by[b.Digest] {
			if other.state == taken {
				return false
			}
		}
	}
	return true
}

// claim takes the first free item for which content with the digest d will do.
func (l *ledger) claim(d digest.Digest) (*item, manifest.Blob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.by[d] {
		if l.free(it) {
			it.state = taken
			form, _ := it.form(d)
			return it, form
		}
	}
	return nil, manifest.Blob{}
}

// wantsSize reports whether an open item has a form of that length.
func (l *ledger) wantsSize(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		for _, b := range it.Forms {
			if it.state == open && b.Size == n {
				return true
			}
		}
	}
	return false
}

// reopen puts an item back.
func (l *ledger) reopen(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.state == taken {
		it.state = open
	}
}

// meet notes that content has come, and returns the digests of forms that nobody needs any more.
func (l *ledger) meet(d digest.Digest) (useless []digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.by[d] {
		it.state, it.have = met, it.Size()
	}
	for _, it := range l.by[d] {
		for _, b := range it.Forms {
			if b.Digest != d && !l.needs(b.Digest) {
				useless = append(useless, b.Digest)
			}
		}
	}
	l.report()
	return useless
}

func (l *ledger) needs(d digest.Digest) bool {
	for _, it := range l.by[d] {
		if it.state != met {
			return true
		}
	}
	return false
}

// has notes that n bytes of a form of an item are here.
func (l *ledger) has(it *item, b manifest.Blob, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it.have = scaled(it.Want, b, n)
	l.report()
}

// report tells the progress, if there is any.
func (l *ledger) report() {
	var done int64
	for _, it := range l.items {
		done += it.have
	}
	if done > l.told && l.tell != nil {
		l.told = done
		l.tell(done, l.total)
	}
}

// rest is how many items are open, and how many bytes of them are to come at most.
func (l *ledger) rest() (items int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if it.state == open {
			items++
			bytes += it.Size() - it.have
		}
	}
	return items, bytes
}

func (l *ledger) firstOpen() *item {
	return l.any(func(it *item) bool { return it.state == open })
}

func (l *ledger) any(is func(*item) bool) *item {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if is(it) {
			return it
		}
	}
	return nil
}

// came counts bytes that a source sent.
func (l *ledger) came(n int, line bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved.Bytes += int64(n)
	if line {
		l.moved.Line += int64(n)
	}
}
