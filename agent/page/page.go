package page

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/page/guard"
	"dhow/agent/words"
)

// MaxBytes is the most that the page takes, with everything that belongs to it.
const MaxBytes = 60 << 10

// Agent is whom the page asks. The methods are those of the socket and answer at once.
type Agent interface {
	Status(ctx context.Context) (api.Status, error)
	History(ctx context.Context) ([]api.Update, error)
	Backups(ctx context.Context) ([]api.Backup, error)
	Update(ctx context.Context, r api.UpdateRequest) (api.Started, error)
	Later(ctx context.Context, r api.LaterRequest) (api.Put, error)
	Noted(ctx context.Context, receipt string) error
}

// Machine is what a technician wants to know beside it.
type Machine struct {
	Free    int64    // bytes on the disk of the site's data, 0 when nobody can tell
	Sources []string // where updates come from
	Version string   // of the agent
}

// Options are the parts of the page. Only Agent is required.
type Options struct {
	Agent   Agent
	Machine func() Machine
	// Now is the clock, in the time zone of the site.
	Now func() time.Time
	Log *slog.Logger
}

type handler struct {
	Options
	mux   *http.ServeMux
	asks  asker
	notes notes
}

// New makes the page.
func New(o Options) http.Handler {
	if o.Machine == nil {
		o.Machine = func() Machine { return Machine{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &handler{Options: o, mux: http.NewServeMux()}
	h.asks.agent, h.asks.machine = o.Agent, o.Machine
	h.mux.HandleFunc("GET /{$}", h.page)
	h.mux.HandleFunc("GET /details", h.page)
	h.mux.HandleFunc("POST /details", h.page)
	h.mux.HandleFunc("GET /live", h.live)
	h.mux.HandleFunc("POST /update", h.update)
	h.mux.HandleFunc("POST /later", h.later)
	h.mux.HandleFunc("POST /seen", h.seen)
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, guard.MaxBody)
	h.mux.ServeHTTP(w, r)
}

// page answers GET /, and /details: by POST from the network, with the PIN.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	v := h.view(ctx, r, fresh)
	if r.URL.Path == "/details" {
		v.Open = true
	} else {
		v.ask(r.URL.Query().Get("ask"))
	}
	h.write(w, http.StatusOK, v)
}

// view is the page as it is now for who asks; the agent's answers are younger than age.
func (h *handler) view(ctx context.Context, r *http.Request, age time.Duration) *View {
	s := h.asks.look(ctx, age)
	now := h.Now()
	v := newView(s, h.reader(r, s.Status.Language), now, h.notes.shows(s.Status.LastUpdate, s.Status.Noted, now))
	v.meet(visitor{chosen: chosen(r), stranger: guard.NeedsPIN(r), trusted: guard.Trusted(r), nonce: guard.Nonce(r)})
	return v
}

// reader is who reads: as a link on the page says, else the configuration, else the browser.
func (h *handler) reader(r *http.Request, site string) *words.Reader {
	return words.For(r.URL.Query().Get("lang"), site, r.Header.Get("Accept-Language"))
}

func (h *handler) write(w http.ResponseWriter, status int, v *View) {
	body, err := render(v)
	if err != nil {
		h.Log.Error("cannot make the page", "error", err)
		http.Error(w, "internal error: cannot make the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // who went away loses nothing
}

// update begins what the button says. Pressed twice, or while something else is under way, it does nothing more: the page says what goes on.
func (h *handler) update(w http.ResponseWriter, r *http.Request) {
	if !h.form(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	req := api.UpdateRequest{Now: true, Release: r.PostForm.Get("release")}
	s := h.asks.look(ctx, 0)
	is := s.Status.Pinned
	if id := r.PostForm.Get("from"); id != "" {
		o := offered(s.Status.Offers, id)
		if o == nil {
			h.refuse(w, r, api.Fail(api.CodeUsage, "put it in again", "the stick is not there any more").In("page.gone"))
			return
		}
		req.From, is = o.Path, o.Release
	}
	if s.Error == nil && req.Release != "" && req.Release != plain(is, shortText) {
		h.refuse(w, r, api.Fail(api.CodeRefused, "look at the page again, and choose anew", "the central team asks for %s now, not for %s", is, req.Release).
			In("page.changed", "release", is, "shown", req.Release))
		return
	}
	_, err := h.Agent.Update(ctx, req)
	h.answer(w, r, err)
}

func (h *handler) later(w http.ResponseWriter, r *http.Request) {
	if !h.form(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	_, err := h.Agent.Later(ctx, api.LaterRequest{})
	h.answer(w, r, err)
}

// seen takes a note of how an update ended away.
func (h *handler) seen(w http.ResponseWriter, r *http.Request) {
	if !h.form(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	receipt := r.PostForm.Get("note")
	if err := h.Agent.Noted(ctx, receipt); err != nil {
		h.Log.Warn("cannot keep that a person has taken note of an update", "receipt", plain(receipt, shortText), "error", err)
	}
	h.notes.see(receipt) // at least until the agent starts anew
	h.answer(w, r, nil)
}

// form reads a form. What is not one is refused.
func (h *handler) form(w http.ResponseWriter, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		h.refuse(w, r, api.Fail(api.CodeUsage, "go back and press the button again", "the form is not understood").In("page.form"))
		return false
	}
	return true
}

// answer leads back to the page, which says what became of it.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, err error) {
	h.asks.forget()
	if err != nil && api.Code(err) != api.CodeBusy {
		h.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/"+chosen(r), http.StatusSeeOther)
}

// refuse says why nothing was done.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := api.AsError(err)
	h.Log.Warn("request failed", "path", r.URL.Path, "code", e.Code, "error", e.Message)
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	v := h.view(ctx, r, fresh)
	v.fail(e)
	h.write(w, api.HTTPStatus(e.Code), v)
}

// chosen is what carries the language that somebody has chosen along, as in "?lang=fr"; "" when nobody has.
func chosen(r *http.Request) string {
	lang := r.URL.Query().Get("lang")
	if !words.Speaks(lang) {
		return ""
	}
	return "?lang=" + words.For(lang).Language()
}

// plainSource is a source without what may be a password in it.
func plainSource(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return s
	}
	rest, _, _ = strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	host = host[strings.LastIndex(host, "@")+1:]
	return strings.TrimSuffix(scheme+"://"+host+"/"+path, "/")
}
