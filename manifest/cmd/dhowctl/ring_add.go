package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) ringAdd() *cobra.Command {
	var pin string
	var settings []string
	c := a.command("add NAME", "Add a ring", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		name := args[0]
		if _, ok := r.Fleet().Fleet().Rings[name]; ok {
			return fail(api.CodeUsage, "there is a ring "+name+" already", "dhowctl pin VERSION --ring "+name+" changes what it runs")
		}
		if err := mayPin(r, pin); err != nil {
			return err
		}
		set, err := settingsOf(settings, nil)
		if err != nil {
			return err
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			done := "Ring " + name + " added; nothing is pinned yet."
			if pin != "" {
				exact, word, _ := manifest.ParsePin(pin)
				done = "Ring " + name + " added, pinned to " + exact + word + "."
			}
			if err := f.SetRing(name, pin); err != nil || len(set) == 0 {
				return done, err
			}
			return done, f.SetRingSettings(name, set)
		})
	})
	c.Flags().StringVar(&pin, "pin", "", "the release that its sites run: a version or a line such as 1.2.x")
	c.Flags().StringArrayVar(&settings, "set", nil, "NAME=VALUE, a setting of its sites that is no secret; may be given more than once")
	return c
}

// mayPin refuses a version that the repository does not hold. Nothing is no pin.
func mayPin(r *sign.Repository, pin string) error {
	if pin == "" {
		return nil
	}
	exact, _, err := manifest.ParsePin(pin)
	if err == nil && exact != "" {
		_, err = r.Release(exact)
	}
	return err
}
