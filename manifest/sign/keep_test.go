package sign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
)

// loose is a file as people write it, in no form that a library would choose.
const loose = `# our fleet
format:   1
name:     drc        # the name

policy:
    window:   21:00-05:00      # by night


    keep:     3                # enough

rings:

    pilot:   { pin: 1.0.0 }    # the brave
    wave1:
        pin: 1.0.0             # later


# sites, north to south
sites:

    # the capital
    kin-001:   {ring: pilot}
    kin-002:   {ring: pilot,   pin: "1.0.0"}   # slow disk

    # the river
    mbd-001:
        ring:   wave1          # by boat
        hold:
            reason: flood
            since: 2026-11-01

    mbd-002:
        ring:   wave1
# end
`

func TestEditsKeepLines(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(f *FleetFile) error
		old  string // of loose
		new  string // in its place
	}{
		"nothing": {func(f *FleetFile) error { return f.SetSite("kin-001", manifest.Site{Ring: "pilot"}) }, "", ""},
		"a pin": {
			func(f *FleetFile) error { return f.PinRing("wave1", "1.1.0") },
			"        pin: 1.0.0             # later\n", "        pin: 1.1.0 # later\n",
		},
		"a site more": {
			func(f *FleetFile) error { return f.SetSite("mbd-003", manifest.Site{Ring: "wave1", Pin: "1.0.0"}) },
			"        ring:   wave1\n# end\n", "        ring:   wave1\n    mbd-003:\n        ring: wave1\n        pin: 1.0.0\n# end\n",
		},
		"a site less": {
			func(f *FleetFile) error { return f.RemoveSite("kin-002") },
			"    kin-002:   {ring: pilot,   pin: \"1.0.0\"}   # slow disk\n", "",
		},
		"a hold": {
			func(f *FleetFile) error {
				return f.SetSite("mbd-002", manifest.Site{Ring: "wave1", Hold: &manifest.Hold{Reason: "x", Since: time.Unix(0, 0)}})
			},
			"        ring:   wave1\n# end\n", "        ring:   wave1\n        hold:\n            reason: x\n            since: \"1970-01-01T00:00:00Z\"\n# end\n",
		},
	} {
		path := filepath.Join(t.TempDir(), "fleet.yaml")
		if err := os.WriteFile(path, []byte(loose), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := openFleetFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := test.edit(f); err != nil {
			t.Fatal(err)
		}
		if err := f.save(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(loose, test.old) {
			t.Fatalf("%s: the test is wrong", name)
		}
		if want := strings.Replace(loose, test.old, test.new, 1); string(got) != want {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}
