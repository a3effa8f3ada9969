package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"dhow/manifest/sign"
)

func (a *app) releaseRemove() *cobra.Command {
	return a.command("remove VERSION", "Remove a release that was made by mistake and never signed", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			r, store, err := a.withStore()
			if err != nil {
				return err
			}
			before, err := namedByWays(r)
			if err != nil {
				return err
			}
			if err := r.RemoveRelease(args[0]); err != nil {
				return err
			}
			after, err := namedByWays(r)
			if err != nil {
				return err
			}
			for d := range before {
				if !after[d] {
					if err := store.Remove(d); err != nil {
						return err
					}
				}
			}
			a.printf("Release %s removed.\n", args[0])
			return nil
		})
}

// namedByWays lists the deltas and whole layers that ways to any release name.
func namedByWays(r *sign.Repository) (map[digest.Digest]bool, error) {
	named := map[digest.Digest]bool{}
	versions, err := r.Releases()
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		w, err := r.Ways(v)
		if err != nil {
			return nil, err
		}
		for _, b := range w.Blobs() {
			named[b.Digest] = true
		}
	}
	return named, nil
}
