package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/manifest/trust"
)

// maxRoot bounds root.json, in bytes.
const maxRoot = 1 << 20

const rootHint = "it is the file N.root.json that the central team gives out: dhowctl root show names it"

// offered is a root of trust that somebody offers, before it is believed.
type offered struct {
	root  []byte
	from  string
	print string // its fingerprint
	note  note   // which one it is, for people
}

// checkRoot finds the root of trust and shows its fingerprint. It returns nil when the site has one and none is given. Without a file the
// root comes from a source: the fingerprint, which then must be given, decides whether it is the right one. A fingerprint may be that of
// any root that the fleet ever had: the site begins with the newest root that it vouches for.
// dir is the trust folder.
func (s *shell) checkRoot(ctx context.Context, dir string, config *site.Config, in installation) ([]byte, error) {
	if in.fingerprint != "" {
		var err error
		if in.fingerprint, err = trust.ReadFingerprint(in.fingerprint); err != nil {
			return nil, api.Fail(api.CodeUsage, "the central team reads it from: dhowctl root show", "--fingerprint: %v", err).In("fingerprint_bad", "cause", err.Error())
		}
	}
	o, there, err := s.offeredRoot(ctx, dir, config, in)
	if err != nil {
		return nil, err
	}
	s.printf("%s\n", s.lineOf("trust", s.say("install.fingerprint", "fingerprint", o.print)+o.note.in(s)))
	switch {
	case in.fingerprint != "" && in.fingerprint != o.print:
		return nil, api.Fail(api.CodeNotTrusted, "do not go on; ask the central team for the right root file and fingerprint",
			"the fingerprint of %s is %s, not %s", o.from, o.print, in.fingerprint).
			In("install-fingerprint", "from", o.from, "is", o.print, "want", in.fingerprint)
	case there:
		return nil, nil
	case in.fingerprint != "" || in.yes && in.root != "":
		return o.root, nil
	}
	answer, asked := s.ask(s.lineOf("trust", s.say("install.ask_trust")) + " [y/N] ")
	switch {
	case !asked && in.root == "": // --yes does not do for what a source offers
		return nil, api.Fail(api.CodeNotConfirmed, "compare it with what the central team reads, then add --fingerprint "+o.print,
			"nobody has confirmed the root fingerprint %s; nothing was done", o.print).In("install-nobody-source", "fingerprint", o.print)
	case !asked:
		return nil, api.Fail(api.CodeNotConfirmed, "compare it with what the central team reads, then add --fingerprint "+o.print+", or --yes",
			"nobody has confirmed the root fingerprint %s; nothing was done", o.print).In("install-nobody", "fingerprint", o.print)
	case !yes(answer):
		return nil, api.Fail(api.CodeNotConfirmed, "call the central team and compare", "not confirmed; nothing was done").In("install-declined")
	}
	return o.root, nil
}

// offeredRoot takes the root from the command line, from what the site has already (there), or from a source.
func (s *shell) offeredRoot(ctx context.Context, dir string, config *site.Config, in installation) (o offered, there bool, err error) {
	file := in.root
	if file == "" {
		file = filepath.Join(dir, "root.json")
	}
	root, err := readRoot(file)
	switch {
	case in.root == "" && errors.Is(err, fs.ErrNotExist):
		if in.fingerprint == "" && in.from == "" {
			return o, false, api.Fail(api.CodeUsage, "see: dhow install --help", "the fleet's root of trust is missing: --root FILE, or --fingerprint DIGITS").In("root_missing")
		}
		o, err = rootFromSources(ctx, rootSources(config, in), in.fingerprint)
		return o, false, err
	case err != nil:
		return o, false, api.Fail(api.CodeUsage, rootHint, "cannot read the root of trust: %v", err).In("root_unreadable", "cause", err.Error())
	}
	o = offered{root: root, from: file}
	version, err := trust.RootVersion(root)
	if err == nil {
		o.print, err = trust.Fingerprint(root)
	}
	if err != nil {
		return o, false, api.Fail(api.CodeNotTrusted, rootHint, "%s: %v", file, err).In("root_wrong", "file", file, "cause", err.Error())
	}
	if version > 1 {
		o.note = note{"install.root_number", []any{"n", version}}
	}
	if in.fingerprint == "" || in.fingerprint == o.print {
		return o, in.root == "", nil
	}
	if in.root == "" {
		// The site has followed newer roots since its install.
		if client, err := trust.Open(dir, trust.Options{}); err == nil {
			if vouched(&o, client.Roots(), in.fingerprint) {
				return o, true, nil
			}
		}
		return o, true, nil
	}
	for _, spec := range rootSources(config, in) {
		if chain, err := rootsOf(ctx, spec); err == nil && slices.ContainsFunc(chain, func(r []byte) bool { return trust.SameRoot(r, o.root) }) {
			if vouched(&o, chain, in.fingerprint) {
				break
			}
		}
	}
	return o, false, nil
}

