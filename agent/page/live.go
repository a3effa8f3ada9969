package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Times of a stream. Browsers take it up again after retry when it ends.
const (
	busyTick   = time.Second     // while something goes on
	calmTick   = 3 * time.Second // else
	beat       = 10 * time.Second
	streamLife = 10 * time.Minute
	retry      = 2 * time.Second
)

// event is the data of the event "page": what has changed, by the ids of elements.
type event struct {
	Edition string            `json:"edition"`
	State   string            `json:"state"`
	Title   string            `json:"title"`
	Parts   map[string]string `json:"parts"`
}

// live sends the page as it changes, and an event "beat" when nothing does: silence means that nobody is there. The guard counts streams.
func (h *handler) live(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	s := stream{w: w, rc: http.NewResponseController(w)}
	if err := s.write("retry: %d\n\n", retry.Milliseconds()); err != nil {
		return
	}
	for {
		v := h.view(ctx, r, busyTick/2)
		if ctx.Err() != nil {
			return
		}
		if err := s.tell(v); err != nil {
			return
		}
		tick := calmTick
		if v.Refresh <= soon {
			tick = busyTick
		}
		timer := time.NewTimer(tick)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// stream is one follower.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	told map[string]string
	last time.Time // when anything was sent
}

// tell sends what has changed, or a beat when it is time for one.
func (s *stream) tell(v *View) error {
	all, err := pieces(v)
	if err != nil {
		return err
	}
	e := event{Edition: edition, State: v.State, Title: v.heading(), Parts: map[string]string{}}
	for id, html := range all {
		if before, told := s.told[id]; !told || before != html {
			e.Parts[id] = html
		}
	}
	if len(e.Parts) == 0 {
		if time.Since(s.last) < beat {
			return nil
		}
		return s.write("event: beat\ndata: {}\n\n")
	}
	s.told = all
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.write("event: page\ndata: %s\n\n", data)
}

func (s *stream) write(format string, args ...any) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	s.last = time.Now()
	return s.rc.Flush()
}
