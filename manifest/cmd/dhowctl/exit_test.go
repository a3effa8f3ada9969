package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"testing"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

func TestExitCodes(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("cannot do it: %w", err) }
	for _, c := range []struct {
		err  error
		code int
	}{
		{errors.New("something"), api.CodeInternal},
		{fail(api.CodeBusy, "x", ""), api.CodeBusy},
		{wrap(fail(api.CodeRefused, "x", "")), api.CodeRefused},
		{wrap(sign.ErrPassphrase), api.CodeUsage},
		{wrap(sign.ErrBusy), api.CodeBusy},
		{wrap(sign.ErrFleetFile), api.CodeUsage},
		{wrap(sign.ErrUnknownRelease), api.CodeUsage},
		{wrap(sign.ErrNotSigned), api.CodeUsage},
		{wrap(fetch.ErrSeveral), api.CodeUsage},
		{wrap(manifest.ErrNewer), api.CodeRefused},
		{wrap(trust.ErrForged), api.CodeNotTrusted},
		{wrap(trust.ErrStale), api.CodeNotTrusted},
		{wrap(trust.ErrOtherFleet), api.CodeNotTrusted},
		{wrap(trust.ErrExpired), api.CodeNotTrusted},
		{wrap(bundle.ErrDamaged), api.CodeNotTrusted},
		{wrap(bundle.ErrUnsafePath), api.CodeNotTrusted},
		{wrap(bundle.ErrNoMetadata), api.CodeNotTrusted},
		{wrap(bundle.ErrUnreachable), api.CodeUnreachable},
		{wrap(&net.OpError{Op: "dial", Err: errors.New("refused")}), api.CodeUnreachable},
		{wrap(manifest.ErrPlatform), api.CodeRefused},
		{wrap(manifest.ErrInvalid), api.CodeUsage},
		{wrap(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}), api.CodeUsage},
		{wrap(&fs.PathError{Op: "write", Path: "x", Err: errors.New("no space left")}), api.CodeInternal},
		{&author.Error{Text: "bad compose file"}, api.CodeUsage},
		{&author.Error{Text: "x", Err: bundle.ErrUnreachable}, api.CodeUnreachable},
		{&author.Error{Text: "x", Err: author.ErrNoImage}, api.CodeUsage},
		{&author.Error{Text: "x", Err: author.ErrDamaged}, api.CodeNotTrusted},
	} {
		if got := explain(c.err, true); got.Code != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got.Code, c.code)
		}
	}
	if got := explain(errors.New("unknown flag: --x"), false); got.Code != api.CodeUsage {
		t.Errorf("wrong command line: exit code %d", got.Code)
	}
}

func TestWanting(t *testing.T) {
	for text, want := range map[string]string{
		`required flag(s) "to" not set`:                                  "--to is missing",
		`required flag(s) "output", "release" not set`:                   "--output and --release are missing",
		`at least one of the flags in the group [ring site] is required`: "--ring or --site is missing",
		`unknown flag: --x`:                                              "unknown flag: --x",
	} {
		if got := explain(errors.New(text), false); got.Message != want || got.Code != api.CodeUsage {
			t.Errorf("%s:\n got %s\nwant %s", text, got.Message, want)
		}
	}
}

func TestSizesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1 kB", 949_600: "950 kB", 5_100_000: "5.1 MB", 412_400_000: "412 MB", 2_500_000_000: "2.5 GB",
		999_999: "1.0 MB", 9_960_000: "10 MB", 999_999_999: "1.0 GB",
	} {
		if got := author.SizeText(n); got != want {
			t.Errorf("SizeText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	table := newTable("SITE", "RUNS")
	table.add("kin-001", "1.0.0")
	table.add("Bâle", "-")
	if got, want := table.String(), "SITE     RUNS\nkin-001  1.0.0\nBâle     -\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
