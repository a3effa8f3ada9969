package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dhow/bundle"
)

// patience is how long a question waits for a server that is busy for a moment. It is well below the time after which a line counts as dead.
const patience = 30 * time.Second

// maxPause bounds what a server may ask for: a mistake of its operator must not keep a fleet away for long.
const maxPause = 6 * time.Hour

// maxNearPause is that bound for a server of the building, and for one that a source sends us to.
const maxNearPause = 5 * time.Minute

// nearPatience is how long a transfer waits for a neighbour that is busy: its bytes cost nothing.
const nearPatience = 5 * time.Minute

// ErrBusy is a server that asks not to be asked again for a while (see Network.Pause). It is bundle.ErrUnreachable, too.
var ErrBusy = errors.New("it is busy")

// busyError says for how long.
type busyError struct {
	code int
	wait time.Duration
}

func (b *busyError) Error() string {
	wait := fmt.Sprintf("%.0f seconds", b.wait.Seconds())
	switch {
	case b.wait >= 2*time.Hour:
		wait = fmt.Sprintf("%.0f hours", b.wait.Hours())
	case b.wait >= 2*time.Minute:
		wait = fmt.Sprintf("%.0f minutes", b.wait.Minutes())
	}
	return fmt.Sprintf("it has too much to do (HTTP %d) and asks to come back in %s", b.code, wait)
}

func (b *busyError) Is(target error) bool {
	return target == ErrBusy || target == bundle.ErrUnreachable
}

// retryAfter is how long a server that has too much to do asks to be left alone, in seconds or as a date. ok is false when it does not ask.
func retryAfter(resp *http.Response, now time.Time) (wait time.Duration, ok bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if s, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		// By the server's own clock where it tells: ours may be wrong.
		if said, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			now = said
		}
		wait = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(wait, 0), maxPause), true
}
