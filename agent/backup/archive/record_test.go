package archive

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func sampleRecord() *Record {
	list := []ref{{digest{1}, 100}, {digest{2}, 300}}
	return &Record{
		Format: 1, Name: "b0", Site: "kin-001", Fleet: "drc-emr", Release: "1.1.0", Project: "emr", Made: day, Dhow: "1.0",
		Meta:  map[string]json.RawMessage{"rows": json.RawMessage(`{"db/openmrs.obs":7}`)},
		Trees: []TreeInfo{{Name: "data", Files: 3, Bytes: 5, Entries: list, Extents: list}},
		Files: []FileInfo{{Name: "db.sql", Bytes: 7, SHA256: digest{3}.String(), Extents: list}},
		Bytes: 12, Stored: 4,
	}
}

func TestRecordComesBack(t *testing.T) {
	data, err := encodeRecord(sampleRecord())
	must(t, err)
	r, err := decodeRecord("b0", data)
	must(t, err)
	again, err := encodeRecord(r)
	must(t, err)
	if string(data) != string(again) {
		t.Errorf("written as\n%s, read as\n%s", data, again)
	}
}

// A record of which a byte is missing or another one is never taken for a record.
func TestTornRecords(t *testing.T) {
	data, err := encodeRecord(sampleRecord())
	must(t, err)
	for n := range len(data) - 1 {
		if _, err := decodeRecord("b0", data[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("torn after %d bytes: %v", n, err)
		}
	}
	for at := range len(data) - 1 {
		bad := slices.Clone(data)
		bad[at] ^= 1
		r, err := decodeRecord("b0", bad)
		if err == nil { // another letter in a key's case, say
			again, _ := encodeRecord(r)
			if string(again) != string(data) {
				t.Errorf("byte %d: read as another record", at)
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

func TestRecordRefusals(t *testing.T) {
	for want, change := range map[string]func(r *Record){
		"made by a newer dhow: update dhow (its format is 2, this dhow reads up to 1)": func(r *Record) { r.Format = 2 },
		"its record: it has no format":                    func(r *Record) { r.Format = 0 },
		`its record: it is that of "b1"`:                  func(r *Record) { r.Name = "b1" },
		`its record: volume "data" has a bad size`:        func(r *Record) { r.Trees[0].Bytes = -1 },
		`its record: file "db.sql" has a bad size`:        func(r *Record) { r.Files[0].SHA256 = "0A" },
		"its record: volume data is named twice":          func(r *Record) { r.Trees = append(r.Trees, r.Trees...) },
		`its record: "" cannot be the name of a file`:     func(r *Record) { r.Files[0].Name = "" },
		"its record is not what was written":              func(r *Record) { r.Trees[0].Entries[1].size = 0 },
		`its record: "a\x00" cannot be the name of a vol`: func(r *Record) { r.Trees[0].Name = "a\x00" },
	} {
		r := sampleRecord()
		change(r)
		data, err := encodeRecord(r)
		must(t, err)
		_, err = decodeRecord("b0", data)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNewer) != (r.Format == 2) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestListSaysWhatItCannotRead(t *testing.T) {
	a, err := Open(t.TempDir())
	must(t, err)
	for i, name := range []string{"old", "new", "middle"} {
		r := sampleRecord()
		r.Name, r.Made = name, day.Add([]time.Duration{0, 2, 1}[i]*time.Hour)
		data, err := encodeRecord(r)
		must(t, err)
		must(t, a.putRecord(name, data))
	}
	newer := sampleRecord()
	newer.Name, newer.Format = "of-next-year", 9
	data, err := encodeRecord(newer)
	must(t, err)
	must(t, a.putRecord("of-next-year", data))
	must(t, os.WriteFile(a.recordPath("torn"), data[:20], 0o600))
	must(t, os.WriteFile(a.path(recordsDir, ".dhow-tmp-1.json"), data[:20], 0o600))
	must(t, a.MarkVerified("middle", day, "drill"))
	must(t, os.WriteFile(a.markPath("old"), []byte("{"), 0o600))
	list, err := a.List()
	must(t, err)
	var got []string
	for _, r := range list {
		state := "never verified"
		if r.Verified != nil {
			state = r.Verified.How
		}
		if r.Problem != nil {
			state, _, _ = strings.Cut(r.Problem.Error(), " (")
		}
		got = append(got, r.Name+": "+state)
	}
	want := []string{
		"new: never verified", "middle: drill", "old: never verified", "torn: the backup is damaged: its record cannot be read",
		"of-next-year: made by a newer dhow: update dhow",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if err := a.Delete(t.Context(), "new"); err == nil ||
		!strings.HasPrefix(err.Error(), "cannot free the space of deleted backups: backup torn: the backup is damaged: its record") {
		// the others name chunks that were never there; the first that is looked at counts
		if err == nil || !strings.Contains(err.Error(), "backup middle: the backup is damaged: a part is missing") {
			t.Errorf("%v", err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	data, err := encodeRecord(sampleRecord())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"sha256":"","record":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e envelope
		if json.Unmarshal(data, &e) == nil && len(e.Record) > 0 { // let the fuzzer pass the checksum
			data, _ = json.Marshal(envelope{sha(e.Record).String(), e.Record})
		}
		r, err := decodeRecord("b0", data)
		if err != nil {
			return
		}
		for _, tr := range r.Trees {
			for _, x := range append(tr.Entries, tr.Extents...) {
				if x.size == 0 || x.size > maxRaw {
					t.Fatalf("accepted a chunk of %d bytes", x.size)
				}
			}
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add(append(extent{ref{digest{1}, 5}}.record(), extent{ref{size: 1 << 20}}.record()...))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseList(data)
		if err != nil {
			return
		}
		var again []byte
		for _, x := range list {
			if x.size == 0 || !x.hole() && x.size > maxChunk {
				t.Fatalf("accepted %+v", x)
			}
			again = append(again, x.record()...)
		}
		if string(again) != string(data) {
			t.Fatal("read as something else")
		}
	})
}
