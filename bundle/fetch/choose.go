package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dhow/bundle"
	"dhow/bundle/split"
	"dhow/manifest"
)

// ErrSeveral: a folder holds several bundles, and what they say about themselves does not tell which one is meant. A person must name it.
var ErrSeveral = errors.New("several bundles")

// bundleIn finds the bundle file in a folder that has no layout itself: people name the stick, not the file on it. Of several the one
// with the newest release is meant, and of those a full one, made last. What a hint says is not signed: it chooses, and nothing more.
func bundleIn(ctx context.Context, dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	found := bundlesAmong(entries)
	switch len(found) {
	case 0:
		return "", fmt.Errorf("the folder %w and no bundle", bundle.ErrNoMetadata)
	case 1:
		return filepath.Join(dir, found[0]), nil
	}
	best, err := newest(ctx, dir, found)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if errors.Is(err, bundle.ErrUnreachable) { // the stick was pulled out
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("the folder holds %w, name one of them: %s (%v)", ErrSeveral, strings.Join(found, ", "), err)
	}
	return filepath.Join(dir, best), nil
}

// bundlesAmong lists the files that are called like bundles. A bundle in parts is listed once, as its sums, whichever of its files are there.
func bundlesAmong(entries []fs.DirEntry) (found []string) {
	for _, e := range entries {
		name := e.Name()
		if whole, ok := split.Of(name); ok && bundle.IsFileName(whole) {
			name = split.SumsName(whole)
		} else if !e.Type().IsRegular() || !bundle.IsFileName(name) {
			continue
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// newest chooses by the hints. Files that are no bundles, such as those of docker save, don't count.
func newest(ctx context.Context, dir string, files []string) (string, error) {
	var best string
	var most bundle.Hint
	for _, file := range files {
		hint, err := hintOf(ctx, filepath.Join(dir, file))
		if errors.Is(err, bundle.ErrNoMetadata) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if best != "" && hint.Fleet != most.Fleet {
			return "", fmt.Errorf("%s is of fleet %q and %s of fleet %q", best, most.Fleet, file, hint.Fleet)
		}
		if best == "" || better(hint, most) {
			best, most = file, hint
		}
	}
	if best == "" {
		return "", errors.New("none says what is in it")
	}
	return best, nil
}

// better reports whether a is rather meant than b: one with a newer release, one that leaves nothing out, one that was made later.
func better(a, b bundle.Hint) bool {
	order := manifest.CompareVersions(highest(a), highest(b))
	switch {
	case order != 0:
		return order > 0
	case (a.Since == "") != (b.Since == ""):
		return a.Since == ""
	}
	return a.Made.After(b.Made)
}

func hintOf(ctx context.Context, file string) (bundle.Hint, error) {
	src, err := openArchive(ctx, file)
	if err != nil {
		return bundle.Hint{}, err
	}
	defer src.Close()
	hint, err := bundle.ReadHint(ctx, src)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint, errors.New("it does not say what is in it")
	case err == nil && highest(hint) == "":
		return hint, errors.New("it does not say which release is in it")
	}
	return hint, err
}

// highest returns the newest release of a hint, "" when it names none.
func highest(h bundle.Hint) (version string) {
	for _, v := range h.Releases {
		if _, err := manifest.ParseVersion(v); err == nil && (version == "" || manifest.CompareVersions(v, version) > 0) {
			version = v
		}
	}
	return version
}
