package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// maxImport bounds the file, in bytes; the list itself is bounded once more by who reads it.
const maxImport = 32 << 20

// toldMistakes is how many mistakes one message lists.
const toldMistakes = 10

// lookAlike is what is said of sites such as kin-001 and KIN-001.
const lookAlike = "these names differ in capital letters only; are they one computer?"

func (a *app) siteImport() *cobra.Command {
	var dry, allow bool
	c := a.command("import FILE.csv", "Add and change many sites at once", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		data, err := readBounded(args[0], maxImport)
		if err != nil {
			return err
		}
		sites, err := r.Fleet().ReadSites(args[0], data, a.now())
		if err != nil {
			return importMistakes(args[0], err)
		}
		added, changed, same := 0, map[string]manifest.Site{}, 0
		for name, s := range sites {
			switch old, ok := r.Fleet().Fleet().Sites[name]; {
			case !ok:
				added++
				changed[name] = s
			case reflect.DeepEqual(old, s):
				same++
			default:
				changed[name] = s
			}
		}
		done := fmt.Sprintf("Imported %s: %d new, %d changed, %d as before.", args[0], added, len(changed)-added, same)
		if dry {
			done = fmt.Sprintf("Would import %s: %d new, %d changed, %d as before. Nothing was changed.", args[0], added, len(changed)-added, same)
		}
		if err := a.apply(r, allow, dry, func(f *sign.FleetFile) error { return f.SetSites(changed) },
			func(*manifest.Fleet) string { return done }); err != nil {
			return err
		}
		for _, group := range r.Fleet().LookAlikes() {
			if slices.ContainsFunc(group, func(name string) bool { _, ok := changed[name]; return ok }) {
				a.printf("warning: %s: %s\n", strings.Join(group, ", "), lookAlike)
			}
		}
		return nil
	})
	c.Long = "Reads a list of sites as spreadsheets save it: CSV with commas, semicolons or tabs, in UTF-8. The first line names the columns: site and\n" +
		"ring, and where wanted pin, hold (its reason), and settings that are no secrets, each under its own name. Sites that are new are added;\n" +
		"those that are there keep what the list has no column for, and an empty cell takes a value away. Every line has a\n" +
		"cell for each column. With a mistake anywhere nothing is changed."
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	c.Flags().BoolVar(&allow, "allow-downgrade", false, "also to older releases, where the releases permit it")
	return c
}

// importMistakes lists what is wrong in a list of sites.
func importMistakes(file string, err error) error {
	var list sign.Mistakes
	if !errors.As(err, &list) {
		return err
	}
	lines := []string{fmt.Sprintf("cannot import %s: %s; nothing was changed", file, count(len(list), "mistake"))}
	for i, m := range list {
		if i == toldMistakes {
			lines = append(lines, "  …")
			break
		}
		lines = append(lines, "  "+m.String())
	}
	return fail(api.CodeUsage, strings.Join(lines, "\n"), "dhowctl site import --help says what the columns are")
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fail(api.CodeUsage, fmt.Sprintf("%s is larger than %d bytes", path, limit), "")
	}
	return data, err
}
