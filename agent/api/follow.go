package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Follow calls each with every event of a change until it ends, and goes on with the change that continues it (Event.Next). It returns
// the last event, whose Update or Error says how it ended.
//
// When the agent goes away in the middle, Follow waits for it for half a minute since the last event: an agent that starts again
// finishes the change by itself, and tells the present state first. An event may therefore come twice.
func (c *Client) Follow(ctx context.Context, change uint64, each func(Event)) (Event, error) {
	last := time.Now()
	for {
		event, err := c.stream(ctx, change, func(e Event) { last = time.Now(); each(e) })
		switch {
		case err == nil && event.End && event.Next != 0 && event.Next != change:
			change, last = event.Next, time.Now()
			continue
		case err == nil && event.End:
			return event, nil
		case ctx.Err() != nil:
			return event, ctx.Err()
		case err != nil && Code(err) != CodeNoAgent:
			return event, err
		}
		if time.Since(last) >= c.patience {
			return event, Fail(CodeNoAgent, "it goes on with the change by itself when it starts: sudo systemctl start dhow, then: dhow status",
				"the agent stopped in the middle of change %d", change).In("agent_gone", "change", strconv.FormatUint(change, 10))
		}
		select {
		case <-ctx.Done():
			return event, ctx.Err()
		case <-time.After(c.pause):
		}
	}
}

// stream reads events until the end of the change or of the connection. The event returned has End set only in the first case.
func (c *Client) stream(ctx context.Context, change uint64, each func(Event)) (Event, error) {
	resp, err := c.open(ctx, http.MethodGet, fmt.Sprintf("/v1/changes/%d/events", change), nil)
	if err != nil {
		return Event{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	if resp.StatusCode != http.StatusOK {
		lines.Scan()
		return Event{}, failure(resp.StatusCode, lines.Bytes())
	}
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// A line cut short is how a connection to an agent that was killed ends.
			if !lines.Scan() {
				break
			}
			return Event{}, Fail(CodeInternal, "are dhow and its agent of the same version? dhow version", "the agent's answer is not understood: %v", err).In("agent_strange", "cause", err.Error())
		}
		each(e)
		if e.End {
			return e, nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return Event{}, Fail(CodeInternal, "", "internal error: an event of the agent is larger than %d bytes", maxEvent)
	}
	return Event{}, nil
}
