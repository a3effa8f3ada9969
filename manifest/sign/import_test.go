package sign

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
)

const listFleet = `format: 1
name: drc
rings: {pilot: {}, all: {}}
sites:
  kin-001: {ring: all, pin: 1.0.0, downgrade: true, settings: {NAME: old, KEPT: "1"}, hold: {reason: flood, since: 2026-01-01}}
`

func listed(t testing.TB) *FleetFile {
	f, err := parseFleetFile("fleet.yaml", []byte(listFleet))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var listNow = time.Date(2026, 11, 22, 3, 4, 5, 6, time.UTC)

func TestReadSites(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plain := map[string]manifest.Site{
		"kin-001": {
			Ring: "pilot", Pin: "1.0.0", Downgrade: true, Hold: &manifest.Hold{Reason: "flood", Since: began},
			Settings: map[string]string{"NAME": "old", "KEPT": "1"},
		},
		"kin-002": {Ring: "all"},
	}
	for name, test := range map[string]struct {
		text string
		want map[string]manifest.Site
	}{
		"plain":              {"site,ring\nkin-001,pilot\nkin-002,all\n", plain},
		"no last line end":   {"site,ring\nkin-001,pilot\nkin-002,all", plain},
		"excel":              {"\xef\xbb\xbfSite;Ring\r\nkin-001;pilot\r\nkin-002;all\r\n;\r\n", plain},
		"excel's separator":  {"\xef\xbb\xbfsep=;\r\nsite;ring\r\nkin-001;pilot\r\nkin-002;all\r\n", plain},
		"tabs":               {"site\tring\nkin-001\tpilot\nkin-002\tall\n", plain},
		"spaces and order":   {" ring , site \n pilot , kin-001 \nall,kin-002\n", plain},
		"columns that empty": {"site,ring,pin,hold,NAME\nkin-001,all,,,\n", map[string]manifest.Site{"kin-001": {Ring: "all", Settings: map[string]string{"KEPT": "1"}}}},
		"empty cells take":   {"site,ring,pin,hold,NAME,KEPT\nkin-001,all,,,,\n", map[string]manifest.Site{"kin-001": {Ring: "all"}}},
		"everything": {
			"site;ring;pin;Hold Reason;NAME;with_letters\nkin-001;all;1.0;flood;\"a; \"\"b\"\"\";ü\nkin-002;pilot;1.x;closed;;\n",
			map[string]manifest.Site{
				"kin-001": {
					Ring: "all", Pin: "1.0.0", Downgrade: true, Hold: &manifest.Hold{Reason: "flood", Since: began},
					Settings: map[string]string{"NAME": `a; "b"`, "KEPT": "1", "with_letters": "ü"},
				},
				"kin-002": {Ring: "pilot", Asked: "1.x", Hold: &manifest.Hold{Reason: "closed", Since: listNow.Truncate(time.Second)}},
			},
		},
	} {
		got, err := listed(t).ReadSites("sites.csv", []byte(test.text), listNow)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, test.want)
		}
	}
}

func TestReadSitesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "sites.csv:1:1: it is empty",
		"\xef\xbb\xbf\r\n":                    "sites.csv:1:1: it is empty",
		"site,ring\n":                         "sites.csv:1:1: it has no site",
		"name,ring\nkin-003,all\n":            `sites.csv:1:1: there is no column "site"; the first line names the columns: site, ring, pin, hold, and settings by their names`,
		"site,NAME\nkin-003,x\n":              `sites.csv:1:1: there is no column "ring"; the first line names the columns: site, ring, pin, hold, and settings by their names`,
		"site,ring,pins\nkin-003,all,":        `sites.csv:1:11: unknown column "pins" (did you mean "pin"?)`,
		"site,ring,\nkin-003,all,\n":          "sites.csv:1:11: this column has no name",
		"site,ring,A B\nkin-003,all,":         `sites.csv:1:11: column "A B" is none of site, ring, pin, hold, nor a setting: "A B" is not the name of a variable: letters, digits and _, a letter first`,
		"site,ring,PW\nkin-003,all,x":         "sites.csv:1:11: PW looks like a secret: fleet.yaml is signed and can be read by everybody; put it into the site's site.env",
		"site,ring\nkin-003,\n":               `sites.csv:2:9: there is no ring ""`,
		"site,ring\nkin-003\n":                "sites.csv:2:1: 1 columns here, 2 in the first line",
		"site,ring,hold\nkin-003,all,No\n":    `sites.csv:2:13: hold: "No" is no reason: leave the cell empty for a site that is not held`,
		"site,ring,hold\nkin-003,all,false":   `sites.csv:2:13: hold: "false" is no reason: leave the cell empty for a site that is not held`,
		"site,ring,hold\nkin-003,all,0":       `sites.csv:2:13: hold: "0" is no reason: leave the cell empty for a site that is not held`,
		"site,ring,hold\nkin-003,all,yes":     `sites.csv:2:13: hold: "yes" is no reason: write why the site is held, or leave the cell empty`,
		"site,ring,hold\nkin-003,all,TRUE":    `sites.csv:2:13: hold: "TRUE" is no reason: write why the site is held, or leave the cell empty`,
		"site,ring,hold\nkin-003,all,-":       `sites.csv:2:13: hold: "-" is no reason: write why the site is held, or leave the cell empty`,
		"site,ring,hold\nkin-003,all,x":       `sites.csv:2:13: hold: "x" is no reason: write why the site is held, or leave the cell empty`,
		"site,ring,hold\nk,all,\"flo\nod\"\n": "sites.csv:2:7: hold: the reason must be one line of at most 1000 bytes",
		"sep=;\nsite;ring\n;all\n":            `sites.csv:3:1: "" is not a good name: letters, digits, dots and dashes, at most 63`,
		"site,ring\nkin-003,\"all\n":          `sites.csv:2:14: extraneous or missing " in quoted-field`,
		"site,ring,N\nkin-003,all,\"a\nb\"\n": "sites.csv:2:13: the value of N must be one line of at most 4000 bytes",
		"\xff\xfes\x00i\x00":                  `sites.csv:1:1: it is in UTF-16: save it as "CSV UTF-8"`,
		"site,ring,N\nkin-003,all,caf\xe9\n":  `sites.csv:2: a letter here is not UTF-8: save it as "CSV UTF-8"`,
	} {
		got, err := listed(t).ReadSites("sites.csv", []byte(text), listNow)
		var list Mistakes
		if !errors.As(err, &list) || list[0].String() != want || got != nil {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	_, err := listed(t).ReadSites("sites.csv", []byte("site,ring\n"+strings.Repeat("kin-003,x\n", 1000)), listNow)
	var list Mistakes
	if !errors.As(err, &list) || len(list) < maxToldRows || len(list) > maxToldRows+2 {
		t.Errorf("%d mistakes of a thousand are kept", len(list))
	}
	if _, err := listed(t).ReadSites("sites.csv", make([]byte, maxSiteList+1), listNow); err == nil {
		t.Error("a list without end was read")
	}
}

func FuzzReadSites(f *testing.F) {
	f.Add([]byte("site,ring,pin,hold,NAME\nkin-001,all,1.x,flood,\"a,b\"\n"))
	f.Add([]byte("\xef\xbb\xbfsep=;\r\nsite;ring\r\nkin-001;pilot\r\n"))
	f.Add([]byte("site\tring\n\"a\n\"\tall"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := listed(t)
		sites, err := file.ReadSites("sites.csv", data, listNow)
		if err != nil {
			var list Mistakes
			if !errors.As(err, &list) || list.Error() == "" {
				t.Errorf("no place: %v", err)
			}
			return
		}
		if err := file.SetSites(sites); err != nil {
			t.Fatalf("read but not set: %v", err)
		}
		for name, s := range sites {
			if !reflect.DeepEqual(file.fleet.Sites[name], s) {
				t.Errorf("site %s: set %+v, reads %+v", name, s, file.fleet.Sites[name])
			}
		}
	})
}