// vouched looks for the fingerprint in a chain that the offered root belongs to. The newer of the two roots is taken: the chain says
// that both are the fleet's.
func vouched(o *offered, chain [][]byte, fingerprint string) bool {
	at, err := trust.FindRoot(chain, fingerprint)
	if err != nil || at < 0 {
		return false
	}
	mine := slices.IndexFunc(chain, func(r []byte) bool { return trust.SameRoot(r, o.root) })
	o.root = chain[max(at, mine)]
	o.print = fingerprint
	o.note = numberNote(chain, at, max(at, mine))
	return true
}

// numberNote says which root of a chain has the fingerprint, and with which the site begins.
func numberNote(chain [][]byte, at, begin int) note {
	number := func(n int) int64 {
		v, err := trust.RootVersion(chain[n])
		if err != nil {
			return 0
		}
		return v
	}
	last := len(chain) - 1
	switch {
	case last == 0:
		return note{}
	case at == last:
		return note{"install.root_newest", []any{"n", number(at)}}
	case begin > at:
		return note{"install.root_begins", []any{"n", number(at), "begin", number(begin)}}
	}
	return note{"install.root_follows", []any{"n", number(at), "last", number(last)}}
}

// note is a sentence in brackets, or nothing.
type note struct {
	key  string
	args []any
}

func (n note) in(s *shell) string {
	if n.key == "" {
		return ""
	}
	return " " + s.say(n.key, n.args...)
}

func readRoot(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRoot+1))
	if err == nil && len(data) > maxRoot {
		err = fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, err
}

// rootFromSources takes the root with this fingerprint from the first source that has roots: what it offers is worth nothing without one.
func rootFromSources(ctx context.Context, specs []string, fingerprint string) (offered, error) {
	var last error
	for _, spec := range specs {
		chain, err := rootsOf(ctx, spec)
		if err != nil {
			last = err
			continue
		}
		at, err := trust.FindRoot(chain, fingerprint)
		if err != nil {
			return offered{}, err
		}
		if at < 0 { // nobody has said which one; or the newest is shown in place of the one that is not there
			at = len(chain) - 1
		}
		o := offered{root: chain[at], from: spec, note: numberNote(chain, at, at)}
		o.print, err = trust.Fingerprint(o.root)
		return o, err
	}
	return offered{}, api.Fail(api.CodeUnreachable, "give it as a file: --root FILE", "no source has the fleet's root of trust: %v", last).In("root_nowhere", "cause", fmt.Sprint(last))
}

func rootsOf(ctx context.Context, spec string) ([][]byte, error) {
	src, err := newNetwork().Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	chain, err := trust.SourceRoots(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return chain, nil
}

// rootSources are the sources, and the bundle from which a computer is built anew.
func rootSources(config *site.Config, in installation) []string {
	if in.from == "" {
		return config.Sources
	}
	return append([]string{in.from}, config.Sources...)
}
