package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// manySites is sampleFleet with so many more sites, one in fifty pinned by itself.
func manySites(n int) *Fleet {
	f := sampleFleet()
	for i := range n {
		s := Site{Ring: "pilot"}
		if i%50 == 0 {
			s.Pin = "1.0.0"
		}
		f.Sites[fmt.Sprintf("health-centre-%d", i*7919)] = s
	}
	return f
}

func encoded(t testing.TB, f *Fleet) FleetFiles {
	t.Helper()
	files, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// counted counts the bytes of the parts that are asked for.
func counted(files FleetFiles, n *int) FleetFiles {
	inner := files.Part
	files.Part = func(b Blob) ([]byte, error) {
		data, err := inner(b)
		*n += len(data)
		return data, err
	}
	return files
}

func TestFleetRoundTrip(t *testing.T) {
	for _, n := range []int{0, 252, 253, 2000} {
		f := manySites(n)
		a := encoded(t, f)
		parts, err := a.Parts()
		if err != nil || (len(parts) > 0) != (n > 252) {
			t.Errorf("%d sites are in %d parts, %v", n+4, len(parts), err)
		}
		whole, err := ParseFleet(a, "")
		if err != nil || !reflect.DeepEqual(whole, f) {
			t.Fatalf("%d sites: %v", n+4, err)
		}
		b := encoded(t, whole)
		again, err := b.Parts()
		if err != nil || !bytes.Equal(a.Fleet, b.Fleet) || !bytes.Equal(a.Sites, b.Sites) || !reflect.DeepEqual(parts, again) {
			t.Errorf("%d sites: the same fleet gives other bytes: %v", n+4, err)
		}
		for site := range f.Sites {
			one, err := ParseFleet(a, site)
			if err != nil {
				t.Fatal(err)
			}
			got, errGot := one.Assignment(site)
			want, errWant := f.Assignment(site)
			if errGot != nil || errWant != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %+v, want %+v, %v", site, got, want, errGot)
			}
		}
		one, err := ParseFleet(a, "stranger")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Assignment("stranger"); !errors.Is(err, ErrUnknownSite) {
			t.Errorf("error %v", err)
		}
	}
}

func TestTenThousandSitesStaySmall(t *testing.T) {
	f := manySites(10_000)
	before := encoded(t, f)
	f.Rings["pilot"] = Ring{Pin: "1.2.0"}
	after := encoded(t, f)
	if len(after.Fleet) > 500 || !bytes.Equal(before.Sites, after.Sites) {
		t.Errorf("a new pin of a ring moves %d bytes, the list of parts changed: %v", len(after.Fleet), !bytes.Equal(before.Sites, after.Sites))
	}
	n := 0
	if _, err := ParseFleet(counted(after, &n), "health-centre-7919"); err != nil || n > 2500 || len(after.Sites) > 2000 {
		t.Errorf("a site needs %d bytes of parts and %d of their list, %v", n, len(after.Sites), err)
	}
}

func packed(t testing.TB, data []byte) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(data, nil)
}

// document packs a document of the fleet.
func document(t testing.TB, text string) []byte { return packed(t, []byte(text)) }

