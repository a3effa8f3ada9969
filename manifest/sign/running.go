package sign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// historySites bounds how much of the history is looked at: so many sites are read anew in all. Manifests that leave the list of the sites as
// it was cost nothing of it.
const historySites = 300_000

// told is what one manifest told the sites.
type told struct {
	rings map[string]manifest.Ring
	sites map[string]manifest.Site // shared with the manifest after it when both say the same
}

// running reckons what the sites of the fleet that was signed last run: the last pin that each could take. A site that is held, or that can't
// go from what it runs to its pin, stays where it is. What went wrong at a site, or never reached it, the centre doesn't know. Where the
// history is longer than what is looked at, it begins with sites that run their pins.
func (r *Repository) running(last *signed) map[string]string {
	if last.targets == nil {
		return map[string]string{}
	}
	newest := last.targets.Signed.Version
	data := last.files[fmt.Sprintf("metadata/%d.targets.json", newest)]
	if r.reckoned.runs != nil && bytes.Equal(r.reckoned.of, data) {
		return r.reckoned.runs
	}
	steps, whole := r.history(last)
	w := walk{r: r, can: map[way]bool{}}
	runs := map[string]string{}
	for i := len(steps) - 1; i >= 0; i-- {
		begin := !whole && i == len(steps)-1
		runs = w.take(runs, steps[i], begin)
	}
	r.reckoned.of, r.reckoned.runs = bytes.Clone(data), runs
	return runs
}

// history returns what was told, the newest first, and whether that is all of it. What repeats the one before is left out.
func (r *Repository) history(last *signed) (steps []told, whole bool) {
	steps = []told{{last.fleet.Rings, last.fleet.Sites}}
	list, read := last.targets.Signed.Targets, len(last.fleet.Sites)
	oldest := last.targets.Signed.Version
	for number := last.targets.Signed.Version - 1; number >= 1; number-- {
		before, err := r.targetsAt(number)
		if err != nil {
			continue // somebody has cleared it away or damaged it: that is for dhowctl audit to tell
		}
		next := &steps[len(steps)-1]
		same := before[manifest.SitesPath] != nil && list[manifest.SitesPath].Equal(*before[manifest.SitesPath])
		if same && before[manifest.FleetPath] != nil && list[manifest.FleetPath].Equal(*before[manifest.FleetPath]) {
			oldest = number
			continue
		}
		if !same && read > historySites {
			return steps, false
		}
		s := &signed{files: map[string][]byte{}}
		var fleet *manifest.Fleet
		if same {
			fleet, err = s.readRings(r, before)
		} else {
			fleet, err = s.readFleet(r, before)
		}
		if err != nil {
			continue
		}
		now := told{fleet.Rings, fleet.Sites}
		if same {
			now.sites = next.sites
		} else {
			read += len(fleet.Sites)
		}
		list, oldest = before, number
		if same && reflect.DeepEqual(pinsOf(now.rings), pinsOf(next.rings)) {
			continue
		}
		steps = append(steps, now)
	}
	return steps, oldest == 1
}

// pinsOf is what of the rings moves sites.
func pinsOf(rings map[string]manifest.Ring) map[string]way {
	pins := map[string]way{}
	for name, ring := range rings {
		pins[name] = way{to: ring.Pin, downgrade: ring.Downgrade}
	}
	return pins
}

// way is how sites go from one release to another.
type way struct {
	from, to  string
	downgrade bool
}

// walk goes through the history; can remembers which ways there are.
type walk struct {
	r   *Repository
	can map[way]bool
}

// take returns what sites run that ran before and are told what t says.
func (w *walk) take(before map[string]string, t told, begin bool) map[string]string {
	fleet := manifest.Fleet{Rings: t.rings, Sites: t.sites}
	runs := make(map[string]string, len(t.sites))
	for name := range t.sites {
		to, err := fleet.Assignment(name)
		if err != nil {
			continue
		}
		from := before[name]
		switch {
		case begin:
			from = to.Pin
		case to.Hold == nil && to.Pin != "" && w.way(way{from, to.Pin, to.Downgrade}):
			from = to.Pin
		}
		runs[name] = from
	}
	return runs
}

func (w *walk) way(x way) bool {
	can, ok := w.can[x]
	if !ok {
		err := w.r.reaches(x)
		can = err == nil || errors.Is(err, ErrUnknownRelease) // it was removed meanwhile: nobody can tell any more
		w.can[x] = can
	}
	return can
}

// targetsAt returns the list of an earlier manifest. It is fs.ErrNotExist when it is not here any more.
func (r *Repository) targetsAt(number int64) (map[string]*metadata.TargetFiles, error) {
	path := r.path(fmt.Sprintf("metadata/%d.targets.json", number))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read signed document: %w", err)
	}
	targets, err := metadata.Targets().FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return targets.Signed.Targets, nil
}

// readRings reads the fleet that a list of targets names without its sites.
func (s *signed) readRings(r *Repository, list map[string]*metadata.TargetFiles) (*manifest.Fleet, error) {
	info := list[manifest.FleetPath]
	if info == nil {
		return nil, fmt.Errorf("the signed list names no %s", manifest.FleetPath)
	}
	data, err := s.read(r, targetPath(manifest.FleetPath, info), info.VerifyLengthHashes)
	if err != nil {
		return nil, err
	}
	none, err := (&manifest.Fleet{Format: manifest.FleetFormat, Name: "x"}).Encode()
	if err != nil {
		return nil, err
	}
	none.Fleet = data
	return manifest.ParseFleet(none, "")
}
