package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) keyCreate() *cobra.Command {
	var role, file string
	var token sign.Token
	c := a.command("create NAME", "Make a key, on any computer", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		name := args[0]
		if file == "" {
			file = name + ".json"
			if _, err := os.Stat(filepath.Join(a.fleet, "fleet.yaml")); err == nil {
				file = filepath.Join(a.fleet, "keys", name+".json")
			}
		}
		if _, err := os.Lstat(file); err == nil {
			return fail(api.CodeUsage, fmt.Sprintf("cannot make key %s: %s is there already", name, file), "choose another name, or another file with -o")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if token.Module != "" {
			return a.makeTokenKey(name, role, file, token)
		}
		key, err := sign.MakeKey(name, role)
		if err != nil {
			return usage(err)
		}
		pass, err := a.newPassphrase()
		if err != nil {
			return err
		}
		if err := key.Save(file, pass, keyOptions...); err != nil {
			return err
		}
		a.printf("Created %s: key %s for the role %s, encrypted with the passphrase.\n", file, name, role)
		a.sayPublic(key.Key)
		return nil
	})
	c.Long = "Makes a key file, and prints the public half in one line for dhowctl key add where the fleet repository is.\n" +
		"With --module the key is made in a token, or found there under its label, and the file only says where it is."
	c.Flags().StringVar(&role, "role", sign.RoleRelease, "what it signs: root, release or freshness")
	c.Flags().StringVarP(&file, "output", "o", "", "file to write (default: NAME.json in the folder keys of the fleet, or here)")
	c.Flags().StringVar(&token.Module, "module", "", "PKCS#11 library of the token, a path")
	c.Flags().StringVar(&token.Label, "token", "", "label of the token")
	c.Flags().StringVar(&token.Key, "label", "", "label of the key pair in the token (default: NAME)")
	c.MarkFlagsRequiredTogether("module", "token")
	return c
}

func (a *app) makeTokenKey(name, role, file string, token sign.Token) error {
	if token.Key == "" {
		token.Key = name
	}
	if err := sign.CheckTokens(); err != nil {
		return err
	}
	pin, err := a.askSecret(sign.Key{Name: name, Role: role}, true)
	if err != nil {
		return err
	}
	key, err := sign.MakeTokenKey(name, role, token, pin)
	if err != nil {
		return err
	}
	if err := key.Save(file); err != nil {
		return err
	}
	a.printf("Created %s: key %s for the role %s is in the token %s.\n", file, name, role, token.Label)
	a.sayPublic(key.Key)
	return nil
}

func (a *app) sayPublic(k sign.Key) {
	a.printf("Public half, for dhowctl key add: %s\n", k.Line())
}

// newPassphrase asks for the passphrase of a key that is made.
func (a *app) newPassphrase() ([]byte, error) {
	pass, err := a.passphrase(true)
	if err == nil && utf8.RuneCount(pass) < minPassphrase {
		err = fail(api.CodeUsage, fmt.Sprintf("the passphrase is shorter than %d characters", minPassphrase),
			"it guards the keys of the whole fleet: take several words")
	}
	return pass, err
}
