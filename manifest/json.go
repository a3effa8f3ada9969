package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// JSONLimits bounds a JSON document from outside.
type JSONLimits struct {
	Size   int64 // bytes
	Depth  int   // nested objects and arrays
	Values int   // keys and values together
	NoNull bool  // refuse null anywhere
}

// CheckJSON reports whether data is one JSON value, in UTF-8, within limits and without an object that has the same key twice.
// It stops documents that exhaust memory or the stack, and documents that two readers understand differently. The error wraps
// ErrTooLarge or ErrInvalid.
func CheckJSON(data []byte, l JSONLimits) error {
	if int64(len(data)) > l.Size {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.Size)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var open []scope
	for values := 0; ; values++ {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && values > 0 && len(open) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not JSON at byte %d", ErrInvalid, d.InputOffset())
		}
		if values > 0 && len(open) == 0 {
			return fmt.Errorf("%w: more than one JSON value", ErrInvalid)
		}
		if values >= l.Values {
			return fmt.Errorf("%w: more than %d values", ErrTooLarge, l.Values)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if token == nil && l.NoNull {
			return fmt.Errorf("%w: null at byte %d", ErrInvalid, d.InputOffset())
		}
		if n := len(open); n > 0 {
			if err := open[n-1].next(token); err != nil {
				return err
			}
		}
		if delim, ok := token.(json.Delim); ok {
			if len(open) >= l.Depth {
				return fmt.Errorf("%w: nested more than %d deep", ErrTooLarge, l.Depth)
			}
			s := scope{}
			if delim == '{' {
				s.keys, s.atKey = map[string]bool{}, true
			}
			open = append(open, s)
		}
	}
}

// scope is an object (keys is not nil) or an array that has begun.
type scope struct {
	keys  map[string]bool
	atKey bool
}

func (s *scope) next(token json.Token) error {
	if s.keys == nil {
		return nil
	}
	if s.atKey {
		key, _ := token.(string)
		if s.keys[key] {
			return fmt.Errorf("%w: the key %.80q stands twice in one object", ErrInvalid, key)
		}
		s.keys[key] = true
	}
	s.atKey = !s.atKey
	return nil
}
