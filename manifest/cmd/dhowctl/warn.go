package main

import (
	"fmt"

	"dhow/manifest/sign"
)

// warnf prints a warning where errors go.
func (a *app) warnf(format string, args ...any) {
	fmt.Fprintf(a.err, "warning: "+format+"\n", args...)
}

// expiryWarnings says what comes to an end soon, and what to do about it. What can't be read is for others to report.
func (a *app) expiryWarnings(r *sign.Repository) []string {
	warnings := []string{}
	list, err := r.Expiries(a.now())
	if err != nil {
		return warnings
	}
	for _, e := range list {
		remedy := "dhowctl publish"
		if e.Root {
			remedy = "dhowctl key renew, then dhowctl publish"
		}
		warnings = append(warnings, e.Text+": "+remedy)
	}
	return warnings
}

func (a *app) warnExpiry(r *sign.Repository) {
	for _, w := range a.expiryWarnings(r) {
		a.warnf("%s", w)
	}
}
