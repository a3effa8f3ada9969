package sign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/trust"
)

// Judge says what a ceremony would change, from its documents and not from what it says of itself, and refuses one that sites would
// refuse. It is held against the repository r, or, where that is nil, against nothing but its own roots: then people must compare
// Proposal.Fingerprint. Fails with ErrOutdated, ErrCeremony or trust.ErrOtherFleet.
func (c *Ceremony) Judge(r *Repository, now time.Time) (*Proposal, error) {
	own := *c
	j := &judge{c: &own, now: now.UTC(), p: &Proposal{Fleet: c.Fleet, ceremony: &own}}
	if r != nil {
		var err error
		if j.ours, err = r.signed(); err != nil {
			return nil, err
		}
	}
	return j.judge()
}

// judge is one pass over a ceremony.
type judge struct {
	c    *Ceremony
	now  time.Time
	ours *signed // nil: there is no repository here
	p    *Proposal
	last *metadata.Metadata[metadata.TargetsType] // what was signed last, when the present root's keys have signed it
}

func (j *judge) judge() (*Proposal, error) {
	for _, step := range []func() error{j.roots, j.lastTargets, j.newRoot, j.targets} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	j.p.prune()
	return j.p, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCeremony}, args...)...)
}

// roots follows the chain of roots in the file, and holds it against ours.
func (j *judge) roots() error {
	first, err := trust.Fingerprint(j.c.Roots[0])
	if err != nil {
		return bad("%w", err)
	}
	j.p.Fingerprint = first
	var ours []json.RawMessage
	if j.ours != nil {
		for n := int64(1); n <= j.ours.root.Signed.Version; n++ {
			ours = append(ours, j.ours.files[fmt.Sprintf("metadata/%d.root.json", n)])
		}
		mine, err := trust.Fingerprint(ours[0])
		if err != nil {
			return err
		}
		if mine != first {
			return fmt.Errorf("the ceremony file is %w: its root is %s, the root here is %s", trust.ErrOtherFleet, first, mine)
		}
		// A Finish that was interrupted has put the new root in place already.
		if n := len(ours) - 1; n == len(j.c.Roots) && j.c.Root != nil && sameSigned[metadata.RootType](j.c.Root, ours[n]) {
			j.c.Roots, j.c.Root = append(slices.Clone(j.c.Roots), ours[n]), nil
		}
		if len(j.c.Roots) < len(ours) {
			return fmt.Errorf("cannot use the ceremony file: %w: it knows root %d, and here is root %d",
				ErrOutdated, len(j.c.Roots), len(ours))
		}
		j.p.Compared, j.p.Behind = true, len(j.c.Roots) > len(ours)
	}
	var root *metadata.Metadata[metadata.RootType]
	for n, data := range j.c.Roots {
		next, err := strictRoot(fmt.Sprintf("root %d", n+1), data)
		if err != nil {
			return bad("%w", err)
		}
		if err := follows(root, next); err != nil {
			return err
		}
		if root != nil && root.VerifyDelegate(metadata.ROOT, next) != nil || next.VerifyDelegate(metadata.ROOT, next) != nil {
			return bad("root %d is not signed by enough keys", n+1)
		}
		if n < len(ours) && !sameSigned[metadata.RootType](data, ours[n]) {
			return bad("root %d in it is another than the one here", n+1)
		}
		root = next
	}
	j.p.root = root
	return nil
}

// follows refuses a root that skips a number or goes back.
func follows(root, next *metadata.Metadata[metadata.RootType]) error {
	want := int64(1)
	if root != nil {
		want = root.Signed.Version + 1
	}
	if got := next.Signed.Version; got != want && want == 1 {
		return bad("its roots begin with root %d, not with the first", got)
	} else if got != want {
		return bad("root %d can't follow root %d: a root never skips a number, and none comes twice", got, want-1)
	}
	return nil
}

