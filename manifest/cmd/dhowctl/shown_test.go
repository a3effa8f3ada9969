package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"dhow/agent/api"
	"dhow/bundle/pack"
	"dhow/manifest/manifesttest"
)

// desk is one computer of the central team, with a clock that stands still.
type desk struct {
	t     *testing.T
	fleet *manifesttest.Fleet
}

func newDesk(t *testing.T) *desk {
	t.Setenv(passphraseVariable, manifesttest.Passphrase)
	t.Setenv(byVariable, "Marie")
	settle = 20 * time.Millisecond
	t.Cleanup(func() { settle = 0 })
	f := manifesttest.New(t, "drc")
	return &desk{t, f}
}

// run returns what dhowctl prints. The fleet's folder is FLEET in it, and the fingerprint of its root PRINT.
func (d *desk) run(args ...string) (string, *api.Error) {
	d.t.Helper()
	var out bytes.Buffer
	a := &app{in: os.Stdin, out: &out, err: io.Discard, now: func() time.Time { return d.fleet.Now }}
	root := a.root()
	root.SetArgs(append([]string{"-C", d.fleet.Dir()}, args...))
	err := root.ExecuteContext(d.t.Context())
	text := strings.ReplaceAll(out.String(), d.fleet.Dir(), "FLEET")
	text = regexp.MustCompile(`\b\d{4}(-\d{4}){3}\b`).ReplaceAllString(text, "PRINT")
	if err != nil {
		return text, explain(err, a.running)
	}
	return text, nil
}

func (d *desk) must(args ...string) string {
	d.t.Helper()
	out, err := d.run(args...)
	if err != nil {
		d.t.Fatalf("dhowctl %q: %+v", args, err)
	}
	return out
}

// says compares the whole output of a command.
func (d *desk) says(want string, args ...string) {
	d.t.Helper()
	if got := d.must(args...); got != want {
		d.t.Errorf("dhowctl %q\n got:\n%s\nwant:\n%s", args, got, want)
	}
}

func (d *desk) date(after time.Duration) string {
	return d.fleet.Now.Add(after).UTC().Format(time.DateOnly)
}

const year = 365 * 24 * time.Hour

