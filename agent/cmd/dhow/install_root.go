package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// maxRoot bounds root.json, in bytes.
const maxRoot = 1 << 20

// checkRoot reads the root of trust and shows its fingerprint. It returns nil when the site has one and none is given. Without a file the
// root comes from a source: the fingerprint, which then must be given, decides whether it is the right one.
func (s *shell) checkRoot(ctx context.Context, paths site.Paths, config *site.Config, in installation) ([]byte, error) {
	file := in.root
	if file == "" {
		file = filepath.Join(paths.Trust(), "root.json")
	}
	root, err := readRoot(file)
	fetched := false
	if in.root == "" && errors.Is(err, fs.ErrNotExist) {
		if in.fingerprint == "" {
			return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "the fleet's root of trust is missing: --root FILE, or --fingerprint DIGITS")
		}
		if file, root, err = rootFromSources(ctx, rootSources(config, in)); err != nil {
			return nil, err
		}
		fetched = true
	}
	if err != nil {
		return nil, api.Fail(api.CodeUsage, "it is the file root.json that the central team gives out", "cannot read the root of trust: %v", err)
	}
	print, err := trust.Fingerprint(root)
	if err != nil {
		return nil, api.Fail(api.CodeNotTrusted, "it is the file root.json that the central team gives out", "%s: %v", file, err)
	}
	s.printf("trust     root fingerprint %s\n", print)
	switch {
	case in.fingerprint != "" && in.fingerprint != print:
		return nil, api.Fail(api.CodeNotTrusted, "do not go on; ask the central team for the right root.json",
			"the fingerprint of %s is %s, not %s", file, print, in.fingerprint)
	case in.root == "" && !fetched:
		return nil, nil
	case in.fingerprint != "" || in.yes:
		return root, nil
	}
	answer, asked := s.ask("Does the central team read the same? [y/N] ")
	switch {
	case !asked:
		return nil, api.Fail(api.CodeNotConfirmed, "compare it with what the central team reads, then add --fingerprint "+print+", or --yes",
			"nobody has confirmed the root fingerprint %s; nothing was done", print)
	case !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes"):
		return nil, api.Fail(api.CodeNotConfirmed, "call the central team and compare", "not confirmed; nothing was done")
	}
	return root, nil
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

// rootFromSources takes the fleet's first root from the first source that has one. It is worth nothing until its fingerprint was compared.
func rootFromSources(ctx context.Context, specs []string) (from string, root []byte, err error) {
	var last error
	for _, spec := range specs {
		src, err := fetch.Open(ctx, spec)
		if err != nil {
			last = err
			continue
		}
		root, err := src.Document(ctx, bundle.RootPath(1), maxRoot)
		_ = src.Close()
		if err == nil {
			return spec, root, nil
		}
		last = fmt.Errorf("%s: %w", spec, err)
	}
	return "", nil, api.Fail(api.CodeUnreachable, "give it as a file: --root FILE", "no source has the fleet's root of trust: %v", last)
}

// rootSources are the sources, and the bundle from which a computer is built anew.
func rootSources(config *site.Config, in installation) []string {
	if in.from == "" {
		return config.Sources
	}
	return append([]string{in.from}, config.Sources...)
}
