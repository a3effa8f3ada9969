package manifest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleFleet() *Fleet {
	return &Fleet{
		Format: 2, Name: "drc-emr",
		Policy: Policy{
			Fetch: "*/30 * * * *", Window: "21:00-05:00", TimeZone: "Africa/Kinshasa", Keep: 3, Contact: "+243 1",
			Rate: "64 kB/s", Languages: []string{"fr", "en"},
			Quiet: "08:00-17:00", Budget: Budget{Day: "50 MB", Month: "1 GB"},
			Backup:    BackupPolicy{At: "0 2 * * *", Drill: "never", Keep: 14, Days: 60, Space: "20 GB"},
			BackupKey: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
		},
		Rings: map[string]Ring{
			"pilot": {Pin: "1.1.0", Asked: "1.x", Downgrade: true, Settings: map[string]string{"HTTP_PORT": "80", "SITE": "pilot"}},
			"all":   {},
		},
		Sites: map[string]Site{
			"kin-001": {Ring: "pilot"},
			"kin-002": {Ring: "all"},
			"kin-003": {Ring: "pilot", Pin: "1.0.0", Settings: map[string]string{"SITE": "Kin 3"}},
			"kin-004": {Ring: "pilot", Hold: &Hold{Reason: "audit", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}},
		},
	}
}

func TestAssignment(t *testing.T) {
	f := sampleFleet()
	ring := map[string]string{"HTTP_PORT": "80", "SITE": "pilot"}
	for site, want := range map[string]Assignment{
		"kin-001": {Site: "kin-001", Ring: "pilot", Pin: "1.1.0", Asked: "1.x", Downgrade: true, Settings: ring},
		"kin-002": {Site: "kin-002", Ring: "all"},
		"kin-003": {Site: "kin-003", Ring: "pilot", Pin: "1.0.0", Settings: map[string]string{"HTTP_PORT": "80", "SITE": "Kin 3"}},
		"kin-004": {Site: "kin-004", Ring: "pilot", Pin: "1.1.0", Asked: "1.x", Downgrade: true, Settings: ring, Hold: f.Sites["kin-004"].Hold},
	} {
		if got, err := f.Assignment(site); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", site, got, err)
		}
	}
	_, err := f.Assignment("kin-009")
	if want := `site is not in the fleet: "kin-009" is not a site of fleet drc-emr`; !errors.Is(err, ErrUnknownSite) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestFleetValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Fleet)
		want   string
	}{
		"format":     {func(f *Fleet) { f.Format = 3 }, "made for a newer version"},
		"name":       {func(f *Fleet) { f.Name = "" }, `the name ""`},
		"ring name":  {func(f *Fleet) { f.Rings["a/b"] = Ring{} }, `ring "a/b": not valid: the name "a/b"`},
		"site name":  {func(f *Fleet) { f.Sites["../x"] = Site{Ring: "all"} }, `site "../x": not valid`},
		"pin":        {func(f *Fleet) { f.Rings["all"] = Ring{Pin: "1.1"} }, `ring "all": not valid: pin "1.1" must be written 1.1.0`},
		"ring":       {func(f *Fleet) { f.Sites["kin-001"] = Site{Ring: "pilto"} }, `site "kin-001": not valid: there is no ring "pilto"`},
		"window":     {func(f *Fleet) { f.Policy.Window = "25:00-05:00" }, `policy: not valid: window "25:00-05:00" is not like 21:00-05:00`},
		"keep":       {func(f *Fleet) { f.Policy.Keep = 1 }, `keep is 1; it must be at least 2`},
		"backup key": {func(f *Fleet) { f.Policy.BackupKey = "age1secret" }, `policy: not valid: backupKey "age1secret" is not an age public key`},
		"asked":      {func(f *Fleet) { f.Rings["all"] = Ring{Pin: "1.1.0", Asked: "newest"} }, `ring "all": not valid: asked "newest" is not a line`},
		"unsettled":  {func(f *Fleet) { f.Rings["all"] = Ring{Asked: "1.x"} }, `ring "all": not valid: there is no pin for what is asked`},
		"downgrade":  {func(f *Fleet) { f.Sites["kin-001"] = Site{Ring: "all", Downgrade: true} }, `site "kin-001": not valid: there is no pin`},
		"setting":    {func(f *Fleet) { f.Rings["all"] = Ring{Settings: map[string]string{"A B": ""}} }, `"A B" is not the name of a variable`},
		"value":      {func(f *Fleet) { f.Rings["all"] = Ring{Settings: map[string]string{"A": "1\n2"}} }, `the value of "A" has control characters`},
		"rate":       {func(f *Fleet) { f.Policy.Rate = "fast" }, `policy: not valid: rate: "fast" is no speed: write it like "64 kB/s"`},
		"quiet":      {func(f *Fleet) { f.Policy.Quiet = "by day" }, `policy: not valid: quiet: quiet hours "by day" are not understood`},
		"budget":     {func(f *Fleet) { f.Policy.Budget.Month = "much" }, `policy: not valid: budget: month: "much" is no amount of space`},
		"space":      {func(f *Fleet) { f.Policy.Backup.Space = "much" }, `backup: space: "much" is no amount of space`},
		"days":       {func(f *Fleet) { f.Policy.Backup.Days = -1 }, `backup: keep and days are whole numbers`},
		"languages":  {func(f *Fleet) { f.Policy.Languages = []string{"f"} }, `"f" is not a language code`},
		"contact":    {func(f *Fleet) { f.Policy.Contact = "a\x1bb" }, `contact has control characters`},
		"reason":     {func(f *Fleet) { f.Sites["kin-004"].Hold.Reason = strings.Repeat("x", 1001) }, `the reason of the hold is longer`},
	} {
		f := sampleFleet()
		test.change(f)
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
		if _, err := f.Encode(); err == nil {
			t.Errorf("%s: a bad fleet was encoded", name)
		}
	}
}
