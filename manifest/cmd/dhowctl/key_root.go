package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/manifest/sign"
)

// changeRoot shows what a change of the root would do, makes the new key where there is one, and signs the next root as far as the keys
// here reach.
func (a *app) changeRoot(ctx context.Context, change sign.RootChange, fresh *sign.NewKey) error {
	r, err := a.repository()
	if err != nil {
		return err
	}
	r.By = by(ctx, r.Dir())
	plan, err := r.PlanRoot(change, a.now())
	if err != nil {
		return err
	}
	a.printf("Root %d: %s.\n", plan.Version, strings.Join(plan.Effect, ", "))
	var pass []byte
	if fresh != nil {
		pass, err = a.newPassphrase()
	} else {
		pass, err = a.passphrase(false)
	}
	if err != nil {
		return err
	}
	file := ""
	if fresh != nil {
		file = filepath.Join(r.Dir(), "keys", fresh.Name+".json")
		if err := fresh.Save(file, pass, keyOptions...); err != nil {
			return err
		}
	}
	next, err := r.PrepareRoot(change, pass, a.now())
	if fresh != nil && (errors.Is(err, sign.ErrPassphrase) || errors.Is(err, sign.ErrKey)) {
		return errors.Join(err, os.Remove(file)) // nothing was written that names it
	}
	if err != nil {
		return err
	}
	if fresh != nil {
		a.printf("Created %s: key %s for the role %s, encrypted with the passphrase.\n", file, fresh.Name, fresh.Role)
	}
	return a.sayRoot(r, next)
}

// sayRoot says how far a new root has come and what is to be done.
func (a *app) sayRoot(r *sign.Repository, next *sign.NextRoot) error {
	by := "nobody yet"
	if len(next.Signed) > 0 {
		by = strings.Join(next.Signed, ", ")
	}
	if next.RootKeys == next.Need && next.Need > 1 {
		a.warnf(allKeys, next.Need)
	}
	if len(next.Missing) > 0 {
		a.printf("Root %d is signed by %s and waits for %s.\n", next.Version, by, strings.Join(next.Missing, ", and for "))
		a.printf("Go on here with dhowctl key sign --keys DIR, or elsewhere with dhowctl publish --prepare FILE; dhowctl key abandon drops it.\n")
		return nil
	}
	a.printf("Root %d is signed by %s. Sites follow at their next poll after dhowctl publish.\n", next.Version, by)
	list, err := r.Keys()
	if err != nil {
		return err
	}
	for _, role := range list.Roles {
		if role.Role == sign.RoleRoot && role.Threshold == 1 {
			a.warnf("%s", oneKey)
		}
	}
	for _, k := range list.Other {
		a.printf("%s is not in the root: when it was replaced, remove the file.\n", k.File)
	}
	a.warnExpiry(r)
	return nil
}

func (a *app) keySign() *cobra.Command {
	return a.command("sign", "Sign the root that waits for signatures, with the keys here", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		staged, err := r.StagedRoot()
		if err != nil {
			return err
		}
		if staged == nil {
			return sign.ErrNoRoot
		}
		a.printf("Root %d: %s.\n", staged.Version, strings.Join(staged.Effect, ", "))
		pass, err := a.passphrase(false)
		if err != nil {
			return err
		}
		next, err := r.SignRoot(pass)
		if err != nil {
			return err
		}
		return a.sayRoot(r, next)
	})
}

func (a *app) keyAbandon() *cobra.Command {
	return a.command("abandon", "Throw away the root that waits for signatures", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		version, left, err := r.AbandonRoot()
		if err != nil {
			return err
		}
		what := fmt.Sprintf("Root %d", version)
		switch {
		case left:
			a.printf("What was left of preparing root %d is removed; the newest root stays as it is.\n", version)
			return nil
		case version == 0:
			what = "The damaged root"
		}
		a.printf("%s is dropped; nothing of it was signed for sites. Keys that were made for it are still in %s.\n",
			what, filepath.Join(r.Dir(), "keys"))
		return nil
	})
}