// lastTargets reads what was signed last, and holds it against ours. It counts when the present root's keys have signed it, or when it
// is ours: after a change of keys the old list has none of their signatures.
func (j *judge) lastTargets() error {
	here := int64(0)
	if j.ours != nil && j.ours.targets != nil {
		here = j.ours.targets.Signed.Version
	}
	if j.c.Last != nil {
		last, err := parseTargets("the list that was signed last", j.c.Last)
		if err != nil {
			return err
		}
		j.p.number = last.Signed.Version
		mine := here > 0 && here == j.p.number
		if mine && !sameSigned[metadata.TargetsType](j.c.Last, j.ours.files[fmt.Sprintf("metadata/%d.targets.json", here)]) {
			return fmt.Errorf("cannot use the ceremony file: %w: it follows another manifest %d than the one that was signed here",
				ErrOutdated, here)
		}
		if mine || j.p.root.VerifyDelegate(metadata.TARGETS, last) == nil {
			j.last = last
			if err := content(last.Signed.Targets, j.c.Files, isFleet); err != nil {
				return err
			}
			if j.p.before, err = readFleet(last.Signed.Targets, j.c.Files); err != nil {
				return bad("the fleet that was signed last: %w", err)
			}
		}
		j.p.Unproven = j.last == nil
	}
	if j.ours == nil {
		return nil
	}
	if j.p.number < here {
		return fmt.Errorf("cannot use the ceremony file: %w: it follows manifest %d, and the newest here is %d",
			ErrOutdated, j.p.number, here)
	}
	j.p.Behind = j.p.Behind || j.p.number > here
	return nil
}

func (j *judge) newRoot() error {
	j.p.effective = j.p.root
	if j.c.Root == nil {
		return nil
	}
	next, err := strictRoot("the new root", j.c.Root)
	if err != nil {
		return bad("%w", err)
	}
	if err := follows(j.p.root, next); err != nil {
		return err
	}
	if err := j.expiry("the new root", next.Signed.Expires, rootLife); err != nil {
		return err
	}
	j.p.newRoot, j.p.effective = next, next
	return nil
}

// expiry refuses what is over, and what would last longer than Dhow ever makes it: a typing error, or worse.
func (j *judge) expiry(what string, at time.Time, life time.Duration) error {
	switch {
	case j.now.After(at):
		return bad("%s expired on %s; by this computer's clock it is %s", what, at.Format(time.DateOnly), j.now.Format(time.DateOnly))
	case at.After(j.now.Add(2 * life)):
		return bad("%s would last until %s", what, at.Format(time.DateOnly))
	}
	return nil
}

func (j *judge) targets() error {
	if j.c.Targets == nil {
		j.p.after = j.p.before
		return nil
	}
	next, err := parseTargets("the new list", j.c.Targets)
	if err != nil {
		return err
	}
	s := &next.Signed
	switch {
	case s.Version <= j.p.number:
		return bad("manifest %d in it is older than manifest %d that was signed last", s.Version, j.p.number)
	case s.Version != j.p.number+1:
		return bad("manifest %d can't follow manifest %d: a number was skipped", s.Version, j.p.number)
	case s.Delegations != nil:
		return bad("manifest %d delegates to other lists", s.Version)
	}
	if err := j.expiry(fmt.Sprintf("manifest %d", s.Version), s.Expires, targetsLife); err != nil {
		return err
	}
	old := map[string]*metadata.TargetFiles{}
	if j.last != nil {
		old = j.last.Signed.Targets
	}
	fresh := func(name string) bool {
		return isFleet(name) || old[name] == nil || (isWays(name) || isAgent(name)) && !old[name].Equal(*s.Targets[name])
	}
	if err := content(s.Targets, j.c.Files, fresh); err != nil {
		return err
	}
	if j.p.after, err = readFleet(s.Targets, j.c.Files); err != nil {
		return bad("%w", err)
	}
	if j.p.after.Name != j.c.Fleet {
		return bad("it says that it is for fleet %s, and its documents are for fleet %s", j.c.Fleet, j.p.after.Name)
	}
	if err := j.releases(s.Targets, old); err != nil {
		return err
	}
	if err := j.ways(s.Targets, old); err != nil {
		return err
	}
	if err := j.agents(s.Targets, old); err != nil {
		return err
	}
	j.p.targets = next
	j.p.By, _ = s.UnrecognizedFields["by"].(string)
	j.p.By = plainText(j.p.By)
	return nil
}

