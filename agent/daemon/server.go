package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"dhow/agent/api"
	"dhow/manifest"
)

// Bounds of one request.
const (
	maxBody     = 64 << 10         // bytes
	answerTime  = 45 * time.Second // less than the client's patience
	writeTime   = 30 * time.Second // for one event
	maxHeader   = 16 << 10         // bytes
	headTimeout = 5 * time.Second
)

type server struct {
	m   Manager
	log *slog.Logger
}

func newServer(ctx context.Context, m Manager, log *slog.Logger) *http.Server {
	s := &server{m: m, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/history", s.history)
	mux.HandleFunc("GET /v1/backups", s.backups)
	mux.HandleFunc("GET /v1/known-good", s.knownGood)
	mux.HandleFunc("GET /v1/report", s.report)
	mux.HandleFunc("POST /v1/backups", s.backup)
	mux.HandleFunc("POST /v1/bundles", s.bundle)
	mux.HandleFunc("POST /v1/update", s.update)
	mux.HandleFunc("POST /v1/rollback", s.rollback)
	mux.HandleFunc("POST /v1/pause", s.pause)
	mux.HandleFunc("POST /v1/resume", s.resume)
	mux.HandleFunc("POST /v1/later", s.later)
	mux.HandleFunc("GET /v1/changes/{id}/events", s.events)
	mux.HandleFunc("/", s.unknown)
	return &http.Server{
		Handler:           mux,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       2 * headTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	status, err := s.m.Status(ctx)
	s.answer(w, r, status, err)
}

func (s *server) history(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	list, err := s.m.History(ctx)
	if list == nil {
		list = []api.Update{}
	}
	s.answer(w, r, list, err)
}

func (s *server) backups(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	list, err := s.m.Backups(ctx)
	if list == nil {
		list = []api.Backup{}
	}
	s.answer(w, r, list, err)
}

func (s *server) knownGood(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	known, err := s.m.KnownGood(ctx)
	s.answer(w, r, known, err)
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	report, err := s.m.Report(ctx)
	s.answer(w, r, report, err)
}

func (s *server) update(w http.ResponseWriter, r *http.Request) {
	var req api.UpdateRequest
	if !s.read(w, r, &req) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	started, err := s.m.Update(ctx, req)
	s.answer(w, r, started, err)
}

func (s *server) backup(w http.ResponseWriter, r *http.Request) {
	var req api.BackupRequest
	if !s.read(w, r, &req) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	started, err := s.m.Backup(ctx, req)
	s.answer(w, r, started, err)
}

func (s *server) pause(w http.ResponseWriter, r *http.Request) {
	var req api.PauseRequest
	if !s.read(w, r, &req) {
		return
	}
	paused, err := s.m.Pause(r.Context(), req)
	s.answer(w, r, paused, err)
}

func (s *server) resume(w http.ResponseWriter, r *http.Request) {
	if !s.read(w, r, &struct{}{}) {
		return
	}
	paused, err := s.m.Resume(r.Context())
	s.answer(w, r, paused, err)
}

func (s *server) later(w http.ResponseWriter, r *http.Request) {
	var req api.LaterRequest
	if !s.read(w, r, &req) {
		return
	}
	put, err := s.m.Later(r.Context(), req)
	s.answer(w, r, put, err)
}

func (s *server) bundle(w http.ResponseWriter, r *http.Request) {
	var req api.BundleRequest
	if !s.read(w, r, &req) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	started, err := s.m.Bundle(ctx, req)
	s.answer(w, r, started, err)
}

// rollback does nothing without a confirmation: it answers with the plan.
func (s *server) rollback(w http.ResponseWriter, r *http.Request) {
	var req api.RollbackRequest
	if !s.read(w, r, &req) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	if req.Confirm == "" {
		plan, err := s.m.PlanRollback(ctx, req)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.write(w, http.StatusConflict, plan)
		return
	}
	started, err := s.m.Rollback(ctx, req)
	s.answer(w, r, started, err)
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		s.fail(w, r, api.Fail(api.CodeUsage, "", "%q is not the number of a change", r.PathValue("id")))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events, err := s.m.Events(ctx, id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			// A follower that does not read must not hold the manager up.
			_ = rc.SetWriteDeadline(time.Now().Add(writeTime))
			if err := enc.Encode(e); err != nil {
				return
			}
			if err := rc.Flush(); err != nil {
				return
			}
		}
	}
}

func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	s.write(w, http.StatusNotFound, api.Fail(api.CodeUsage, "are dhow and its agent of the same version? dhow version",
		"the agent does not know %s %s", r.Method, r.URL.Path))
}

// read takes the body, one JSON object. A field that is not known is refused: an order must never be followed in part.
func (s *server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = parseRequest(data, into)
	}
	if err != nil {
		s.fail(w, r, api.Fail(api.CodeUsage, "are dhow and its agent of the same version? dhow version", "the request is not understood: %v", err))
		return false
	}
	return true
}

// parseRequest reads one JSON object, bounded in depth and without a key that stands twice: an order must be the same to every reader.
func parseRequest(data []byte, into any) error {
	if err := manifest.CheckJSON(data, manifest.JSONLimits{Size: maxBody, Depth: 4, Values: 1000}); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.Method == http.MethodPost {
		s.log.Info("request", "path", r.URL.Path)
	}
	s.write(w, http.StatusOK, body)
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := api.AsError(err)
	s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "code", e.Code, "error", e.Message)
	s.write(w, api.HTTPStatus(e.Code), e)
}

func (s *server) write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
