package report

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func sample() Report {
	at := time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC)
	return Report{
		Number: 7, Fleet: "drc-emr", Site: "kin-001", Made: at, Agent: "1.0", Release: "1.1.0", Pinned: "1.2.0", Manifest: 12, State: "idle",
		Backup: at, Needs: []string{"disk"},
		Updates: []Update{{Receipt: "KIN-001-0018-R", Kind: "apply", From: "1.1.0", To: "1.2.0", Result: "rolled back", Step: "check-health", Class: "release", Started: at, Finished: at}},
	}
}

func signed(t testing.TB, r Report) []byte {
	t.Helper()
	data, err := r.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReportIsReadBack(t *testing.T) {
	want := sample()
	data := signed(t, want)
	got, by, err := Parse(data)
	if err != nil || !reflect.DeepEqual(got, want) || by != Key(key.Public().(ed25519.PublicKey)) {
		t.Fatalf("got %+v by %s, %v", got, by, err)
	}
	var again bytes.Buffer
	if err := json.Indent(&again, data, "\t", "        "); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Parse(again.Bytes()); err != nil {
		t.Errorf("indented anew: %v", err)
	}
}

// The written form stays: sites and centres of different ages read each other's.
func TestFormatOfTheFile(t *testing.T) {
	r := Report{Number: 1, Fleet: "f", Site: "a", Made: time.Unix(0, 0).UTC(), Agent: "1", Release: "1.0.0", State: "idle"}
	const want = `{
  "format": 1,
  "key": "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=",
  "signature": "SIGNATURE",
  "report": {
    "number": 1,
    "fleet": "f",
    "site": "a",
    "made": "1970-01-01T00:00:00Z",
    "agent": "1",
    "release": "1.0.0",
    "state": "idle"
  }
}
`
	data := signed(t, r)
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(f.Signature)
	if got := strings.Replace(string(data), string(raw), `"SIGNATURE"`, 1); got != want {
		t.Errorf("got %s", got)
	}
	const body = `{"number":1,"fleet":"f","site":"a","made":"1970-01-01T00:00:00Z","agent":"1","release":"1.0.0","state":"idle"}`
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("dhow-report 1\n"+body), f.Signature) {
		t.Error("the signature is over something else")
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	good := string(signed(t, sample()))
	for _, c := range []struct {
		name, data string
		want       error
	}{
		{"empty", "", ErrInvalid},
		{"no JSON", "report", ErrInvalid},
		{"another release", strings.Replace(good, `"release": "1.1.0"`, `"release": "1.3.0"`, 1), ErrForged},
		{"another number", strings.Replace(good, `"number": 7`, `"number": 8`, 1), ErrForged},
		{"something more", strings.Replace(good, `"number": 7`, `"number": 7, "more": 1`, 1), ErrForged},
		{"a key twice", strings.Replace(good, `"number": 7`, `"number": 7, "number": 7`, 1), ErrInvalid},
		{"another key", strings.Replace(good, "ed25519:6k", "ed25519:7k", 1), ErrForged},
		{"no key", strings.Replace(good, "ed25519:", "rsa:", 1), ErrInvalid},
		{"newer", strings.Replace(good, `"format": 1`, `"format": 2`, 1), manifest.ErrNewer},
		{"no format", strings.Replace(good, `"format": 1`, `"format": 0`, 1), ErrInvalid},
		{"cut short", good[:len(good)/2], ErrInvalid},
		{"long", good + strings.Repeat(" ", MaxSize), manifest.ErrTooLarge},
	} {
		if _, _, err := Parse([]byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What is printed at the centre, or becomes the name of a file, is bounded however well it is signed.
func TestSignedButUnfit(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"a path":    func(r *Report) { r.Site = "../../etc/passwd" },
		"no site":   func(r *Report) { r.Site = "" },
		"a colour":  func(r *Report) { r.Release = "\x1b[31m1.0.0" },
		"two lines": func(r *Report) { r.Updates[0].Result = "done\nkin-002 1.2.0" },
		"long":      func(r *Report) { r.State = strings.Repeat("x", maxText+1) },
		"no number": func(r *Report) { r.Number = 0 },
		"many":      func(r *Report) { r.Updates = make([]Update, MostUpdates+1) },
	} {
		r := sample()
		change(&r)
		if _, err := r.Sign(key); err == nil {
			t.Errorf("%s: it was signed", name)
		}
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(file{Format: Format, Key: Key(key.Public().(ed25519.PublicKey)), Signature: ed25519.Sign(key, toSign(body)), Report: body})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Parse(data); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSame(t *testing.T) {
	a, b := sample(), sample()
	b.Number, b.Made = 9, b.Made.Add(time.Hour)
	if !a.Same(b) {
		t.Error("only the number and the hour are others")
	}
	b.Backup = b.Backup.Add(time.Hour)
	if a.Same(b) {
		t.Error("a new backup is news")
	}
}

func TestFileNames(t *testing.T) {
	if FileName("kin-001") != "dhow-report-kin-001.json" {
		t.Error(FileName("kin-001"))
	}
	for name, want := range map[string]bool{
		"dhow-report-kin-001.json": true, "dhow-report-.json": false, "dhow-report-a/b.json": false, "report.json": false, "dhow-report-a.json.bak": false,
	} {
		if IsFileName(name) != want {
			t.Error(name)
		}
	}
	if got := Fingerprint(Key(key.Public().(ed25519.PublicKey))); len(got) != 24 || strings.Count(got, "-") != 4 {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(signed(f, sample()))
	f.Add([]byte(`{"format":1,"key":"ed25519:","signature":"","report":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, by, err := Parse(data)
		if err != nil {
			return
		}
		if err := r.check(); err != nil || !strings.HasPrefix(by, keyKind) || len(data) > MaxSize {
			t.Fatalf("%+v by %q, %v", r, by, err)
		}
	})
}
