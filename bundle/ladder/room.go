package ladder

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// close gives up those rungs of a plan that has too little room whose loss costs the fewest bytes for the disk that is lacking. It reports
// whether any frees some.
func (p *planner) close(plan Plan) bool {
	lacking := plan.Disk - p.Room
	var chosen []digest.Digest
	least := 0.0
	for _, group := range groups(plan) {
		try := p.without(plan, group)
		freed := min(plan.Disk-try.Disk, lacking)
		if freed <= 0 {
			continue
		}
		if price := float64(try.Bytes-plan.Bytes) / float64(freed); chosen == nil || price < least {
			chosen, least = group, price
		}
	}
	for _, d := range chosen {
		p.closed[d] = true
	}
	return chosen != nil
}

// groups lists what may be given up together: what is planned for a step, everything but its layer as it is carried, all that needs the same
// base, as bases take room once for all their deltas, all deltas, and everything.
func groups(plan Plan) (list [][]digest.Digest) {
	var bases, deltas, all []digest.Digest
	of := map[digest.Digest][]digest.Digest{}
	for _, s := range plan.Steps {
		var step []digest.Digest
		for _, r := range s.Rungs {
			if r.Kind == Carried {
				continue
			}
			step = append(step, r.Blob.Digest)
			if r.Kind == Delta {
				base := r.Base.Config.Digest
				if of[base] == nil {
					bases = append(bases, base)
				}
				of[base] = append(of[base], r.Blob.Digest)
				deltas = append(deltas, r.Blob.Digest)
			}
		}
		if s.Rungs[0].Kind != Carried {
			list = append(list, step[:1], step)
		}
		all = append(all, step...)
	}
	for _, base := range bases {
		list = append(list, of[base])
	}
	return append(list, deltas, all)
}

// without is a plan in which some rungs are given up.
func (p *planner) without(plan Plan, closed []digest.Digest) (rest Plan) {
	for _, s := range plan.Steps {
		s.Rungs = slices.DeleteFunc(slices.Clone(s.Rungs), func(r Rung) bool { return r.Kind != Carried && slices.Contains(closed, r.Blob.Digest) })
		rest.Steps = append(rest.Steps, s)
	}
	p.sum(&rest)
	return rest
}
