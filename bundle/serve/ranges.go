package serve

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// etag is the name of content: its digest.
func etag(d digest.Digest) string { return `"` + d.String() + `"` }

// matches reports whether the asker says that it has what has this ETag.
func matches(h http.Header, tag string) bool {
	for _, line := range h.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// span returns which bytes of size are asked for, and the status of the answer. As RFC 9110 has it, what is not understood, several ranges
// among it, is answered with everything, and so is a range of another version.
func span(h http.Header, tag string, size int64) (first, length int64, status int) {
	text, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if since := h.Get("If-Range"); !ok || len(h.Values("Range")) > 1 || since != "" && since != tag {
		return 0, size, http.StatusOK
	}
	from, to, ok := strings.Cut(strings.TrimSpace(text), "-")
	start, okStart := number(from)
	end, okEnd := number(to)
	switch {
	case !ok || from == "" && to == "" || from != "" && !okStart || to != "" && !okEnd || from != "" && to != "" && end < start:
		return 0, size, http.StatusOK
	case from == "": // the last bytes
		if length = min(end, size); length == 0 {
			return 0, 0, http.StatusRequestedRangeNotSatisfiable
		}
		return size - length, length, http.StatusPartialContent
	case start >= size:
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	case to == "" || end >= size:
		end = size - 1
	}
	return start, end - start + 1, http.StatusPartialContent
}

// number reads digits only; ParseInt would take a sign, too.
func number(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
