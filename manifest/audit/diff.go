package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// state reads what a verified list names.
func (r *reader) state(m *metadata.Metadata[metadata.TargetsType]) (*state, error) {
	s := &state{releases: map[string]string{}, ways: map[string]string{}}
	for path, info := range m.Signed.Targets {
		if version, ok := manifest.ReleaseOfPath(path); ok {
			s.releases[version] = hex.EncodeToString(info.Hashes["sha256"])
		}
		if version, ok := manifest.WaysOfPath(path); ok {
			s.ways[version] = hex.EncodeToString(info.Hashes["sha256"])
		}
	}
	fleet, err := r.fleet(m)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case errors.Is(err, errDamaged), errors.Is(err, manifest.ErrTooLarge), errors.Is(err, manifest.ErrInvalid), errors.Is(err, manifest.ErrNewer):
		r.history.Damaged = append(r.history.Damaged, fmt.Sprintf("the fleet document of manifest %d can't be believed: %v", m.Signed.Version, err))
		return s, nil
	case err != nil:
		return nil, err
	}
	s.fleet = fleet
	return s, nil
}

// fleet reads the documents of the fleet that a list names.
func (r *reader) fleet(m *metadata.Metadata[metadata.TargetsType]) (*manifest.Fleet, error) {
	var files manifest.FleetFiles
	var err error
	if files.Fleet, err = r.target(m, manifest.FleetPath); err != nil {
		return nil, err
	}
	if files.Sites, err = r.target(m, manifest.SitesPath); err != nil {
		return nil, err
	}
	files.Part = func(b manifest.Blob) ([]byte, error) {
		return r.src.Document(r.ctx, manifest.PartPath(b.Digest), b.Size)
	}
	return manifest.ParseFleet(files, "")
}

func (r *reader) target(m *metadata.Metadata[metadata.TargetsType], name string) ([]byte, error) {
	info := m.Signed.Targets[name]
	if info == nil || len(info.Hashes["sha256"]) != 32 || info.Length < 0 || info.Length > manifest.MaxFleet {
		return nil, fmt.Errorf("%w: the list does not name it", errDamaged)
	}
	path := "targets/" + hex.EncodeToString(info.Hashes["sha256"]) + "." + name
	data, err := r.src.Document(r.ctx, path, info.Length)
	if err != nil {
		return nil, err
	}
	if info.VerifyLengthHashes(data) != nil {
		return nil, fmt.Errorf("%w: %s is not what was signed", errDamaged, path)
	}
	return data, nil
}

// diff says what a list changed against the one before, nil at the beginning. One whose fleet document is not there shows its releases only.
func diff(old, now *state, opts Options) (list []Change) {
	if old == nil {
		old = &state{fleet: &manifest.Fleet{}}
	}
	whole := opts.Site == "" && opts.Ring == ""
	if whole {
		list = append(list, releases(old.releases, now.releases)...)
	}
	if now.fleet == nil {
		return list
	}
	before := old.fleet
	if before == nil {
		before = &manifest.Fleet{}
	}
	if whole {
		list = append(list, fields("policy", "policy", "", parts(before.Policy), parts(now.fleet.Policy))...)
		list = append(list, fields("fleet", "fleet", "", head(before), head(now.fleet))...)
	}
	list = append(list, rings(before, now.fleet, opts)...)
	return append(list, sites(before, now.fleet, opts)...)
}

// head is what later formats of a fleet may have besides policy, rings and sites. Its name never changes: a fleet's keys sign for one.
func head(f *manifest.Fleet) map[string]string {
	top := *f
	top.Rings, top.Sites = nil, nil
	return parts(top, "format", "name", "policy", "rings", "sites")
}

// summary says what the first list says that is here, where the ones before are missing.
func summary(now *state) []Change {
	text := count(len(now.releases), "release")
	if now.fleet != nil {
		text += ", " + count(len(now.fleet.Rings), "ring") + ", " + count(len(now.fleet.Sites), "site")
	}
	return []Change{{What: "state", Text: text + "; what was changed before is not known here"}}
}

func releases(old, now map[string]string) (list []Change) {
	names := slices.Collect(maps.Keys(now))
	manifest.SortVersions(names)
	for _, v := range names {
		switch d, ok := old[v]; {
		case !ok:
			list = append(list, Change{What: "release", Name: v, To: now[v], Text: "release " + v + " added"})
		case d != now[v]:
			list = append(list, Change{What: "release", Name: v, From: d, To: now[v], Text: "release " + v + " replaced by another of the same name"})
		}
	}
	for _, v := range sorted(old) {
		if _, ok := now[v]; !ok {
			list = append(list, Change{What: "release", Name: v, From: old[v], Text: "release " + v + " removed"})
		}
	}
	return list
}

