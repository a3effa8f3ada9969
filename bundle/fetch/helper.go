package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// helperWait is how long a credential helper may take; tests are in a hurry.
var helperWait = 20 * time.Second

// maxHelper bounds what a credential helper may say, in bytes.
const maxHelper = 64 << 10

// helperName keeps a configuration from naming a path.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// notStored is what a helper says, by Docker's protocol, when nobody has logged in.
const notStored = "credentials not found in native keychain"

// askHelper asks a credential helper of Docker for the login of a server. Its errors go on after the name of the helper.
func askHelper(ctx context.Context, helper, server string) (Credential, error) {
	if !helperName.MatchString(helper) {
		return Credential{}, errors.New("has an impossible name")
	}
	program, err := exec.LookPath("docker-credential-" + helper)
	if err != nil {
		return Credential{}, errors.New("is not on the PATH")
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, helperWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second // a child of it may keep its output open
	out := &bounded{}
	cmd.Stdout = out
	err = cmd.Run()
	text := strings.TrimSpace(string(out.data))
	switch {
	case parent.Err() != nil:
		return Credential{}, context.Cause(parent)
	case ctx.Err() != nil:
		return Credential{}, fmt.Errorf("did not answer within %v", helperWait)
	case out.over:
		return Credential{}, errors.New("answered more than anybody can need")
	case err != nil && text == notStored:
		return Credential{}, nil
	case err != nil && text != "":
		return Credential{}, fmt.Errorf("failed: %s", oneLine(text))
	case err != nil:
		return Credential{}, fmt.Errorf("failed: %w", err)
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(out.data, &answer) != nil || answer.Secret == "" {
		return Credential{}, errors.New("gave no login")
	}
	if answer.Username == "<token>" {
		return Credential{Identity: answer.Secret}, nil
	}
	return Credential{User: answer.Username, Password: answer.Secret}, nil
}

// bounded keeps the beginning of what is written.
type bounded struct {
	data []byte
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := maxHelper - len(b.data)
	b.over = b.over || len(p) > room
	b.data = append(b.data, p[:min(len(p), room)]...)
	return len(p), nil
}

// oneLine makes a text of another program fit for an error.
func oneLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}
