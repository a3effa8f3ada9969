package serve

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

// Bounds of what is given away at once. The site's own work comes first.
const (
	maxStreams   = 4 // transfers of content
	maxDocuments = 8
	patience     = 20 * time.Second // for room
	comeAgain    = "5"              // seconds, Retry-After

	maxDocument = manifest.MaxFleet
	pieceSize   = 64 << 10
	pieceTime   = 20 * time.Second // for the reader to take a piece
	leastSpeed  = 32 << 10         // bytes in a second that a reader takes of the whole; who is slower loses his place and comes again
)

// Handler answers GET and HEAD requests from a shelf.
type Handler struct {
	shelf              Shelf
	log                *slog.Logger
	streams, documents *gate
	patience, slowest  time.Duration
	least              int64
}

// NewHandler makes a Handler; log may be nil.
func NewHandler(shelf Shelf, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		shelf: shelf, log: log, patience: patience, slowest: pieceTime, least: leastSpeed,
		streams: newGate(maxStreams, maxStreams-1), documents: newGate(maxDocuments, maxDocuments-2),
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.hurry(w)
	status := 0
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		status = http.StatusMethodNotAllowed
	case r.ContentLength != 0:
		status = http.StatusBadRequest
	}
	if status != 0 { // nobody waits for a body that may follow
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		w.Header().Set("Connection", "close")
		say(w, status)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if d, ok := bundle.BlobOf(path); ok {
		h.blob(w, r, d)
		return
	}
	public := strings.HasPrefix(path, bundle.MetadataDir+"/") || strings.HasPrefix(path, bundle.TargetsDir+"/")
	if !public || !bundle.IsDocument(path) {
		say(w, http.StatusNotFound)
		return
	}
	h.document(w, r, path)
}

// hurry gives the reader so long for the next piece.
func (h *Handler) hurry(w http.ResponseWriter) { h.hurryTo(w, time.Now().Add(h.slowest)) }

// hurryTo does the same, and not beyond end.
func (h *Handler) hurryTo(w http.ResponseWriter, end time.Time) {
	if soon := time.Now().Add(h.slowest); soon.Before(end) {
		end = soon
	}
	_ = http.NewResponseController(w).SetWriteDeadline(end) // not every ResponseWriter has one
}

func (h *Handler) document(w http.ResponseWriter, r *http.Request, path string) {
	leave, err := h.documents.enter(r.Context(), hostOf(r.RemoteAddr), h.patience)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer leave()
	data, err := h.shelf.Document(r.Context(), path, maxDocument)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "no-cache") // the timestamp changes, and a document is small
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", etag(digest.FromBytes(data)))
	if matches(r.Header, head.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	for len(data) > 0 {
		h.hurry(w)
		n, err := w.Write(data[:min(len(data), pieceSize)])
		if err != nil {
			return
		}
		data = data[n:]
	}
}

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, d digest.Digest) {
	b, err := h.shelf.Find(r.Context(), d)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "max-age=31536000, immutable")
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Accept-Ranges", "bytes")
	head.Set("ETag", etag(d))
	if matches(r.Header, etag(d)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	first, length, status := span(r.Header, etag(d), b.Size)
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		head.Set("Content-Range", "bytes */"+strconv.FormatInt(b.Size, 10))
		say(w, status)
		return
	case http.StatusPartialContent:
		head.Set("Content-Range", "bytes "+strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(first+length-1, 10)+"/"+strconv.FormatInt(b.Size, 10))
	}
	if r.Method == http.MethodHead {
		head.Set("Content-Length", strconv.FormatInt(length, 10))
		w.WriteHeader(status)
		return
	}
	h.send(w, r, b, first, length, status)
}

// send waits for its turn and sends.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, b manifest.Blob, first, length int64, status int) {
	ctx := r.Context()
	leave, err := h.streams.enter(ctx, hostOf(r.RemoteAddr), h.patience)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer leave()
	if err := h.shelf.Prove(ctx, b); err != nil {
		h.fail(w, r, err)
		return
	}
	body, err := h.shelf.Open(ctx, b, first)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	h.hurry(w)
	w.WriteHeader(status)
	_ = http.NewResponseController(w).Flush() // a disk may be slow
	buf := make([]byte, pieceSize)
	end := time.Now().Add(h.slowest) // moves with what the reader takes
	for length > 0 {
		n, err := io.ReadFull(body, buf[:min(length, pieceSize)])
		if err != nil {
			h.log.Warn("a transfer to a neighbour broke off", "blob", b.Digest, "error", err)
			panic(http.ErrAbortHandler) // the answer has begun; its end must not look like one
		}
		end = end.Add(time.Duration(n) * time.Second / time.Duration(h.least))
		h.hurryTo(w, end)
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
		length -= int64(n)
	}
}

// fail answers what went wrong. What is damaged here is not here; the log says more than the neighbour is told.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	for _, name := range []string{"Cache-Control", "Content-Type", "Accept-Ranges", "ETag", "Content-Range"} {
		w.Header().Del(name)
	}
	h.hurry(w)
	switch {
	case r.Context().Err() != nil, errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody waits
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", comeAgain)
		say(w, http.StatusServiceUnavailable)
	case errors.Is(err, fs.ErrNotExist):
		say(w, http.StatusNotFound)
	case errors.Is(err, bundle.ErrDamaged), errors.Is(err, bundle.ErrTooLarge), errors.Is(err, bundle.ErrUnsafePath):
		h.log.Warn("what a neighbour asks for is damaged here", "path", r.URL.Path, "error", err)
		say(w, http.StatusNotFound)
	default:
		h.log.Warn("cannot give a neighbour what it asks for", "path", r.URL.Path, "error", err)
		w.Header().Set("Retry-After", comeAgain)
		say(w, http.StatusServiceUnavailable)
	}
}

// say answers with the words of a status.
func say(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