// rings compares the rings that who asks is in, or all.
func rings(old, now *manifest.Fleet, opts Options) (list []Change) {
	mine := func(name string) bool {
		return (opts.Ring == "" || opts.Ring == name) && (opts.Site == "" || now.Sites[opts.Site].Ring == name)
	}
	for _, name := range sorted(now.Rings) {
		a, there := old.Rings[name]
		b := now.Rings[name]
		if !mine(name) || there && reflect.DeepEqual(a, b) {
			continue
		}
		switch {
		case !there:
			list = append(list, Change{What: "ring", Name: name, To: b.Pin, Text: "ring " + name + " added, pinned to " + nothing(b.Pin)})
		case a.Pin != b.Pin:
			n := moved(now, name)
			list = append(list, Change{
				What: "ring", Name: name, From: a.Pin, To: b.Pin, Sites: n,
				Text: fmt.Sprintf("ring %s %s → %s (%s)", name, nothing(a.Pin), nothing(b.Pin), count(n, "site")),
			})
		}
		list = append(list, fields("ring", "ring "+name, name, parts(a, "pin"), parts(b, "pin"))...)
	}
	for _, name := range sorted(old.Rings) {
		if _, ok := now.Rings[name]; !ok && (opts.Ring == "" || opts.Ring == name) && opts.Site == "" {
			list = append(list, Change{What: "ring", Name: name, From: old.Rings[name].Pin, Text: "ring " + name + " removed"})
		}
	}
	return list
}

// moved counts the sites that go where their ring goes.
func moved(f *manifest.Fleet, ring string) (n int) {
	for _, s := range f.Sites {
		if s.Ring == ring && s.Pin == "" && s.Hold == nil {
			n++
		}
	}
	return n
}

func sites(old, now *manifest.Fleet, opts Options) (list []Change) {
	mine := func(name string, a, b manifest.Site) bool {
		return (opts.Site == "" || opts.Site == name) && (opts.Ring == "" || opts.Ring == a.Ring || opts.Ring == b.Ring)
	}
	for _, name := range sorted(now.Sites) {
		a, there := old.Sites[name]
		b := now.Sites[name]
		if !mine(name, a, b) || there && reflect.DeepEqual(a, b) {
			continue
		}
		list = append(list, site(name, a, b, there)...)
	}
	for _, name := range sorted(old.Sites) {
		if _, ok := now.Sites[name]; !ok && mine(name, old.Sites[name], manifest.Site{}) {
			list = append(list, Change{What: "site", Name: name, From: old.Sites[name].Ring, Text: "site " + name + " removed"})
		}
	}
	return list
}

func site(name string, a, b manifest.Site, there bool) (list []Change) {
	add := func(from, to, text string) {
		list = append(list, Change{What: "site", Name: name, From: from, To: to, Text: "site " + name + " " + text})
	}
	switch {
	case !there:
		add("", b.Ring, "added to ring "+b.Ring)
	case a.Ring != b.Ring:
		add(a.Ring, b.Ring, "moved from ring "+a.Ring+" to ring "+b.Ring)
	}
	switch {
	case a.Pin == b.Pin:
	case b.Pin == "":
		add(a.Pin, "", "follows its ring again (was pinned to "+a.Pin+")")
	case a.Pin == "":
		add("", b.Pin, "pinned to "+b.Pin+" by itself")
	default:
		add(a.Pin, b.Pin, "pinned "+a.Pin+" → "+b.Pin)
	}
	switch {
	case a.Hold == nil && b.Hold != nil:
		add("", b.Hold.Reason, "held ("+readable(b.Hold.Reason)+")")
	case a.Hold != nil && b.Hold == nil:
		add(a.Hold.Reason, "", "no longer held (was: "+readable(a.Hold.Reason)+")")
	case a.Hold != nil && a.Hold.Reason != b.Hold.Reason:
		add(a.Hold.Reason, b.Hold.Reason, "held for another reason ("+readable(a.Hold.Reason)+" → "+readable(b.Hold.Reason)+")")
	}
	if a.Hold != nil && b.Hold != nil {
		list = append(list, fields("site", "site "+name, name, parts(map[string]any{"hold": a.Hold}, "hold.reason"),
			parts(map[string]any{"hold": b.Hold}, "hold.reason"))...)
	}
	return append(list, fields("site", "site "+name, name, parts(a, "ring", "pin", "hold"), parts(b, "ring", "pin", "hold"))...)
}

// fields compares whatever else an entry has, one level deep: fields of later formats show without a word of their own.
func fields(what, subject, name string, a, b map[string]string) (list []Change) {
	for _, key := range slices.Sorted(maps.Keys(merged(a, b))) {
		from, had := a[key]
		to, has := b[key]
		if had != has || from != to {
			list = append(list, Change{
				What: what, Name: name, From: from, To: to,
				Text: fmt.Sprintf("%s %s %s → %s", subject, key, value(from, had), value(to, has)),
			})
		}
	}
	return list
}

// value is what a field says. An empty setting is another thing than none: it hides that of the ring.
func value(s string, there bool) string {
	switch {
	case !there:
		return nothing("")
	case s == nothing(""):
		return strconv.Quote(s)
	}
	return readable(s)
}

// readable quotes a text that people would not see, or would read as something else.
func readable(s string) string {
	if s == "" || strings.TrimSpace(s) != s || strings.Contains(s, "→") ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// parts takes a value apart by the names of its JSON, without some of them: "settings.LANG" is a field of a field.
func parts(v any, without ...string) map[string]string {
	out := map[string]string{}
	data, err := json.Marshal(v)
	if err != nil {
		return out
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(data, &all) != nil {
		return out
	}
	for key, raw := range all {
		var inner map[string]json.RawMessage
		switch {
		case slices.Contains(without, key):
		case json.Unmarshal(raw, &inner) == nil && inner != nil:
			for sub, raw := range inner {
				if !slices.Contains(without, key+"."+sub) {
					out[key+"."+sub] = plain(raw)
				}
			}
		default:
			out[key] = plain(raw)
		}
	}
	return out
}

// plain is a JSON value as people write it.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ", ")
	}
	return string(bytes.TrimSpace(raw))
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func nothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
