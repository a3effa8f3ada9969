package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"dhow/manifest"
)

// HintFormat is the newest hint format that this code reads; MaxHint is the largest hint in bytes.
const (
	HintFormat = 1
	MaxHint    = 64 << 10
)

// Hint is bundle.json: what a bundle says about itself, so that people and programs can name it before they have verified
// anything. It is not signed, and nothing is decided by it.
type Hint struct {
	Format   int       `json:"format"`
	Fleet    string    `json:"fleet"`
	Made     time.Time `json:"made"`
	Releases []string  `json:"releases"`
	Site     string    `json:"site,omitempty"` // the site or ring that it was made for; empty means everybody
	Ring     string    `json:"ring,omitempty"`
	// Since is a release that the site must have: the bundle leaves out what that holds. Empty means that nothing is left out.
	Since string `json:"since,omitempty"`
}

// ParseHint reads bundle.json.
func ParseHint(data []byte) (Hint, error) {
	if len(data) > MaxHint {
		return Hint{}, fmt.Errorf("cannot read %s: %w: %d bytes, at most %d", HintPath, ErrTooLarge, len(data), MaxHint)
	}
	if err := manifest.CheckJSON(data, manifest.JSONLimits{Size: MaxHint, Depth: 4, Values: 5000}); err != nil {
		return Hint{}, fmt.Errorf("cannot read %s: %w: %w", HintPath, ErrDamaged, err)
	}
	var h Hint
	if err := json.Unmarshal(data, &h); err != nil {
		return Hint{}, fmt.Errorf("cannot read %s: %w: %v", HintPath, ErrDamaged, err)
	}
	switch {
	case h.Format > HintFormat:
		return Hint{}, fmt.Errorf("cannot read %s: its format is %d and this program reads up to %d: update dhow", HintPath, h.Format, HintFormat)
	case h.Format < 1:
		return Hint{}, fmt.Errorf("cannot read %s: %w: it has no format", HintPath, ErrDamaged)
	case strings.ContainsFunc(h.Fleet+h.Site+h.Ring+h.Since+strings.Join(h.Releases, ""), unicode.IsControl):
		return Hint{}, fmt.Errorf("cannot read %s: %w: it has control characters", HintPath, ErrDamaged)
	case len(h.Releases) > 1000:
		return Hint{}, fmt.Errorf("cannot read %s: %w: %d releases, at most 1000", HintPath, ErrTooLarge, len(h.Releases))
	}
	return h, nil
}

// Others names for whom a bundle was made when that is not this site in this ring, such as "site kin-002"; otherwise it is empty.
func (h Hint) Others(site, ring string) string {
	switch {
	case h.Site != "" && h.Site != site:
		return "site " + h.Site
	case h.Ring != "" && h.Ring != ring:
		return "ring " + h.Ring
	}
	return ""
}

// Encode returns the bytes of bundle.json.
func (h Hint) Encode() ([]byte, error) {
	h.Format = HintFormat
	h.Made = h.Made.UTC().Truncate(time.Second)
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("internal error: cannot encode %s: %w", HintPath, err)
	}
	return append(data, '\n'), nil
}

// ReadHint reads the hint of a source. It fails with fs.ErrNotExist when the source has none.
func ReadHint(ctx context.Context, src Source) (Hint, error) {
	data, err := src.Document(ctx, HintPath, MaxHint)
	if err != nil {
		return Hint{}, err
	}
	return ParseHint(data)
}
