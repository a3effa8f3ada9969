package report

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"dhow/manifest"
)

const (
	// Format is the format that this code writes and the newest that it reads.
	Format = 1
	// MaxSize is the largest file in bytes.
	MaxSize = 32 << 10
	// MostUpdates is how many of the last updates a report tells of.
	MostUpdates = 5

	prefix, suffix = "dhow-report-", ".json"
	keyKind        = "ed25519:"
	signedAs       = "dhow-report 1\n"
	maxText        = 200 // bytes of any text
	maxNeeds       = 20
)

// Errors of Parse.
var (
	ErrInvalid = errors.New("not a report")
	ErrForged  = errors.New("it was changed after it was signed")
)

// Report is what a site tells. Texts are identifiers: releases, states, kinds.
type Report struct {
	Number   uint64    `json:"number"` // of this report; it only grows
	Fleet    string    `json:"fleet"`
	Site     string    `json:"site"`
	Made     time.Time `json:"made"`  // by the clock of the site
	Agent    string    `json:"agent"` // version of dhow there
	Release  string    `json:"release"`
	Pinned   string    `json:"pinned,omitempty"`
	Manifest int64     `json:"manifest,omitempty"` // number of the newest manifest that the site has seen
	State    string    `json:"state"`              // as in dhow status
	Health   string    `json:"health,omitempty"`
	Updates  []Update  `json:"updates,omitempty"` // newest first
	Backup   time.Time `json:"backup,omitzero"`   // when the last backup was made
	Drill    time.Time `json:"drill,omitzero"`    // when a backup was last restored on trial
	DrillOK  bool      `json:"drill_ok,omitempty"`
	Needs    []string  `json:"needs,omitempty"` // kinds of what somebody should see to
}

// Update is how one update ended.
type Update struct {
	Receipt  string    `json:"receipt"`
	Kind     string    `json:"kind"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to"`
	Result   string    `json:"result"`
	Step     string    `json:"step,omitempty"`  // at which it failed
	Class    string    `json:"class,omitempty"` // of the failure
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Seconds  float64   `json:"seconds"` // for which users were kept out
}

// file is the file as it is written.
type file struct {
	Format    int             `json:"format"`
	Key       string          `json:"key"`
	Signature []byte          `json:"signature"`
	Report    json.RawMessage `json:"report"`
}

// FileName is how the report of a site is called.
func FileName(site string) string { return prefix + site + suffix }

// IsFileName reports whether a file is called like a report.
func IsFileName(name string) bool {
	site, ok := strings.CutPrefix(name, prefix)
	site, json := strings.CutSuffix(site, suffix)
	return ok && json && siteName.MatchString(site)
}

// Same reports whether two reports tell the same, but for when.
func (r Report) Same(o Report) bool {
	r.Number, r.Made = o.Number, o.Made
	a, errA := json.Marshal(r)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Sign returns the file of a report.
func (r Report) Sign(key ed25519.PrivateKey) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("internal error: cannot sign the report: %w", err)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("internal error: cannot sign the report: %w", err)
	}
	f := file{Format: Format, Key: Key(key.Public().(ed25519.PublicKey)), Signature: ed25519.Sign(key, toSign(body)), Report: body}
	data, err := json.MarshalIndent(f, "", "  ")
	if err == nil && len(data) >= MaxSize {
		err = manifest.ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("internal error: cannot sign the report: %w", err)
	}
	return append(data, '\n'), nil
}

func toSign(compact []byte) []byte { return append([]byte(signedAs), compact...) }

// Parse reads a file and verifies that it was signed with the key that it names, which it returns as Key writes it.
func Parse(data []byte) (r Report, key string, err error) {
	if err := manifest.CheckJSON(data, manifest.JSONLimits{Size: MaxSize, Depth: 6, Values: 1000, NoNull: true}); err != nil {
		return r, "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return r, "", fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	switch {
	case f.Format > Format:
		return r, "", fmt.Errorf("its format is %d and this program reads up to %d: %w", f.Format, Format, manifest.ErrNewer)
	case f.Format < 1 || len(f.Report) == 0:
		return r, "", ErrInvalid
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f.Key, keyKind))
	if err != nil || len(raw) != ed25519.PublicKeySize || f.Key != Key(raw) {
		return r, "", fmt.Errorf("%w: it names no key", ErrInvalid)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.Report); err != nil {
		return r, "", fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	if !ed25519.Verify(raw, toSign(compact.Bytes()), f.Signature) {
		return r, "", ErrForged
	}
	if err := json.Unmarshal(f.Report, &r); err != nil {
		return r, "", fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	return r, f.Key, r.check()
}

var siteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// check bounds what others will print, and use as the name of a file.
func (r Report) check() error {
	texts := []string{r.Fleet, r.Agent, r.Release, r.Pinned, r.State, r.Health}
	for _, u := range r.Updates {
		texts = append(texts, u.Receipt, u.Kind, u.From, u.To, u.Result, u.Step, u.Class)
	}
	texts = append(texts, r.Needs...)
	for _, t := range texts {
		if len(t) > maxText || strings.ContainsFunc(t, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return fmt.Errorf("%w: it holds a text that is none", ErrInvalid)
		}
	}
	switch {
	case !siteName.MatchString(r.Site):
		return fmt.Errorf("%w: it names no site", ErrInvalid)
	case r.Number == 0 || r.Number > 1<<53:
		return fmt.Errorf("%w: it has no number", ErrInvalid)
	case len(r.Updates) > MostUpdates || len(r.Needs) > maxNeeds:
		return fmt.Errorf("%w: it tells of too much", ErrInvalid)
	}
	return nil
}

// Key writes a public key as reports, dhow status and dhowctl do.
func Key(public ed25519.PublicKey) string { return keyKind + base64.StdEncoding.EncodeToString(public) }

// Fingerprint is what people compare over the telephone: 20 hexadecimal digits of the SHA-256 of a key as Key writes it.
func Fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	digits := hex.EncodeToString(sum[:10])
	var groups []string
	for ; digits != ""; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(groups, "-")
}