// TestSignShowsEverything: nothing that a file changes is out of the sight of those who sign it.
func TestSignShowsEverything(t *testing.T) {
	d := newDesk(t)
	d.fleet.AddRelease("1.0.0", nil)
	d.fleet.AddRelease("1.1.0", nil)
	d.fleet.Assign("kin-001", "pilot", "1.1.0")
	d.fleet.Publish()
	d.fleet.AddRelease("1.2.0", nil)
	yaml := filepath.Join(d.fleet.Dir(), "fleet.yaml")
	text := `format: 1
name: drc
policy: {fetch: "0 * * * *", window: 01:00-05:00, keep: 3, rate: 64 kB/s, contact: Marie}
rings:
  pilot: {pin: 1.1.0, downgrade: true, settings: {LANGUAGE: fr}}
sites:
  kin-001: {ring: pilot}
  kin-002: {ring: pilot, settings: {CLINIC_NAME: Kinshasa 2}}
`
	if err := os.WriteFile(yaml, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "next.json")
	shown := func(changes string) string {
		return "fleet      drc, root fingerprint PRINT (held against FLEET)\nprepared   by Marie\n" +
			"manifest   2 (expires " + d.date(year) + ")\n" + changes + "signatures manifest 2: 0 of 1; missing: 1 of release\n"
	}
	want := shown(`changes    release 1.2.0 added
           policy contact nothing → Marie
           policy rate nothing → 64 kB/s
           policy window 21:00-05:00 → 01:00-05:00
           ring pilot downgrade nothing → true
           ring pilot settings.LANGUAGE nothing → fr
           site kin-002 added to ring pilot
           site kin-002 settings.CLINIC_NAME nothing → Kinshasa 2
sites      1 site will move: 1 new → 1.1.0; other settings for 1 site, from the next release on that each takes.
           1 new → 1.1.0: kin-002
           other settings: kin-001
`)
	d.says(want+fmt.Sprintf("Written to %s. Where the keys are: dhowctl sign %s\n", file, file), "publish", "--prepare", file)
	d.says(want+"Signed with release.\nmanifest 2: 1 of 1 (release)\n"+
		fmt.Sprintf("Nothing is missing. Bring %s to the fleet repository: dhowctl publish --finish %s --to …\n", file, file), "sign", file, "--yes")
	asJSON := d.must("sign", file, "--json")
	expires := regexp.MustCompile(`"expires": ".*"`)
	if got := expires.ReplaceAllString(asJSON, `"expires": "E"`); got != signJSON {
		t.Errorf("got:\n%s\nwant:\n%s", got, signJSON)
	}

	// Many changes: the first, and how many more. The same of many sites is one line.
	for i := range 30 {
		text += fmt.Sprintf("  goma-%03d: {ring: pilot, settings: {NUMBER: \"%d\"}}\n", i, i)
	}
	if err := os.WriteFile(yaml, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	changes := `changes    release 1.2.0 added
           policy contact nothing → Marie
           policy rate nothing → 64 kB/s
           policy window 21:00-05:00 → 01:00-05:00
           ring pilot downgrade nothing → true
           ring pilot settings.LANGUAGE nothing → fr
           31 sites added to ring pilot (goma-000, …, kin-002)
`
	for i := range 13 {
		changes += fmt.Sprintf("           site goma-%03d settings.NUMBER nothing → %d\n", i, i)
	}
	changes += `           and 18 more, see --json
sites      31 sites will move: 31 new → 1.1.0; other settings for 1 site, from the next release on that each takes.
           31 new → 1.1.0: goma-000, goma-001, goma-002, goma-003, goma-004 and 26 more
           other settings: kin-001
`
	d.says(shown(changes)+fmt.Sprintf("Written to %s2. Where the keys are: dhowctl sign %s2\n", file, file), "publish", "--prepare", file+"2")
	if all := d.must("sign", file+"2", "--json"); !strings.Contains(all, `"text": "site kin-002 settings.CLINIC_NAME nothing → Kinshasa 2"`) ||
		!strings.Contains(all, `"text": "site goma-029 settings.NUMBER nothing → 29"`) {
		t.Errorf("not all is in:\n%s", all)
	}
}

const signJSON = `{
  "fleet": "drc",
  "fingerprint": "PRINT",
  "compared": true,
  "behind": false,
  "by": "Marie",
  "manifest": {
    "number": 2,
    "expires": "E",
    "unproven": false,
    "changes": [
      {
        "what": "release",
        "name": "1.2.0",
        "text": "release 1.2.0 added"
      },
      {
        "what": "policy",
        "to": "Marie",
        "text": "policy contact nothing → Marie"
      },
      {
        "what": "policy",
        "to": "64 kB/s",
        "text": "policy rate nothing → 64 kB/s"
      },
      {
        "what": "policy",
        "from": "21:00-05:00",
        "to": "01:00-05:00",
        "text": "policy window 21:00-05:00 → 01:00-05:00"
      },
      {
        "what": "ring",
        "name": "pilot",
        "to": "true",
        "text": "ring pilot downgrade nothing → true"
      },
      {
        "what": "ring",
        "name": "pilot",
        "to": "fr",
        "text": "ring pilot settings.LANGUAGE nothing → fr"
      },
      {
        "what": "site",
        "name": "kin-002",
        "to": "pilot",
        "text": "site kin-002 added to ring pilot"
      },
      {
        "what": "site",
        "name": "kin-002",
        "to": "Kinshasa 2",
        "text": "site kin-002 settings.CLINIC_NAME nothing → Kinshasa 2"
      }
    ],
    "moves": [
      {
        "from": "",
        "to": "1.1.0",
        "sites": [
          "kin-002"
        ],
        "cannot": "",
        "back": false,
        "allowed": true
      }
    ],
    "held": [],
    "released": [],
    "removed": [],
    "settings": [
      "kin-001"
    ],
    "forbidden": []
  },
  "signatures": [
    {
      "document": "manifest 2",
      "need": 1,
      "signed": [
        "release"
      ]
    }
  ],
  "complete": true
}
`

// TestPublishJSON is the whole of it.
func TestPublishJSON(t *testing.T) {
	d := newDesk(t)
	web := filepath.Join(t.TempDir(), "web")
	d.must("ring", "add", "pilot")
	d.must("site", "add", "kin-001", "--ring", "pilot")
	published := func(isNew bool, removed string) string {
		at := d.fleet.Now.UTC().Truncate(time.Second).Add(90 * 24 * time.Hour).Format(time.RFC3339)
		return fmt.Sprintf(`{
  "manifest": %d,
  "expires": %q,
  "new": %v,
  "to": [
    %q
  ],
  "releases": [],
  "bytes": 0,
  "warnings": [],
  "moves": [],
  "held": [],
  "released": [],
  "removed": %s,
  "settings": [],
  "forbidden": []
}
`, map[bool]int{true: 1, false: 2}[removed == "[]"], at, isNew, web, removed)
	}
	d.says(published(true, "[]"), "publish", "--to", web, "--json")
	d.says(published(false, "[]"), "publish", "--to", web, "--json")
	d.must("site", "remove", "kin-001")
	d.says(published(true, "[\n    \"kin-001\"\n  ]"), "publish", "--to", web, "--json")
}

// TestTakeOver: the claim of a computer that has died is ended by who says so, and by none else.
func TestTakeOver(t *testing.T) {
	d := newDesk(t)
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	place := "oci://" + strings.TrimPrefix(s.URL, "http://") + "/f"
	anna, err := pack.Begin(t.Context(), place, pack.Publisher{By: "Anna on laptop-9", ID: "another", Settle: settle})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(anna.End)
	out, failed := d.run("publish", "--to", place)
	want := api.Error{
		Code: api.CodeBusy, Hint: "wait for it to end, then git pull, then publish again; when that computer has died: --take-over",
		Message: "cannot publish to " + place + ": somebody else is publishing there: Anna on laptop-9, who may go on until TIME",
	}
	if failed != nil {
		failed.Message = regexp.MustCompile(`\d\d:\d\d:\d\d$`).ReplaceAllString(failed.Message, "TIME")
	}
	if failed == nil || !reflect.DeepEqual(*failed, want) || out != "" {
		t.Errorf("\n got %q, %+v\nwant %+v", out, failed, want)
	}
	if _, err := os.Stat(filepath.Join(d.fleet.Dir(), "metadata", "timestamp.json")); err == nil {
		t.Error("something was signed all the same")
	}
	done := "Published: manifest 1 (expires " + d.date(90*24*time.Hour) + "), no release yet.\n"
	d.says(done, "publish", "--to", place, "--take-over")
	err = anna.Publish(t.Context(), pack.Contents{Documents: map[string][]byte{}}, func(int64, int64) {})
	if err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("she went on: %v", err)
	}
	d.says(done, "publish", "--to", place)
}
