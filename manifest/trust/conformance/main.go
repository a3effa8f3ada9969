// Command conformance runs the client workflow of a site, dhow/manifest/trust.Workflow, behind the command line of the public
// tuf-conformance suite (https://github.com/theupdateframework/tuf-conformance, CLIENT-CLI.md). It is for tests only and part of no
// release.
//
//	conformance --metadata-dir D init ROOT.json
//	conformance --metadata-dir D --metadata-url U refresh
//	conformance --metadata-dir D --metadata-url U --target-name T [--target-name T]… --target-base-url U2 --target-dir D2 download
//
// It ends with 0, or with 1 and a line on standard error. Trusted documents stand in D as they were signed: root.json,
// timestamp.json, snapshot.json, targets.json, and a file for each delegated role; files that were fetched stand in D2. Names of roles and files
// are quoted as in a URL, so that each is one file. A file that is there and is what the signed lists say is not fetched again.
//
// A site keeps the same documents in its two slots (see package trust); sticks, the fleet document and release documents are beyond TUF
// and not seen here.
//
// To run the suite, which needs Python and faketime:
//
//	go build -o /tmp/dhow-tuf ./manifest/trust/conformance
//	git clone https://github.com/theupdateframework/tuf-conformance && cd tuf-conformance && make dev
//	DHOW_CLOCK='date +%s' ./env/bin/pytest tuf_conformance --entrypoint /tmp/dhow-tuf
//
// The suite changes the time with faketime, which Go programs don't see. With DHOW_CLOCK the time is what this shell command prints, in
// seconds since 1970; "date" does see it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}
