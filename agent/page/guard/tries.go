package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dhow/bundle/durable"
)

// How the delay grows: so many wrong PINs are free, after that a try has to wait for firstDelay, twice as long after the next, up to maxDelay. A wrong
// PIN is forgotten for every forgetAfter without another.
const (
	freeOfOne   = 3
	freeOfAll   = 20
	firstDelay  = 2 * time.Second
	maxDelay    = 15 * time.Minute
	forgetAfter = 30 * time.Minute
	steps       = 10 // from the first delay to the longest
)

// How many addresses are remembered, and how many wrong PINs make a proved one a stranger again.
const (
	maxTallies = 64
	maxProved  = 16
	proofEnds  = 5
)

const triesFile = "tries.json"

// tries remembers wrong PINs. There are two counts: one for each address, and one for all addresses together that have not yet given the right PIN,
// as one stranger may have many addresses. An address that has given it is not held up by what strangers do, until it has sent five wrong PINs itself.
// So guessing goes at four tries an hour for everybody together, a million PINs take decades, and whoever came in before still comes in; a new telephone may
// have to wait, or its owner goes to the computer itself, which never asks.
//
// Waiting is measured by a clock that nobody can set. What is kept over a restart are counts, not times: after a restart the delay begins
// anew. A wall clock that jumps can therefore neither end a delay nor prolong it. A failure is kept before the try is computed and taken back when the PIN
// was right, so that no try is free that a power cut ends.
//
// The file is JSON, {"format": 1, "pin": ID, "failures": N, "by": {ADDRESS: N}, "proved": [ADDRESS]}. One that can't be read counts as the longest delay.
type tries struct {
	path  string
	clock func() time.Duration

	all    tally
	by     map[netip.Addr]*tally
	proved []netip.Addr // the newest last
	pin    string
}

// tally counts wrong PINs. last is when the newest was counted, or this process began.
type tally struct {
	failures int
	last     time.Duration
}

type triesRecord struct {
	Format   int                `json:"format"`
	PIN      string             `json:"pin"`
	Failures int                `json:"failures"`
	By       map[netip.Addr]int `json:"by,omitempty"`
	Proved   []netip.Addr       `json:"proved,omitempty"`
}

// openTries reads what is kept. The error is for the log: the tries can be used all the same.
func openTries(dir string, clock func() time.Duration) (*tries, error) {
	t := &tries{path: filepath.Join(dir, triesFile), clock: clock, by: map[netip.Addr]*tally{}}
	now := clock()
	rec, err := readTries(t.path)
	if err != nil {
		t.all = tally{freeOfAll + steps, now}
		return t, fmt.Errorf("cannot read what was tried, so a PIN has to wait: %w", err)
	}
	t.pin, t.proved = rec.PIN, rec.Proved
	t.all = tally{min(max(rec.Failures, 0), freeOfAll+steps), now}
	for a, n := range rec.By {
		t.by[a] = &tally{min(max(n, 0), freeOfOne+steps), now}
	}
	return t, nil
}

func readTries(path string) (rec triesRecord, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return rec, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rec); err != nil {
		return rec, fmt.Errorf("%s: %w", path, err)
	}
	if rec.Format != 1 || len(rec.By) > maxTallies || len(rec.Proved) > maxProved {
		return rec, fmt.Errorf("%s: not written by this program", path)
	}
	return rec, nil
}

func (t *tries) save() error {
	rec := triesRecord{Format: 1, PIN: t.pin, Failures: t.all.failures, By: map[netip.Addr]int{}, Proved: t.proved}
	for a, n := range t.by {
		rec.By[a] = n.failures
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return durable.WriteFile(t.path, append(data, '\n'), 0o600)
}

// of forgets everything when the PIN is another one.
func (t *tries) of(pin string) {
	if t.pin == pin {
		return
	}
	t.pin, t.proved, t.by = pin, nil, map[netip.Addr]*tally{}
	if t.all.failures < freeOfAll+steps { // the count of a damaged file stays
		t.all = tally{}
	}
}

// wait is how long an address has to wait before it may try.
func (t *tries) wait(who netip.Addr) time.Duration {
	now := t.clock()
	var d time.Duration
	if own := t.by[who]; own != nil {
		d = own.wait(now, freeOfOne)
	}
	if !slices.Contains(t.proved, who) {
		d = max(d, t.all.wait(now, freeOfAll))
	}
	return d
}

// count keeps a failure before it is one.
func (t *tries) count(who netip.Addr) error {
	now := t.clock()
	own := t.by[who]
	if own == nil {
		t.makeRoom()
		own = &tally{last: now}
		t.by[who] = own
	}
	own.add(now, freeOfOne)
	if i := slices.Index(t.proved, who); i < 0 {
		t.all.add(now, freeOfAll)
	} else if own.failures >= proofEnds {
		t.proved = slices.Delete(t.proved, i, i+1)
	}
	return t.save()
}

// right takes the failure back that was counted last.
func (t *tries) right(who netip.Addr) error {
	delete(t.by, who)
	if i := slices.Index(t.proved, who); i >= 0 {
		t.proved = slices.Delete(t.proved, i, i+1)
	} else {
		t.all.failures = max(0, t.all.failures-1)
	}
	if t.proved = append(t.proved, who); len(t.proved) > maxProved {
		t.proved = t.proved[1:]
	}
	return t.save()
}

// makeRoom forgets the address that has failed least, and longest ago.
func (t *tries) makeRoom() {
	if len(t.by) < maxTallies {
		return
	}
	var least netip.Addr
	for a, n := range t.by {
		if l := t.by[least]; l == nil || n.failures < l.failures || n.failures == l.failures && (n.last < l.last || n.last == l.last && a.Less(least)) {
			least = a
		}
	}
	delete(t.by, least)
}

// add counts one failure more, up to where the delay grows no longer.
func (n *tally) add(now time.Duration, free int) {
	n.forget(now)
	n.failures, n.last = min(n.failures+1, free+steps), now
}

// forget leaves last where it is in the present time of forgetting, so that looking often does not prolong it.
func (n *tally) forget(now time.Duration) {
	if gone := int((now - n.last) / forgetAfter); gone > 0 {
		n.failures = max(0, n.failures-gone)
		n.last += time.Duration(gone) * forgetAfter
	}
}

func (n *tally) wait(now time.Duration, free int) time.Duration {
	over := n.failures - free
	if over <= 0 {
		return 0
	}
	delay := min(firstDelay<<(min(over, steps)-1), maxDelay)
	return max(0, n.last+delay-now)
}
