package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle/durable"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

func (a *app) sign() *cobra.Command {
	var o signOptions
	c := a.command("sign FILE", "Add the signatures of this computer's keys to a file of publish --prepare", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return a.signFile(args[0], o) })
	c.Flags().StringArrayVar(&o.merge, "merge", nil, "take over the signatures of another copy of FILE; may be given more than once")
	c.Flags().StringVar(&o.fingerprint, "fingerprint", "", "refuse the file unless this is the fingerprint of the fleet's root")
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&o.json, "json", false, "show what would change and who has signed, as JSON; sign nothing")
	return c
}

type signOptions struct {
	merge       []string
	fingerprint string
	yes, json   bool
}

func (a *app) signFile(file string, o signOptions) error {
	if o.fingerprint != "" {
		read, err := trust.ReadFingerprint(o.fingerprint)
		if err != nil {
			return fail(api.CodeUsage, fmt.Sprintf("--fingerprint: %v", err), "the central team reads it from: dhowctl root show")
		}
		o.fingerprint = read
	}
	r, err := a.anyRepository()
	if err != nil {
		return err
	}
	p, err := a.judge(r, file, o.merge)
	if err != nil {
		return err
	}
	if o.fingerprint != "" && o.fingerprint != p.Fingerprint {
		return fail(api.CodeNotTrusted, fmt.Sprintf("%s is of a fleet with another root: its fingerprint is %s", file, p.Fingerprint),
			"do not sign it; ask where it comes from")
	}
	shown, err := propose(r, p)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(proposalJSON(shown))
	}
	keyring := sign.Keyring{Places: append([]string{filepath.Join(a.fleet, "keys")}, a.keys...), Ask: a.askSecret}
	found, err := p.Found(keyring)
	if err != nil {
		return err
	}
	a.printf("%s", proposalText(shown, a.fleet))
	if len(found) == 0 {
		if len(o.merge) > 0 {
			return a.saveCeremony(p, file)
		}
		return fail(api.CodeRefused, "no key that counts here is in "+strings.Join(keyring.Places, " or "), "name the folder of the keys with --keys DIR")
	}
	trusted := p.Compared || o.fingerprint != ""
	switch {
	case o.yes && !trusted:
		return fail(api.CodeUsage, "there is no fleet repository here to hold the file against",
			"name it with -C, or give the root's fingerprint that the central team reads: --fingerprint "+p.Fingerprint)
	case !o.yes && !trusted:
		err = a.confirm(fmt.Sprintf("Is %s the root's fingerprint that the central team reads, and do you want all this? Sign with %s? Type yes: ",
			p.Fingerprint, strings.Join(found, ", ")))
	case !o.yes:
		err = a.confirm("Sign with " + strings.Join(found, ", ") + "? Type yes: ")
	}
	if err != nil {
		return err
	}
	if keyring.Pass, err = a.passphrase(false); err != nil {
		return err
	}
	by, err := p.Sign(keyring)
	if err != nil {
		return err
	}
	if len(by) > 0 {
		a.printf("Signed with %s.\n", strings.Join(by, ", "))
	} else {
		a.printf("The keys here have signed it already.\n")
	}
	return a.saveCeremony(p, file)
}

// saveCeremony puts the file back with all signatures, and says what is next.
func (a *app) saveCeremony(p *sign.Proposal, file string) error {
	c, err := p.Ceremony()
	if err != nil {
		return err
	}
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("cannot save %s: %w", file, err)
	}
	whole := true
	for _, w := range p.Wanting() {
		a.printf("%s\n", wantingText(w))
		whole = whole && w.Done()
	}
	if whole {
		a.printf("Nothing is missing. Bring %s to the fleet repository: dhowctl publish --finish %s --to …\n", file, file)
	}
	return nil
}

// anyRepository opens the fleet repository, or returns nil where there is none and none was asked for.
func (a *app) anyRepository() (*sign.Repository, error) {
	r, err := sign.Open(a.fleet)
	if errors.Is(err, fs.ErrNotExist) && a.fleet == "." {
		return nil, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return a.repository()
	}
	return r, err
}

// judge reads a ceremony file and other copies of it.
func (a *app) judge(r *sign.Repository, file string, copies []string) (*sign.Proposal, error) {
	var first *sign.Proposal
	for _, name := range append([]string{file}, copies...) {
		c, err := readCeremony(name)
		if err != nil {
			return nil, err
		}
		p, err := c.Judge(r, a.now())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if first == nil {
			first = p
			continue
		}
		if err := first.Merge(p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return first, nil
}

func readCeremony(name string) (*sign.Ceremony, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the ceremony file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, sign.MaxCeremony+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the ceremony file: %w", err)
	}
	c, err := sign.ParseCeremony(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// confirm asks on the error stream and reads a line: anything but yes is no.
func (a *app) confirm(question string) error {
	fmt.Fprint(a.err, question)
	var line [8]byte
	n := 0
	for n < len(line) {
		if _, err := a.in.Read(line[n : n+1]); err != nil || line[n] == '\n' {
			break
		}
		n++
	}
	if strings.TrimSpace(string(line[:n])) != "yes" {
		return fail(api.CodeNotConfirmed, "nothing was signed", "type yes, or say --yes")
	}
	return nil
}
