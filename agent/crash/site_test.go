//go:build e2e

package crash_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sites "dhow/agent/site"
	"dhow/bundle/durable"
)

// siteWork makes the folders of a site and then replaces its settings and the folder of a release again and again. Its marks are "made",
// "settings N" and "release N".
func siteWork(t *testing.T, r *rand.Rand) workload {
	const rounds = 8
	settings := func(n int) map[string]string {
		return map[string]string{"ROUND": fmt.Sprint(n), "TEXT": strings.Repeat("x", n*300)}
	}
	// The folder of a release: other files every time, in folders, with a link.
	files := make([]map[string]string, rounds)
	for n := range files {
		files[n] = map[string]string{"compose.yaml": fmt.Sprintf("name: round-%d\n", n)}
		for range 2 + r.IntN(3) {
			files[n][fmt.Sprintf("conf/%d/file-%d", r.IntN(2), r.IntN(9))] = strings.Repeat(string(rune('a'+n)), r.IntN(9000))
		}
	}
	work := func(s *site) {
		paths := sites.Paths{Prefix: filepath.Join(s.dir, "prefix")}
		must(s.t, paths.Make())
		s.mark("made")
		for n := range rounds {
			must(s.t, sites.WriteSettings(paths.Settings(), settings(n)))
			s.mark("settings %d", n)
			must(s.t, durable.Dir(filepath.Join(paths.Stacks(), "release"), 0o700, func(dir string) error {
				for _, name := range slices.Sorted(maps.Keys(files[n])) {
					if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
						return err
					}
					if err := os.WriteFile(filepath.Join(dir, name), []byte(files[n][name]), 0o644); err != nil {
						return err
					}
				}
				return os.Symlink("compose.yaml", filepath.Join(dir, "link"))
			}))
			s.mark("release %d", n)
		}
	}
	check := func(dir string, marks []string) error {
		paths := sites.Paths{Prefix: filepath.Join(dir, "prefix")}
		set, release, made := -1, -1, false
		for _, m := range marks {
			switch what, rest, _ := strings.Cut(m, " "); what {
			case "made":
				made = true
			case "settings":
				fmt.Sscan(rest, &set)
			case "release":
				fmt.Sscan(rest, &release)
			}
		}
		if _, err := os.Stat(paths.Trust()); err != nil && made {
			return err
		}
		if err := paths.Make(); err != nil {
			return err
		}
		got, err := sites.ReadSettings(paths.Settings())
		switch {
		case errors.Is(err, fs.ErrNotExist) && set == -1:
		case err != nil:
			return err
		case !maps.Equal(got, settings(max(0, set))) && !maps.Equal(got, settings(set+1)):
			return fmt.Errorf("the settings are neither those of round %d nor of the next", set)
		}
		folder := filepath.Join(paths.Stacks(), "release")
		have, err := filesOf(folder)
		if err != nil && (!errors.Is(err, fs.ErrNotExist) || release >= 0) {
			return err
		}
		whole := have == nil && release == -1
		for n := max(0, release); n <= min(release+1, rounds-1); n++ {
			whole = whole || maps.Equal(have, files[n])
		}
		if !whole {
			return fmt.Errorf("the release's folder is neither that of round %d nor of the next", release)
		}
		// It goes on, and nothing is left over.
		if err := durable.Clean(paths.Stacks()); err != nil {
			return err
		}
		if err := durable.Dir(folder, 0o700, func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600) }); err != nil {
			return err
		}
		left, err := os.ReadDir(paths.Stacks())
		if err != nil || len(left) != 1 {
			return fmt.Errorf("left over: %v, %v", left, err)
		}
		return sites.WriteSettings(paths.Settings(), settings(1))
	}
	return workload{work, check}
}

// filesOf reads all files below a folder.
func filesOf(folder string) (map[string]string, error) {
	var all map[string]string
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if all == nil {
			all = map[string]string{}
		}
		name, err := filepath.Rel(folder, path)
		all[filepath.ToSlash(name)] = string(data)
		return err
	})
	return all, err
}
