package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// Ways says what documents of ways change: those that are new or changed, and the releases to which none are listed any more.
func Ways(now []*manifest.Ways, gone []string) (list []Change) {
	for _, w := range now {
		list = append(list, Change{What: "ways", Name: w.Version, To: w.Text(), Text: "ways to " + w.Version + ": " + w.Text()})
	}
	for _, v := range gone {
		list = append(list, Change{What: "ways", Name: v, Text: "ways to " + v + " no longer listed"})
	}
	return list
}

// ways says what a list changed of the ways against the one before.
func (r *reader) ways(m *metadata.Metadata[metadata.TargetsType], old, now *state) (list []Change, err error) {
	if r.opts.Site != "" || r.opts.Ring != "" {
		return nil, nil
	}
	if old == nil {
		old = &state{}
	}
	var gone []string
	for _, v := range sorted(old.ways) {
		if now.ways[v] == "" {
			gone = append(gone, v)
		}
	}
	for _, v := range sorted(now.ways) {
		if old.ways[v] == now.ways[v] {
			continue
		}
		w, err := r.waysTo(m, v)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, Change{What: "ways", Name: v, Text: "ways to " + v + " listed; their document is not there"})
		case errors.Is(err, errDamaged), errors.Is(err, manifest.ErrTooLarge), errors.Is(err, manifest.ErrInvalid), errors.Is(err, manifest.ErrNewer):
			r.history.Damaged = append(r.history.Damaged, fmt.Sprintf("the ways to %s of manifest %d can't be believed: %v", v, m.Signed.Version, err))
		case err != nil:
			return nil, err
		default:
			list = append(list, Ways([]*manifest.Ways{w}, nil)...)
		}
	}
	return append(list, Ways(nil, gone)...), nil
}

func (r *reader) waysTo(m *metadata.Metadata[metadata.TargetsType], version string) (*manifest.Ways, error) {
	name := manifest.WaysPath(version)
	info := m.Signed.Targets[name]
	if v, err := manifest.ParseVersion(version); err != nil || v != version || len(info.Hashes["sha256"]) != 32 ||
		info.Length < 0 || info.Length > manifest.MaxWays {
		return nil, fmt.Errorf("%w: the list does not name them as it should", errDamaged)
	}
	path := fmt.Sprintf("targets/ways/%s.%s.json", hex.EncodeToString(info.Hashes["sha256"]), version)
	data, err := r.src.Document(r.ctx, path, info.Length)
	if err != nil {
		return nil, err
	}
	if info.VerifyLengthHashes(data) != nil {
		return nil, fmt.Errorf("%w: %s is not what was signed", errDamaged, path)
	}
	w, err := manifest.ParseWays(data)
	if err == nil && w.Version != version {
		err = fmt.Errorf("%w: they lead to %.80q", errDamaged, w.Version)
	}
	return w, err
}
