//go:build pkcs11

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestTokenScripts runs testdata/pkcs11/*.txtar with a token in software: its library is $MODULE, its label dhow, its PIN 9753124.
func TestTokenScripts(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if err != nil || len(found) == 0 {
		t.Fatalf("the library of SoftHSM is missing: apt-get install softhsm2 (%v)", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "pkcs11"),
		Setup: func(e *testscript.Env) error {
			e.Setenv(passphraseVariable, "correct horse")
			e.Setenv("MODULE", found[0])
			config, tokens := filepath.Join(e.WorkDir, "softhsm2.conf"), filepath.Join(e.WorkDir, "tokens")
			e.Setenv("SOFTHSM2_CONF", config)
			if err := os.Mkdir(tokens, 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(config, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600); err != nil {
				return err
			}
			cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "dhow", "--pin", "9753124", "--so-pin", "administrator")
			cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+config)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("cannot make a token: %w\n%s", err, out)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}
