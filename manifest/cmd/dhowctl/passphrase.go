package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"dhow/agent/api"
)

const (
	passphraseVariable = "DHOWCTL_PASSPHRASE"
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
