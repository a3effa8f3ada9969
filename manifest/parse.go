package manifest

import (
	"encoding/json"
	"fmt"
)

// Limits of the documents. Sizes are in bytes.
const (
	MaxRelease = 8 << 20
	MaxFleet   = 16 << 20 // all documents of a fleet together, unpacked; and each of them packed

	maxDepth         = 16
	maxReleaseValues = 500_000
	maxFleetValues   = 2_000_000
)

// ParseRelease reads a release document and validates it.
func ParseRelease(data []byte) (*Release, error) {
	return valid[Release]("release", data, JSONLimits{Size: MaxRelease, Depth: maxDepth, Values: maxReleaseValues}, ReleaseFormat)
}

// valid reads a document and validates it.
func valid[T any, P interface {
	*T
	Validate() error
}](what string, data []byte, limits JSONLimits, newest int) (*T, error) {
	var d T
	if err := parse(data, limits, newest, &d); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", what, err)
	}
	if err := P(&d).Validate(); err != nil {
		return nil, err
	}
	return &d, nil
}

// parse fills into from data. The format comes first, so that a newer document is refused as newer and not as malformed.
func parse(data []byte, limits JSONLimits, newest int, into any) error {
	if err := CheckJSON(data, limits); err != nil {
		return err
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := checkFormat(head.Format, newest); err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func checkFormat(format, newest int) error {
	switch {
	case format < 1:
		return fmt.Errorf("%w: it has no format number", ErrInvalid)
	case format > newest:
		return fmt.Errorf("%w: format %d, this one reads up to %d", ErrNewer, format, newest)
	}
	return nil
}

// Encode returns the document that ParseRelease reads. The same release gives the same bytes.
func (r *Release) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("cannot write release %s: %w", r.Version, err)
	}
	data = append(data, '\n')
	if len(data) > MaxRelease {
		return nil, fmt.Errorf("cannot write release %s: %w: more than %d bytes", r.Version, ErrTooLarge, MaxRelease)
	}
	return data, nil
}
