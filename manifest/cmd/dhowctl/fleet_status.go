package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/report"
)

// siteStatus is one site of fleet status --json. Report is the newest one that is known, nil when its key is not accepted.
type siteStatus struct {
	Site   string         `json:"site"`
	Pin    string         `json:"pin"` // what it must run, by fleet.yaml
	Report *report.Report `json:"report"`
	Key    string         `json:"key_fingerprint"`
	Files  []string       `json:"files"` // that were read for it now
	Notes  []string       `json:"notes"` // what somebody should see to
}

// refusal is why a report does not count.
type refusal struct {
	code             int
	hint, file, text string
}

// quietDays is for how long a site may make no backup until that is said.
const quietDays = 7

func (a *app) fleetStatus() *cobra.Command {
	var from []string
	var accept, asJSON bool
	c := a.command("status", "Say how the sites are, by the reports that came on sticks", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		fleet, err := r.Resolve()
		if err != nil {
			return err
		}
		desk := reportDesk{dir: r.Dir(), fleet: fleet.Name, accept: accept}
		if err := desk.read(from); err != nil {
			return err
		}
		lines := a.siteLines(fleet, desk)
		if asJSON {
			err = a.printJSON(lines)
		} else {
			a.tellSites(fleet, lines, len(from) > 0)
		}
		if err != nil || len(desk.refused) == 0 {
			return err
		}
		worst := desk.refused[0]
		for _, w := range desk.refused {
			a.warnf("%s: %s", w.file, w.text)
			if w.code == api.CodeNotTrusted {
				worst = w
			}
		}
		return fail(worst.code, count(len(desk.refused), "report")+" did not count", worst.hint)
	})
	c.Long = "Reads reports that sites have left on sticks (dhow-report-SITE.json) and keeps the newest of each site in " + keptReports + "/ of the fleet\n" +
		"repository, which belongs into git; without --from it says what is kept. A site signs with its own key: the first report of a site\n" +
		"counts once it was accepted with --accept, every later one must be signed with the same key."
	c.Flags().StringArrayVar(&from, "from", nil, "a report, or a folder with reports, such as a stick; may be given more than once")
	c.Flags().BoolVar(&accept, "accept", false, "accept the keys of sites from which no report was there before")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// siteLines says how each site is of which there is a report.
func (a *app) siteLines(fleet *manifest.Fleet, desk reportDesk) []siteStatus {
	lines := []siteStatus{}
	for _, name := range sorted(desk.sites) {
		d := desk.sites[name]
		l := siteStatus{Site: name, Report: d.newest, Key: report.Fingerprint(d.key), Files: d.files, Notes: []string{}}
		as, err := fleet.Assignment(name)
		if err != nil {
			l.Notes = append(l.Notes, "not in fleet.yaml")
		}
		l.Pin = as.Pin
		l.Notes = append(l.Notes, d.notes...)
		if d.newest != nil {
			l.Notes = append(l.Notes, a.reportNotes(*d.newest)...)
		}
		lines = append(lines, l)
	}
	return lines
}

// reportNotes is what somebody should see to at a site.
func (a *app) reportNotes(r report.Report) (notes []string) {
	if len(r.Updates) > 0 && r.Updates[0].Result != api.ResultDone {
		u := r.Updates[0]
		notes = append(notes, strings.TrimSpace(fmt.Sprintf("%s at %s (%s) %s", u.Result, u.Step, u.Class, u.Receipt)))
	}
	if len(r.Needs) > 0 {
		notes = append(notes, "needs: "+strings.Join(r.Needs, ", "))
	}
	if r.Health != "" && r.Health != "healthy" {
		notes = append(notes, r.Health)
	}
	switch idle := r.Made.Sub(r.Backup); {
	case r.Release == "":
	case r.Backup.IsZero():
		notes = append(notes, "no backup yet")
	case idle > quietDays*24*time.Hour:
		notes = append(notes, "no backup for "+daysText(idle))
	}
	if !r.Drill.IsZero() && !r.DrillOK {
		notes = append(notes, "the backup could not be restored on trial")
	}
	if r.Made.After(a.now().Add(time.Hour)) {
		notes = append(notes, "its clock is ahead")
	}
	return notes
}

func daysText(d time.Duration) string { return count(int(d/(24*time.Hour)), "day") }

func (a *app) tellSites(fleet *manifest.Fleet, lines []siteStatus, asked bool) {
	if len(lines) == 0 {
		if asked {
			a.printf("No reports there. Sites leave them on the sticks that bring their releases.\n")
			return
		}
		a.printf("No reports yet. Read them from a stick: dhowctl fleet status --accept --from /media/usb\n")
		return
	}
	t := newTable("SITE", "RUNS", "PINNED", "LAST UPDATE", "BACKUP", "REPORT", "NOTES")
	known := map[string]bool{}
	for _, l := range lines {
		known[l.Site] = true
		if l.Report == nil {
			t.add(l.Site, "-", dash(l.Pin), "-", "-", "-", strings.Join(l.Notes, "; "))
			continue
		}
		r, update, backup := *l.Report, "-", "-"
		if len(r.Updates) > 0 {
			u := r.Updates[0]
			update = strings.TrimSpace(u.From+" → "+u.To) + " " + u.Result + " " + u.Finished.Format(time.DateOnly)
		}
		if !r.Backup.IsZero() {
			backup = r.Backup.Format(time.DateOnly)
		}
		t.add(l.Site, dash(r.Release), dash(l.Pin), update, backup, a.ageText(r.Made), dash(strings.Join(l.Notes, "; ")))
	}
	a.printf("%s", t)
	silent := 0
	for name := range fleet.Sites {
		if !known[name] {
			silent++
		}
	}
	if silent > 0 {
		a.printf("No report yet of %s.\n", count(silent, "other site"))
	}
}

// ageText says how old a report is.
func (a *app) ageText(made time.Time) string {
	switch age := a.now().Sub(made); {
	case age < 0:
		return made.Format(time.DateOnly)
	case age < 24*time.Hour:
		return "today"
	default:
		return daysText(age) + " ago"
	}
}
