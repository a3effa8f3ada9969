package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// fail makes an error with an exit code and a hint.
func fail(code int, message, hint string) error {
	return &api.Error{Code: code, Message: message, Hint: hint}
}

// kinds maps what packages report to exit codes and hints; the first that fits counts.
var kinds = []struct {
	kind error
	code int
	hint string
}{
	{sign.ErrPassphrase, api.CodeUsage, "the passphrase is the one that was given when the key was made"},
	{sign.ErrPIN, api.CodeUsage, "tokens lock themselves after a few wrong PINs: look it up before you try again"},
	{sign.ErrNoTokens, api.CodeRefused, "build it with CGO_ENABLED=1 go build -tags pkcs11 ./manifest/cmd/dhowctl"},
	{sign.ErrKeyFile, api.CodeUsage, "get it from where you keep a copy, or replace the key: dhowctl key rotate NAME"},
	{sign.ErrKey, api.CodeUsage, "dhowctl key list shows the keys of the fleet"},
	{sign.ErrLockOut, api.CodeRefused, "add a key first, or lower --threshold in the same command"},
	{sign.ErrNoRoot, api.CodeUsage, "dhowctl key add, remove, rotate and renew prepare one"},
	{sign.ErrRootExpired, api.CodeRefused, "dhowctl key renew makes a new root; or is this computer's clock wrong?"},
	{sign.ErrRoot, api.CodeRefused, "git pull; dhowctl key abandon drops a root that was prepared here"},
	{pack.ErrClaimed, api.CodeBusy, "wait for it to end, then " + pullFirst + "; when that computer has died: --take-over"},
	{pack.ErrOvertaken, api.CodeRefused, pullFirst},
	{sign.ErrBusy, api.CodeBusy, "wait for it to end and try again"},
	{sign.ErrInUse, api.CodeRefused, "leave it: what no ring or site is pinned to, none moves to"},
	{sign.ErrUnknownRelease, api.CodeUsage, "dhowctl release list shows what is there"},
	{sign.ErrDowngrade, api.CodeRefused, "allow it with dhowctl pin … --allow-downgrade, or \"downgrade: true\" beside the pin in fleet.yaml"},
	{sign.ErrAgentDowngrade, api.CodeRefused, "allow it with dhowctl agent pin VERSION --allow-downgrade, or \"agentDowngrade: true\" beside it in fleet.yaml"},
	{sign.ErrUnknownAgent, api.CodeUsage, "dhowctl agent list shows what is there; add one: dhowctl agent add VERSION DIST"},
	{sign.ErrFleetFile, api.CodeUsage, ""},
	{sign.ErrNotSigned, api.CodeUsage, "publish first: dhowctl publish --to oci://HOST/PATH or a folder"},
	{sign.ErrNothingNew, api.CodeRefused, "fleet.yaml and releases say what was signed last; dhowctl publish --to … renews its date"},
	{sign.ErrOutdated, api.CodeRefused, "prepare it anew: dhowctl publish --prepare FILE"},
	{sign.ErrMissing, api.CodeRefused, "sign where the other keys are: dhowctl sign FILE; or dhowctl publish --prepare FILE to begin (README, Keys)"},
	{sign.ErrCeremony, api.CodeNotTrusted, "do not sign it; ask where it comes from"},
	{sign.ErrExists, api.CodeUsage, ""},
	{manifest.ErrUnknownSite, api.CodeUsage, "dhowctl site list shows them"},
	{trust.ErrOtherFleet, api.CodeNotTrusted, "it was made for another fleet; is the root the right one?"},
	{trust.ErrForged, api.CodeNotTrusted, "do not use it; ask where it comes from"},
	{trust.ErrStale, api.CodeNotTrusted, "make a new one from the newest manifest"},
	{trust.ErrExpired, api.CodeNotTrusted, "publish again, then make a new one"},
	{trust.ErrUnknownRelease, api.CodeNotTrusted, "publish first, then make a new one"},
	{trust.ErrDamaged, api.CodeNotTrusted, "copy it again, or make a new one"},
	{author.ErrDamaged, api.CodeNotTrusted, "make it again at its source"},
	{bundle.ErrUnsafePath, api.CodeNotTrusted, "do not use it; ask where it comes from"},
	{bundle.ErrTooLarge, api.CodeNotTrusted, "do not use it; ask where it comes from"},
	{bundle.ErrNoMetadata, api.CodeNotTrusted, "a bundle is made with dhowctl bundle create"},
	{fetch.ErrSeveral, api.CodeUsage, "name the file, not the folder"},
	{bundle.ErrDamaged, api.CodeNotTrusted, "copy it again, or make a new one"},
	{bundle.ErrUnreachable, api.CodeUnreachable, "is it there, and is the network up?"},
	{manifest.ErrPlatform, api.CodeRefused, "dhowctl release show says for which computers a release is made"},
	{manifest.ErrNewer, api.CodeRefused, "install the newest dhowctl"},
	{manifest.ErrInvalid, api.CodeUsage, ""},
	{context.Canceled, api.CodeInternal, ""},
}

// missingFlags and missingOne match what cobra says about flags that a command can't do without.
var (
	missingFlags = regexp.MustCompile(`^required flag\(s\) (.*) not set$`)
	missingOne   = regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`)
)

// wanting says that in our words.
func wanting(text string) string {
	if m := missingFlags.FindStringSubmatch(text); m != nil {
		names := strings.Split(strings.ReplaceAll(m[1], `"`, ""), ", ")
		verb := " is missing"
		if len(names) > 1 {
			verb = " are missing"
		}
		return "--" + strings.Join(names, " and --") + verb
	}
	if m := missingOne.FindStringSubmatch(text); m != nil {
		return "--" + strings.Join(strings.Fields(m[1]), " or --") + " is missing"
	}
	return text
}

// explain turns any error into what is printed. running is false when the command line itself was wrong.
func explain(err error, running bool) *api.Error {
	var known *api.Error
	if errors.As(err, &known) {
		return known
	}
	e := &api.Error{Code: api.CodeInternal, Message: err.Error()}
	if !running {
		e.Message = wanting(e.Message)
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			e.Code, e.Hint = k.code, k.hint
			break
		}
	}
	var dial *net.OpError
	var request *url.Error
	var answer *transport.Error
	var made *author.Error
	switch {
	case !running:
		e.Code = api.CodeUsage
	case errors.As(err, &made):
		if e.Code == api.CodeInternal {
			e.Code = api.CodeUsage
		}
		e.Hint = made.Hint
	case e.Code != api.CodeInternal:
	case errors.As(err, &answer):
		e.Code, e.Hint = api.CodeUnreachable, "the registry answered, but not with what was asked: may you write there? (docker login)"
	case errors.As(err, &dial), errors.As(err, &request):
		e.Code, e.Hint = api.CodeUnreachable, "is the network up, and the address right?"
	case errors.Is(err, fs.ErrNotExist):
		e.Code = api.CodeUsage
	}
	return e
}
