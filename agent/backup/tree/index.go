package tree

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Format is the format of an index that this code writes and reads.
const Format = 1

// maxLine bounds a line of an index: a path and its extended attributes.
const maxLine = 16 << 20

// header is the first line of an index. Boot is the boot id that the metadata was read under, empty or left out when it is not known.
type header struct {
	Format int    `json:"format"`
	Boot   string `json:"boot,omitempty"`
}

// WriteIndex writes an index. Every entry that is not Fresh must have been looked at under boot.
func WriteIndex(w io.Writer, boot string, entries []*Entry) error {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	if err := enc.Encode(header{Format, boot}); err != nil {
		return err
	}
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// Doubt marks every entry as Fresh, and its copy as not seen, unless boot, under which they were looked at, is the present one and
// known.
func Doubt(entries []*Entry, boot, now string) {
	if boot != "" && boot == now {
		return
	}
	for _, e := range entries {
		e.Fresh, e.Copy = true, nil
	}
}

// ReadIndex parses and checks an index, so that who uses it may trust its paths and references. Whether its metadata proves
// anything is left to who knows the present boot.
func ReadIndex(r io.Reader) (boot string, entries []*Entry, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return "", nil, errors.Join(fmt.Errorf("%w: it is empty", ErrIndex), lines.Err())
	}
	var h header
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != Format {
		return "", nil, fmt.Errorf("%w: it has an unknown format", ErrIndex)
	}
	kinds := map[Name]string{}
	for n := 2; lines.Scan(); n++ {
		e := new(Entry)
		if err := json.Unmarshal(lines.Bytes(), e); err != nil {
			return "", nil, fmt.Errorf("%w: line %d: %v", ErrIndex, n, err)
		}
		if err := e.check(kinds); err != nil {
			return "", nil, fmt.Errorf("%w: line %d: %v", ErrIndex, n, err)
		}
		kind := e.Kind
		if e.Hard != "" {
			kind = "name"
		}
		kinds[e.Path] = kind
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return "", nil, fmt.Errorf("cannot read index: %w", err)
	}
	if len(entries) == 0 {
		return "", nil, fmt.Errorf("%w: it has no entries", ErrIndex)
	}
	return h.Boot, entries, nil
}
