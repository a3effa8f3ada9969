package guard

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// streamPath is where the page's events are; metricsPath where Prometheus looks.
const (
	streamPath  = "/live"
	metricsPath = "/metrics"
)

// How long a stream lasts, and how long a reader may leave what was written to it lying.
const (
	streamTime = 15 * time.Minute
	writeTime  = 15 * time.Second
)

// stream lets one stream more run, within bounds. The script of the page that gets none asks for the page itself again and again.
func (g *Guard) stream(w http.ResponseWriter, r *http.Request, from netip.Addr, who reader) {
	leave := g.live.enter(from, who.here)
	if leave == nil {
		retryAfter(w, time.Minute)
		g.refuse(w, r, http.StatusServiceUnavailable, "guard.busy")
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), streamTime)
	defer cancel()
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // that of the head would end the stream
	g.page.ServeHTTP(&patient{ResponseWriter: w, rc: rc}, r.WithContext(ctx))
}

// patient gives every write a time of its own.
type patient struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (p *patient) Write(data []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(writeTime))
	return p.ResponseWriter.Write(data)
}

func (p *patient) FlushError() error {
	_ = p.rc.SetWriteDeadline(time.Now().Add(writeTime))
	return p.rc.Flush()
}

func (p *patient) Flush() { _ = p.FlushError() }

func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
