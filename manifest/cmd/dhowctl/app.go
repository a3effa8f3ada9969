package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/manifest/sign"
)

// app is what all commands share: streams, the clock, and global flags.
type app struct {
	in       *os.File
	out, err io.Writer
	now      func() time.Time

	fleet          string // folder of the fleet repository
	passphraseFile string
	keys           []string // more places with private keys
	running        bool     // flags and arguments were right, a command is at work
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, in *os.File, out, errs io.Writer) int {
	logrus.SetOutput(io.Discard) // the compose library warns there about things that we say better
	a := &app{in: in, out: out, err: errs, now: time.Now}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	if cmd, err := root.ExecuteContextC(ctx); err != nil {
		e := explain(err, a.running)
		if !a.running {
			e = misused(cmd, e)
		}
		fmt.Fprintf(errs, "dhowctl: %s\n", e.Message)
		if e.Hint != "" {
			fmt.Fprintf(errs, "hint: %s\n", e.Hint)
		}
		return e.Code
	}
	return api.CodeOK
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "dhowctl", Short: "Makes, signs and publishes the releases of a fleet",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args: known, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVarP(&a.fleet, "fleet", "C", ".", "folder of the fleet repository")
	root.PersistentFlags().StringVar(&a.passphraseFile, "passphrase-file", "",
		"file with the passphrase of the keys (or $"+passphraseVariable+")")
	root.PersistentFlags().StringArrayVar(&a.keys, "keys", nil, "folder or file with more private keys, such as a stick; may be given more than once")
	group := func(use, short string, commands ...*cobra.Command) *cobra.Command {
		g := &cobra.Command{Use: use, Short: short, Args: known, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
		g.AddCommand(commands...)
		return g
	}
	root.AddCommand(
		a.initCommand(),
		group("release", "Releases: make, list, show, remove", a.releaseCreate(), a.releaseList(), a.releaseShow(), a.releaseRemove()),
		group("ring", "Rings: groups of sites that run the same release", a.ringAdd(), a.ringSet(), a.ringList(), a.ringRemove()),
		group("site", "Sites: the computers of the fleet", a.siteAdd(), a.siteImport(), a.siteSet(), a.siteList(), a.siteRemove()),
		a.pin(), a.unpin(), a.promote(), a.hold(), a.releaseHold(), a.diff(), a.lint(),
		a.publish(), a.sign(), a.audit(),
		group("agent", "The agent: versions of dhow itself, and who runs which", a.agentAdd(), a.agentList(), a.agentPin(), a.agentRemove()),
		group("bundle", "Bundles: releases in one file, for a stick", a.bundleCreate(), a.bundleSplit(), a.bundleVerify()),
		group("key", "Keys: who may sign, and the one that copies of backups are encrypted to", a.keyCreate(), a.keyList(), a.keyAdd(),
			a.keyRemove(), a.keyRotate(), a.keyRenew(), a.keyThreshold(), a.keySign(), a.keyAbandon(), a.keyExport(), a.keyBackup()),
		group("support", "Support files of sites", a.supportOpen()),
		group("fleet", "The fleet as a whole (dhowctl help fleet.yaml is about the file)", a.fleetStatus()),
		group("root", "The root of trust that sites are given at install", a.rootShow()),
		a.version(), a.man(), a.fleetHelp(),
	)
	a.completions(root)
	return root
}

// command makes a command; run is called with flags and arguments that are right.
func (a *app) command(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
		a.running = true
		return run(c.Context(), args)
	}}
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (a *app) repository() (*sign.Repository, error) {
	r, err := sign.Open(a.fleet)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(api.CodeUsage, a.fleet+" is not a fleet repository: it has no fleet.yaml",
			"make one with dhowctl init DIR --name NAME, or name it with -C")
	}
	if err != nil {
		return nil, err
	}
	r.UseKeys(a.askSecret, a.keys...)
	return r, nil
}

// withStore opens the fleet repository and its blobs.
func (a *app) withStore() (*sign.Repository, *bundle.Store, error) {
	r, err := a.repository()
	if err != nil {
		return nil, nil, err
	}
	store, err := bundle.OpenStore(r.StoreDir())
	return r, store, err
}
