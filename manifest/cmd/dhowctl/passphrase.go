package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

const (
	passphraseVariable = "DHOWCTL_PASSPHRASE"
	pinVariable        = "DHOWCTL_PIN"
	maxPassphrase      = 4096
)

// passphrase returns the passphrase of the keys: from --passphrase-file, the environment, or the terminal, where a new one is asked for
// twice.
func (a *app) passphrase(fresh bool) ([]byte, error) {
	if a.passphraseFile != "" {
		f, err := os.Open(a.passphraseFile)
		if err != nil {
			return nil, fail(api.CodeUsage, "cannot read the passphrase: "+err.Error(),
				"--passphrase-file names a file whose only line is the passphrase")
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
		if err != nil {
			return nil, fail(api.CodeUsage, "cannot read the passphrase: "+err.Error(), "")
		}
		return notEmpty(bytes.TrimRight(data, "\r\n"))
	}
	if text, ok := os.LookupEnv(passphraseVariable); ok {
		return notEmpty([]byte(text))
	}
	if _, ok := os.LookupEnv(pinVariable); ok && !fresh && !term.IsTerminal(int(a.in.Fd())) {
		return nil, nil // the keys that are needed are in a token
	}
	if !term.IsTerminal(int(a.in.Fd())) {
		return nil, fail(api.CodeUsage, "the passphrase of the keys is needed",
			"give it with --passphrase-file FILE or $"+passphraseVariable+", or run this on a terminal")
	}
	first, err := a.ask("Passphrase for the keys: ")
	if err != nil {
		return nil, err
	}
	if fresh {
		second, err := a.ask("The same again: ")
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(first, second) {
			return nil, fail(api.CodeUsage, "the two passphrases differ", "nothing was made; try again")
		}
	}
	return notEmpty(first)
}

// askSecret returns the passphrase of one key, which the common one does not open, or the PIN of its token.
func (a *app) askSecret(key sign.Key, pin bool) ([]byte, error) {
	what := "Passphrase"
	if pin {
		what = "PIN of the token"
		if text, ok := os.LookupEnv(pinVariable); ok {
			return notEmpty([]byte(text))
		}
	}
	switch {
	case term.IsTerminal(int(a.in.Fd())):
		return a.ask(fmt.Sprintf("%s for key %s: ", what, key.Name))
	case pin:
		return nil, fail(api.CodeUsage, "the PIN of the token with key "+key.Name+" is needed", "give it with $"+pinVariable+", or run this on a terminal")
	}
	return nil, fmt.Errorf("cannot open key %s: %w", key.Name, sign.ErrPassphrase)
}

func (a *app) ask(prompt string) ([]byte, error) {
	fmt.Fprint(a.err, prompt)
	text, err := term.ReadPassword(int(a.in.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return nil, fail(api.CodeUsage, "cannot read the passphrase: "+err.Error(), "")
	}
	return text, nil
}

func notEmpty(pass []byte) ([]byte, error) {
	if len(pass) == 0 {
		return nil, fail(api.CodeUsage, "the passphrase is empty", "")
	}
	return pass, nil
}
