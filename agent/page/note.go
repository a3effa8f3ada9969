package page

import (
	"sync"
	"time"

	"dhow/agent/api"
)

// How long the page says how an update ended, unless a person presses OK before.
const (
	doneStays   = 12 * time.Hour
	failedStays = 7 * 24 * time.Hour
)

// notes remembers which end of an update was seen. The agent keeps it; here it stands in case that it can't.
type notes struct {
	mu      sync.Mutex
	seen    string // receipt
	first   string // the receipt that this process showed last,
	firstAt time.Time
}

// shows returns u while the page is to say how it ended, else nil; noted is the receipt that a person has taken note of. An end that lies in the future was written before the clock was set back: it
// is shown for as long as any other, by the clock of this process.
func (n *notes) shows(u *api.Update, noted string, now time.Time) *api.Update {
	if u == nil || u.Finished.IsZero() || u.Kind == "adopt" {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first != u.Receipt {
		n.first, n.firstAt = u.Receipt, time.Now()
	}
	stays := doneStays
	if u.Result != api.ResultDone {
		stays = failedStays
	}
	if n.seen == u.Receipt || noted == u.Receipt || now.Sub(u.Finished) >= stays || time.Since(n.firstAt) >= stays {
		return nil
	}
	return u
}

// see takes the note of an update away.
func (n *notes) see(receipt string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = receipt
}
