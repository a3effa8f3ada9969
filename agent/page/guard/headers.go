package guard

import (
	"crypto/rand"
	"math"
	"net/http"
	"strconv"
	"time"
)

// protect sets what every answer has. 'unsafe-inline' is for browsers that know a policy but no nonces (Safari 9, Android 4.4, Edge 14): they would keep the
// page's own style and script out, and show for ever what was true before. Whoever knows nonces takes no notice of it.
func protect(h http.Header, nonce string) {
	own := "'nonce-" + nonce + "' 'unsafe-inline'"
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+own+"; script-src "+own+"; img-src 'self' data:; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func newNonce() string { return rand.Text() }

func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}
