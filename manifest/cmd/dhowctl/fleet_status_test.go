package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dhow/manifest/report"
)

// signReport writes a report as a site does.
func signReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: sign-report DIR SITE NUMBER RELEASE KEY [RESULT]")
	}
	number, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	now := time.Now().UTC().Truncate(time.Second)
	r := report.Report{
		Number: number, Fleet: "f", Site: args[1], Made: now.Add(-time.Hour), Agent: "1.0", Release: args[3], State: "idle", Backup: now.Add(-2 * time.Hour),
		Updates: []report.Update{{Receipt: "A-0001", Kind: "apply", From: "0.9.0", To: args[3], Result: "done", Finished: now.Add(-time.Hour)}},
	}
	if len(args) > 5 {
		r.Updates[0].Result, r.Updates[0].Step, r.Updates[0].Class, r.Needs = args[5], "check-health", "release", []string{"disk"}
	}
	data, err := r.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte(args[4][:1]), ed25519.SeedSize)))
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o755))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), report.FileName(r.Site)), data, 0o644))
}
