package page_test

import (
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/page/pagetest"
)

// A stick hides nothing that a person must see to, nor an update that is ready.
func TestBesideAStick(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	const (
		full     = "The disk is too full: 1.2 GB more must be free."
		fullDo   = " Delete what is not needed, such as films and downloads, but nothing of the system. It goes on by itself. "
		backup   = "There is no good new backup of the patient data."
		planned  = "An update is ready: 1.1.0. It is planned for today at 15:00."
		foreign  = "What is on the stick EMR JUNE does not come from the central team of this site. It was left alone."
		takeOut  = " Nothing was changed. You can take the stick out. "
		buttons  = " [Update now] [Not today]"
		install  = "Update 1.3.0 was found on the stick. Install it?"
		offline  = "There has been no connection to the central team for a long time (days: 12). Look at the cable and the modem, or ask the central team for a stick."
		trouble  = "Dhow, which looks after updates and backups, can’t go on. It tries again by itself."
		troubled = trouble + " Call for help. Do not switch off the computer. "
	)
	disk, off := by["needs-disk"].Status.Needs[0], by["needs-offline"].Status.Needs[0]
	for _, tt := range []struct {
		stick string
		needs []api.Need
		ready bool
		want  string
	}{
		{"stick-foreign", nil, true, foreign + takeOut + "Version 1.0.0 is running. " + planned + buttons},
		{"stick-foreign", []api.Need{disk, {Kind: api.NeedBackup}}, true, full + fullDo + backup + " " + foreign + takeOut + planned + buttons},
		{"stick-foreign", []api.Need{{Kind: api.NeedTrouble}, disk}, true, troubled + full + " " + foreign + takeOut + planned},
		{"stick-looking", []api.Need{disk}, false, full + fullDo + "Reading the stick EMR JUNE."},
		{"stick-looking", []api.Need{off}, true, "Reading the stick EMR JUNE. Please wait. " + offline + " " + planned},
		{"stick", []api.Need{{Kind: api.NeedTrouble}, disk}, false, troubled + full + " " + install + " [Install]"},
		{"stick", []api.Need{off}, true, install + " What is new: New malaria form The system will be away for about 3 minutes. " + offline + " " + planned + " [Install]"},
	} {
		s := by[tt.stick]
		s.Status.Needs = tt.needs
		if tt.ready {
			at := pagetest.Now.Add(time.Hour)
			s.Status.Pinned, s.Status.State, s.Status.NextApply = "1.1.0", api.StateReady, &at
		}
		if got := said(shown(t, s, "/?lang=en")); got != tt.want {
			t.Errorf("%s with %v, ready %v, says\n%s\nwant\n%s", tt.stick, tt.needs, tt.ready, got, tt.want)
		}
	}
}

// While the engine is away, what is under way is told with all that is true of it, whatever else is wrong.
func TestHeld(t *testing.T) {
	by := map[string]pagetest.State{}
	for _, s := range pagetest.States() {
		by[s.Name] = s
	}
	const waits = "The Docker Engine of this computer does not answer. What is under way waits for it. Do not switch off the computer in the first ten minutes. " +
		"If it stays like this for longer, start the computer again. If that does not help, call for help. Whom to call: Dr. Kalala, +243 81 555 0142"
	s := by["undoing"]
	s.Status.Needs = append(by["needs-config"].Status.Needs, by["needs-engine"].Status.Needs...)
	want := waits + ` The configuration can’t be used: /etc/dhow/dhow.yaml, line 3, column 5: unknown key "windwo" (did you mean "window"?) ` +
		"The update did not work. The system goes back to what it was; no data is lost. Step 8 of 11, backwards: stopping the new version. " +
		"1.0.0 → 1.1.0 Code for whoever helps: KIN-001-0017-R"
	if got := said(shown(t, s, "/?lang=en")); got != want {
		t.Errorf("going back:\n%s\nwant\n%s", got, want)
	}
	for _, state := range []string{api.StateBackup, api.StateFetching, api.StateBundle} {
		s := by["needs-engine"]
		s.Status.State = state
		if got := said(shown(t, s, "/?lang=en")); got != waits {
			t.Errorf("%s:\n%s\nwant\n%s", state, got, waits)
		}
	}
	s = by["needs-engine"]
	if got := said(shown(t, s, "/?lang=en")); strings.Contains(got, "under way") {
		t.Errorf("nothing is under way: %s", got)
	}
}
