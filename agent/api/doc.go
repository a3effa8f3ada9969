// Package api holds what travels over the agent's socket: requests, answers, events, exit codes, and the client.
//
// The socket speaks HTTP/1.1 with JSON. GET /v1/status answers Status; GET /v1/history []Update; GET /v1/backups []Backup; GET /v1/known-good KnownGood;
// POST /v1/update takes UpdateRequest and answers Started; POST /v1/rollback takes RollbackRequest and answers Started, or
// RollbackPlan with status 409 when it lacks the confirmation; GET /v1/changes/{id}/events streams Event, a JSON line each, until End.
// POST /v1/backups takes BackupRequest and answers Started, POST /v1/bundles BundleRequest.
// POST /v1/pause takes PauseRequest, POST /v1/resume an empty object; both answer Paused. POST /v1/later takes LaterRequest and answers Put. Every other answer is an Error with a fitting HTTP status. Field names are stable: people's scripts read them (--json).
package api
