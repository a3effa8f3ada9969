package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"dhow/bundle"
	"dhow/manifest"
)

const (
	// CeremonyFormat is the newest format of ceremony files that this code reads.
	CeremonyFormat = 1
	// MaxCeremony bounds a ceremony file, in bytes.
	MaxCeremony = 64 << 20
)

// ErrCeremony: a ceremony file that can't be signed or published; the text says why.
var ErrCeremony = errors.New("the ceremony file is not in order")

// Ceremony is the file that a signing over several machines carries between them: Prepare makes it where the repository is, every
// machine that holds a key adds its signatures, and Finish makes the manifest of it. It is one JSON object. A signed document stands
// in it as the envelope {"signatures": […], "signed": {…}} of TUF; the bytes around a signed part may change, its meaning not.
//
// Nothing in it is believed but what the fleet's keys have signed: Roots begin with the root that people compare by its fingerprint.
type Ceremony struct {
	Format int    `json:"format"`
	Fleet  string `json:"fleet"`
	// Root and Targets are what is to be signed, unsigned or partly signed. Either may be absent, not both.
	Root    json.RawMessage `json:"root,omitempty"`
	Targets json.RawMessage `json:"targets,omitempty"`
	// Files are the contents of the targets that are new, and those of the fleet as it was signed last, by their path in a published
	// folder ("targets/…").
	Files map[string][]byte `json:"files,omitempty"`
	// Note is for people. Nothing is derived from it.
	Note string `json:"note,omitempty"`
	// Roots are all roots until now, from the first. Last are the targets that were signed last; absent before the first signing.
	Roots []json.RawMessage `json:"roots"`
	Last  json.RawMessage   `json:"last,omitempty"`
}

// ParseCeremony reads a ceremony file. Who signed what in it is left to Judge.
func ParseCeremony(data []byte) (*Ceremony, error) {
	fail := func(format string, args ...any) (*Ceremony, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrCeremony}, args...)...)
	}
	limits := manifest.JSONLimits{Size: MaxCeremony, Depth: 16, Values: 2_000_000, NoNull: true}
	switch text := bytes.TrimLeft(data, "\ufeff \t\r\n"); {
	case bytes.HasPrefix(text, []byte("<")):
		return fail("it is a web page, not a file of dhowctl publish --prepare")
	case !bytes.HasPrefix(text, []byte("{")):
		return fail("it was not made by dhowctl publish --prepare")
	}
	if err := manifest.CheckJSON(data, limits); err != nil {
		return fail("%w", err)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Format < 1 {
		return fail("it was not made by dhowctl publish --prepare")
	}
	if head.Format > CeremonyFormat {
		return nil, fmt.Errorf("cannot read the ceremony file: %w: format %d, this one reads up to %d",
			manifest.ErrNewer, head.Format, CeremonyFormat)
	}
	var c Ceremony
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return fail("%w", err)
	}
	switch err := manifest.CheckName(c.Fleet); {
	case err != nil:
		return fail("%w", err)
	case len(c.Roots) == 0:
		return fail("it has no root")
	case len(c.Root) == 0 && len(c.Targets) == 0:
		return fail("there is nothing in it to sign")
	}
	for path := range c.Files {
		if !strings.HasPrefix(path, bundle.TargetsDir+"/") || !bundle.IsDocument(path) {
			return fail("%.200q is not the path of a document", path)
		}
	}
	return &c, nil
}

// Encode returns the file that ParseCeremony reads.
func (c *Ceremony) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, fmt.Errorf("cannot write the ceremony file: %w", err)
	}
	if len(data) >= MaxCeremony {
		return nil, fmt.Errorf("cannot write the ceremony file: it would have %d bytes, at most %d", len(data), MaxCeremony)
	}
	return append(data, '\n'), nil
}