// releases compares the releases of two lists.
func (j *judge) releases(list, old map[string]*metadata.TargetFiles) error {
	for _, name := range names(list) {
		before := old[name]
		switch {
		case isFleet(name), isWays(name), isAgent(name):
		case before != nil && !before.Equal(*list[name]):
			return bad("%s in it is not what was signed before, and a release never changes", name)
		case before == nil:
			release, err := manifest.ParseRelease(j.c.Files[targetPath(name, list[name])])
			if err != nil {
				return bad("%s: %w", name, err)
			}
			if release.Fleet != j.c.Fleet || manifest.ReleasePath(release.Version) != name {
				return bad("%s describes release %s of fleet %s", name, release.Version, release.Fleet)
			}
			j.p.Added = append(j.p.Added, release.Version)
		}
	}
	for _, name := range names(old) {
		if version, ok := strings.CutPrefix(name, "releases/"); ok && list[name] == nil {
			j.p.Removed = append(j.p.Removed, strings.TrimSuffix(version, ".json"))
		}
	}
	manifest.SortVersions(j.p.Added)
	manifest.SortVersions(j.p.Removed)
	for _, pin := range pins(j.p.after) {
		if list[manifest.ReleasePath(pin)] == nil {
			return bad("a site would have to run release %s, and its list has no such release", pin)
		}
	}
	return nil
}

// pins lists the versions that rings and sites are pinned to.
func pins(f *manifest.Fleet) []string {
	all := map[string]bool{}
	for _, ring := range f.Rings {
		all[ring.Pin] = true
	}
	for _, site := range f.Sites {
		all[site.Pin] = true
	}
	delete(all, "")
	return names(all)
}

// isFleet reports whether a target is one of those that make the fleet.
func isFleet(name string) bool {
	return !strings.HasPrefix(name, "releases/") && !isWays(name) && !isAgent(name)
}

// content holds the contents of those targets that want says against the list.
func content(list map[string]*metadata.TargetFiles, files map[string][]byte, want func(name string) bool) error {
	for _, name := range names(list) {
		if !want(name) {
			continue
		}
		info := list[name]
		if info == nil || len(info.Hashes["sha256"]) != 32 {
			return bad("its list names %.200q without a digest", name)
		}
		data, ok := files[targetPath(name, info)]
		if !ok {
			return bad("the content of %.200q is not in it", name)
		}
		if info.VerifyLengthHashes(data) != nil {
			return bad("the content of %.200q in it is not what the list says", name)
		}
	}
	return nil
}

// parseTargets reads a list of targets, whoever signed it.
func parseTargets(what string, data []byte) (*metadata.Metadata[metadata.TargetsType], error) {
	m, err := metadata.Targets().FromBytes(data)
	if err != nil {
		return nil, bad("%s: %w", what, err)
	}
	if m.Signed.Version < 1 || m.Signed.Version > 1<<53 {
		return nil, bad("%s: version %d is impossible", what, m.Signed.Version)
	}
	for name, info := range m.Signed.Targets {
		if info == nil || len(info.Hashes["sha256"]) != 32 {
			return nil, bad("%s names %.200q without a digest", what, name)
		}
	}
	return m, nil
}

// sameSigned reports whether two documents say the same, whoever signed them.
func sameSigned[T metadata.Roles](a, b []byte) bool {
	canonical := func(data []byte) []byte {
		m, err := (&metadata.Metadata[T]{}).FromBytes(data)
		if err != nil {
			return nil
		}
		text, err := cjson.EncodeCanonical(m.Signed)
		if err != nil {
			return nil
		}
		return text
	}
	x := canonical(a)
	return x != nil && bytes.Equal(x, canonical(b))
}
