package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) keyAdd() *cobra.Command {
	var n int
	c := a.command("add FILE|PUBLIC", "Let a key sign, from the next root on", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		key, err := readKey(args[0])
		if err != nil {
			return err
		}
		return a.changeRoot(ctx, sign.RootChange{Add: []sign.Key{key}, Threshold: thresholdOf(key.Role, n)}, nil)
	})
	c.Long = "FILE is a key file, of which only the public half is used; PUBLIC is the line that dhowctl key create prints."
	c.Flags().IntVar(&n, "threshold", 0, "how many keys of its role must sign from then on")
	return c
}

func (a *app) keyRemove() *cobra.Command {
	var n int
	c := a.command("remove NAME", "Let a key sign no more, from the next root on", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		role := ""
		if key, err := rootKey(r, args[0]); err == nil {
			role = key.Role
		}
		return a.changeRoot(ctx, sign.RootChange{Remove: args, Threshold: thresholdOf(role, n)}, nil)
	})
	c.Flags().IntVar(&n, "threshold", 0, "how many keys of its role must sign from then on")
	return c
}

func thresholdOf(role string, n int) map[string]int {
	if n == 0 {
		return nil
	}
	return map[string]int{role: n}
}

func (a *app) keyThreshold() *cobra.Command {
	return a.command("threshold ROLE NUMBER", "Say how many keys of a role must sign", cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return fail(api.CodeUsage, fmt.Sprintf("%q is not a number of keys", args[1]), "dhowctl key threshold root 2")
		}
		return a.changeRoot(ctx, sign.RootChange{Threshold: map[string]int{args[0]: n}}, nil)
	})
}

func (a *app) keyRenew() *cobra.Command {
	return a.command("renew", "Make a root with the same keys and a new lifetime", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.changeRoot(ctx, sign.RootChange{}, nil)
	})
}

func (a *app) keyRotate() *cobra.Command {
	var with, as string
	c := a.command("rotate NAME", "Replace a key by a new one in one new root", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		old, err := rootKey(r, args[0])
		if err != nil {
			return err
		}
		if with != "" {
			key, err := readKey(with)
			if err != nil {
				return err
			}
			if key.Role != old.Role {
				return fail(api.CodeUsage, fmt.Sprintf("key %s is for the role %s, and %s for %s", key.Name, key.Role, old.Name, old.Role), "")
			}
			return a.changeRoot(ctx, sign.RootChange{Add: []sign.Key{key}, Remove: args}, nil)
		}
		if as == "" {
			if as, err = r.NextName(old.Name); err != nil {
				return err
			}
		}
		key, err := sign.MakeKey(as, old.Role)
		if err != nil {
			return usage(err)
		}
		return a.changeRoot(ctx, sign.RootChange{Add: []sign.Key{key.Key}, Remove: args}, key)
	})
	c.Flags().StringVar(&with, "with", "", "the new key: a key file, or the public line that dhowctl key create prints")
	c.Flags().StringVar(&as, "as", "", "name of the new key")
	c.MarkFlagsMutuallyExclusive("with", "as")
	return c
}

// readKey reads the public half of a key from a file, or from the line that key create prints.
func readKey(arg string) (sign.Key, error) {
	if _, err := os.Stat(arg); err == nil {
		return sign.ReadKey(arg)
	} else if strings.Count(arg, ":") < 3 {
		return sign.Key{}, fail(api.CodeUsage, "there is no key file "+arg, "name a key file, or give the line that dhowctl key create has printed")
	}
	return sign.ParseKeyLine(arg)
}

// rootKey finds a key of the newest root by its name.
func rootKey(r *sign.Repository, name string) (sign.Key, error) {
	list, err := r.Keys()
	if err != nil {
		return sign.Key{}, err
	}
	var known []string
	for _, role := range list.Roles {
		for _, k := range role.Keys {
			if k.Name == name {
				return k.Key, nil
			}
			known = append(known, k.Name)
		}
	}
	return sign.Key{}, fail(api.CodeUsage, fmt.Sprintf("there is no key %s in root %d (there is %s)", name, list.Root, strings.Join(known, ", ")),
		"dhowctl key list shows them")
}