func TestFleetDocumentsThatAreWrong(t *testing.T) {
	good := encoded(t, sampleFleet())
	bomb := packed(t, make([]byte, 64<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb is %d bytes", len(bomb))
	}
	for name, data := range map[string][]byte{
		"empty": nil, "not packed": []byte(`{"format":2}`), "cut": good.Fleet[:len(good.Fleet)-3], "empty document": packed(t, nil),
		"deep": packed(t, bytes.Repeat([]byte("["), 99)), "bomb": bomb,
	} {
		for _, files := range []FleetFiles{{Fleet: data, Sites: good.Sites}, {Fleet: good.Fleet, Sites: data}} {
			if _, err := ParseFleet(files, ""); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	many := `{"format":2,"parts":[` + strings.Repeat(`{},`, maxSiteParts) + `{}]}`
	for _, c := range []struct{ fleet, sites, want string }{
		{`{"format":3}`, "", "cannot read fleet: made for a newer version of dhow: format 3, this one reads up to 2"},
		{"", `{"format":3}`, "cannot read fleet: sites.json.zst: made for a newer version of dhow: format 3, this one reads up to 2"},
		{`{"format":2,"name":"x","sites":{"a":{"ring":"b"}}}`, "", "cannot read fleet: not valid: sites do not stand in fleet.json.zst"},
		{"", `{"format":2,"sites":{"a":{"ring":"b"}}}`, `site "a": not valid: there is no ring "b"`},
		{"", `{"format":2,"sites":{"a":{"ring":"all"},"a":{"ring":"pilot"}}}`, `the key "a" stands twice`},
		{"", `{"format":2,"sites":{"a":{"ring":"all"}},"parts":[{}]}`, "sites.json.zst has sites and parts"},
		{"", many, "sites.json.zst has sites and parts, or more than 4096 parts"},
		{"", `{"format":2,"parts":[{}]}`, "part 0 of sites.json.zst: not valid: it has no SHA-256 digest or an impossible size"},
		{"", `{"format":2,"parts":["x"]}`, "cannot read fleet: sites.json.zst: not valid: json:"},
	} {
		files := good
		if c.fleet != "" {
			files.Fleet = document(t, c.fleet)
		}
		if c.sites != "" {
			files.Sites = document(t, c.sites)
		}
		if _, err := ParseFleet(files, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s%.60s:\n got %v\nwant %s", c.fleet, c.sites, err, c.want)
		}
	}
}

func TestPartsThatAreWrong(t *testing.T) {
	good := encoded(t, sampleFleet())
	other := 1 - part("kin-001", 2)
	for _, c := range []struct {
		content string
		serve   func([]byte) ([]byte, error)
		want    string
	}{
		{`{"format":2,"sites":{}}`, func(b []byte) ([]byte, error) { return append(b, 0), nil }, "not valid: it is not what was signed"},
		{`{"format":2,"sites":{}}`, func(b []byte) ([]byte, error) { b[len(b)-1] ^= 1; return b, nil }, "not valid: it is not what was signed"},
		{`{"format":2,"sites":{}}`, func([]byte) ([]byte, error) { return nil, fs.ErrNotExist }, "sites.json.zst: file does not exist"},
		{`{"format":2,"sites":{"kin-001":{"ring":"all"}}}`, nil, `not valid: site "kin-001" belongs to another part`},
		{`{"format":2,"parts":[{}]}`, nil, "not valid: a part has no parts"},
		{`{"format":3}`, nil, "made for a newer version of dhow"},
		{`{"format":2,"sites":{"x":[]}}`, nil, "not valid: json:"},
	} {
		data := document(t, c.content)
		empty := document(t, `{"format":2}`)
		index := sitesDocument{Format: 2, Parts: make([]Blob, 2)}
		index.Parts[other] = Blob{Digest: digest.FromBytes(data), Size: int64(len(data))}
		index.Parts[1-other] = Blob{Digest: digest.FromBytes(empty), Size: int64(len(empty))}
		text, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		files := FleetFiles{Fleet: good.Fleet, Sites: packed(t, text), Part: func(b Blob) ([]byte, error) {
			if b == index.Parts[1-other] {
				return empty, nil
			}
			if c.serve == nil {
				return data, nil
			}
			return c.serve(bytes.Clone(data))
		}}
		if _, err := ParseFleet(files, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.content, err, c.want)
		}
		if _, err := ParseFleet(files, "kin-001"); err != nil {
			t.Errorf("a part that it does not need stops kin-001: %v", err)
		}
	}
}

// TestPartsAreBoundedTogether: many small parts must not unpack to more than one document may.
func TestPartsAreBoundedTogether(t *testing.T) {
	blank := packed(t, append([]byte(`{"format":2}`), bytes.Repeat([]byte(" "), 1<<20)...))
	b := Blob{Digest: digest.FromBytes(blank), Size: int64(len(blank))}
	index := sitesDocument{Format: 2}
	for range 32 {
		index.Parts = append(index.Parts, b)
	}
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	files := FleetFiles{Fleet: encoded(t, sampleFleet()).Fleet, Sites: packed(t, text), Part: func(Blob) ([]byte, error) { return blank, nil }}
	if _, err := ParseFleet(files, ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func FuzzParseFleet(f *testing.F) {
	small, large := encoded(f, sampleFleet()), encoded(f, manySites(300))
	parts, err := large.Parts()
	if err != nil {
		f.Fatal(err)
	}
	first, err := large.Part(parts[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small.Fleet, small.Sites, []byte(nil))
	f.Add(large.Fleet, large.Sites, first)
	f.Add(document(f, `{"format":2,"name":"x","rings":{"b":{}}}`), document(f, `{"format":2,"sites":{"a":{"ring":"b","hold":null}}}`), []byte(nil))
	f.Fuzz(func(t *testing.T, fleet, sites, part []byte) {
		files := FleetFiles{Fleet: fleet, Sites: sites, Part: func(Blob) ([]byte, error) { return part, nil }}
		_, _ = ParseFleet(files, "kin-001")
		checkFleet(t, files)
	})
}

// The JSON itself, without the packing in between that a fuzzer can hardly get through.
func FuzzFleetJSON(f *testing.F) {
	f.Add([]byte(`{"format":2,"name":"x","policy":{},"rings":{"b":{"pin":"1.0.0"}}}`), []byte(`{"format":2,"sites":{"a":{"ring":"b","hold":{"reason":"r"}}}}`))
	f.Fuzz(func(t *testing.T, fleet, sites []byte) {
		part := document(t, `{"format":2}`)
		checkFleet(t, FleetFiles{
			Fleet: packed(t, fleet), Sites: packed(t, sites), Part: func(Blob) ([]byte, error) { return part, nil },
		})
	})
}

// checkFleet: what is read can be written and read again, and every site of it has an assignment.
func checkFleet(t *testing.T, files FleetFiles) {
	fleet, err := ParseFleet(files, "")
	if err != nil {
		return
	}
	for site := range fleet.Sites {
		if _, err := fleet.Assignment(site); err != nil {
			t.Errorf("site %q: %v", site, err)
		}
	}
	again, err := fleet.Encode()
	if err != nil {
		t.Fatalf("parsed but not encoded: %v", err)
	}
	if _, err := ParseFleet(again, ""); err != nil {
		t.Errorf("encoded but not parsed: %v", err)
	}
}
