package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// state is what a site remembers. Done is the newest manifest that was verified to its end; Ahead is newer metadata of an online
// source whose end did not arrive yet: it counts against going back online, and is never shown. Floor is a moment that has
// certainly passed: the newest signing time of accepted metadata. Between are the roots after the one of the install and before Root, so
// that the whole chain can be shown again.
type state struct {
	Root    []byte    `json:"root"`
	Between [][]byte  `json:"between,omitempty"`
	Done    documents `json:"done"`
	Ahead   documents `json:"ahead"`
	Floor   time.Time `json:"floor"`
	// Site is for whom Done was fetched: it has what concerns that site, or everything when it is empty.
	Site string `json:"site,omitempty"`
}

// documents holds the documents of one manifest as they were signed. Missing ones are nil.
type documents struct {
	Timestamp []byte `json:"timestamp,omitempty"`
	Snapshot  []byte `json:"snapshot,omitempty"`
	Targets   []byte `json:"targets,omitempty"`
	Fleet     []byte `json:"fleet,omitempty"`
	Sites     []byte `json:"sites,omitempty"`
	// Parts are those of Sites that are needed, found by their digest.
	Parts [][]byte `json:"parts,omitempty"`
}

// over returns d with the gaps filled from base.
func (d documents) over(base documents) documents {
	pick := func(a, b []byte) []byte {
		if a != nil {
			return a
		}
		return b
	}
	all := documents{
		Timestamp: pick(d.Timestamp, base.Timestamp), Snapshot: pick(d.Snapshot, base.Snapshot),
		Targets: pick(d.Targets, base.Targets), Fleet: pick(d.Fleet, base.Fleet), Sites: pick(d.Sites, base.Sites), Parts: base.Parts,
	}
	if d.Sites != nil {
		all.Parts = d.Parts
	}
	return all
}

// part finds a part of Sites, nil when it is not here.
func (d documents) part(b manifest.Blob) []byte {
	for _, data := range d.Parts {
		if int64(len(data)) == b.Size && digest.FromBytes(data) == b.Digest {
			return data
		}
	}
	return nil
}

func decodeState(data []byte) (state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	if s.Root == nil {
		return s, fmt.Errorf("the trust state is %w: it has no root", ErrDamaged)
	}
	return s, nil
}

// parsed is a complete manifest, taken apart.
type parsed struct {
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   *metadata.Metadata[metadata.TargetsType]
	root      *metadata.Metadata[metadata.RootType]
	fleet     *manifest.Fleet
}

// parseDone takes Done apart, as much as site needs of it. It was verified before it came into the state, and the slot's checksum says that it is unchanged.
func (s state) parseDone(site string) (*parsed, error) {
	if s.Done.Fleet == nil {
		return nil, fmt.Errorf("this site has no manifest: %w", ErrNothing)
	}
	var p parsed
	var err error
	if p.root, err = metadata.Root().FromBytes(s.Root); err != nil {
		return nil, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	if p.timestamp, err = metadata.Timestamp().FromBytes(s.Done.Timestamp); err != nil {
		return nil, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	if p.snapshot, err = metadata.Snapshot().FromBytes(s.Done.Snapshot); err != nil {
		return nil, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	if p.targets, err = metadata.Targets().FromBytes(s.Done.Targets); err != nil {
		return nil, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	p.fleet, err = manifest.ParseFleet(manifest.FleetFiles{Fleet: s.Done.Fleet, Sites: s.Done.Sites, Part: func(b manifest.Blob) ([]byte, error) {
		if data := s.Done.part(b); data != nil {
			return data, nil
		}
		return nil, fmt.Errorf("the manifest that is here was fetched for another site: %w", ErrNothing)
	}}, site)
	if errors.Is(err, ErrNothing) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	return &p, nil
}

// number returns the number of a manifest, 0 when there is none.
func (d documents) number() int64 {
	if d.Targets == nil {
		return 0
	}
	t, err := metadata.Targets().FromBytes(d.Targets)
	if err != nil {
		return 0
	}
	return t.Signed.Version
}
