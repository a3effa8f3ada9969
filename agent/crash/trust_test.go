//go:build e2e

package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// trustWork begins to trust a fleet and follows it through several manifests, online, from sticks, and with a line that breaks. Its marks are
// "init", "trying N", "manifest N" and "release VERSION".
func trustWork(t *testing.T, _ *rand.Rand) workload {
	fleet := manifesttest.New(t, "drc")
	var published []*manifesttest.Source
	versions := []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"}
	for _, v := range versions {
		fleet.AddRelease(v, nil)
		fleet.Assign("kin-001", "pilot", v)
		published = append(published, manifesttest.NewSource(fleet.Publish()))
	}
	last := len(versions)
	work := func(s *site) {
		dir := filepath.Join(s.dir, "trust")
		must(s.t, trust.Init(dir, fleet.Root))
		s.mark("init")
		ctx := s.t.Context()
		c, err := trust.Open(dir, trust.Options{})
		must(s.t, err)
		for i, src := range published {
			if i%2 == 1 {
				c, err = trust.Open(dir, trust.Options{})
				must(s.t, err)
			}
			s.mark("trying %d", i+1)
			if i%3 == 2 { // the line breaks before the end
				src.Fail = func(path string) error {
					if strings.Contains(path, "fleet") {
						return errors.New("the line is gone")
					}
					return nil
				}
				if _, err := c.Refresh(ctx, src, false); err == nil {
					s.t.Fatal("a manifest without its fleet was accepted")
				}
				src.Fail = nil
			}
			m, err := c.Refresh(ctx, src, i%2 == 0)
			must(s.t, err)
			if m.Number != int64(i+1) {
				s.t.Fatalf("manifest %d, want %d", m.Number, i+1)
			}
			s.mark("manifest %d", m.Number)
			_, _, err = c.Release(ctx, src, versions[i])
			must(s.t, err)
			s.mark("release %s", versions[i])
		}
	}
	check := func(dir string, marks []string) error {
		dir = filepath.Join(dir, "trust")
		var inited bool
		var least, most int64
		var kept []string
		for _, m := range marks {
			switch what, rest, _ := strings.Cut(m, " "); what {
			case "init":
				inited = true
			case "trying":
				fmt.Sscan(rest, &most)
			case "manifest":
				fmt.Sscan(rest, &least)
			case "release":
				kept = append(kept, rest)
			}
		}
		c, err := trust.Open(dir, trust.Options{})
		if !inited && errors.Is(err, trust.ErrNoRoot) {
			if err = trust.Init(dir, fleet.Root); err == nil {
				c, err = trust.Open(dir, trust.Options{})
			}
		}
		if err != nil {
			return err
		}
		current := func(least, most int64) error {
			m, err := c.Current()
			if err != nil {
				if errors.Is(err, trust.ErrNothing) && least == 0 {
					return nil
				}
				return err
			}
			if m.Number < least || m.Number > most {
				return fmt.Errorf("the site is on manifest %d and was on %d", m.Number, least)
			}
			return nil
		}
		if err := current(least, most); err != nil {
			return err
		}
		ctx := context.Background()
		for _, v := range kept {
			if _, _, err := c.Release(ctx, nil, v); err != nil {
				return fmt.Errorf("release %s was kept: %w", v, err)
			}
		}
		if least > 1 { // what is older is not taken, from nowhere
			for _, offline := range []bool{false, true} {
				_, _ = c.Refresh(ctx, published[0], offline)
				if err := current(least, most); err != nil {
					return fmt.Errorf("after an old manifest: %w", err)
				}
			}
		}
		if _, err := c.Refresh(ctx, published[last-1], false); err != nil {
			return err
		}
		if c, err = trust.Open(dir, trust.Options{}); err != nil {
			return err
		}
		if err := current(int64(last), int64(last)); err != nil {
			return err
		}
		_, _, err = c.Release(ctx, published[last-1], versions[0])
		return err
	}
	return workload{work, check}
}
