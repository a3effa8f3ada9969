package audit_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
	"dhow/manifest/audit"
)

func texts(changes []audit.Change) []string {
	out := []string{}
	for _, c := range changes {
		out = append(out, c.Text)
	}
	return out
}

func full() *manifest.Fleet {
	return &manifest.Fleet{
		Format: manifest.FleetFormat, Name: "drc",
		Policy: manifest.Policy{
			Fetch: "0 * * * *", Window: "21:00-05:00", TimeZone: "Africa/Kinshasa", Rate: "64 kB/s", Keep: 3, Contact: "Marie", BackupKey: "age1a",
			Quiet: "08:00-17:00", Budget: manifest.Budget{Day: "50 MB", Month: "1 GB"},
			Languages: []string{"fr", "en"}, Backup: manifest.BackupPolicy{At: "0 1 * * *", Drill: "never", Keep: 5, Days: 30, Space: "20 GB"},
		},
		Rings: map[string]manifest.Ring{
			"pilot": {Pin: "1.1.0", Asked: "1.x", Downgrade: true, Settings: map[string]string{"LANG": "fr", "EMPTY": ""}},
		},
		Sites: map[string]manifest.Site{"kin-001": {
			Ring: "pilot", Pin: "1.0.0", Asked: "1.0.x", Downgrade: true, Settings: map[string]string{"LANG": "en"},
			Hold: &manifest.Hold{Reason: "flood", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
		}},
	}
}

func bare() *manifest.Fleet {
	return &manifest.Fleet{
		Format: manifest.FleetFormat, Name: "drc",
		Rings: map[string]manifest.Ring{"pilot": {}}, Sites: map[string]manifest.Site{"kin-001": {Ring: "pilot"}},
	}
}

// mutations calls try once for each thing below v that can be another, with that thing changed, and puts it back after.
func mutations(t *testing.T, path string, v reflect.Value, try func(path string)) {
	t.Helper()
	old := reflect.ValueOf(v.Interface())
	set := func(path string, to reflect.Value) {
		v.Set(to)
		try(path)
		v.Set(old)
	}
	if at, ok := v.Interface().(time.Time); ok {
		set(path, reflect.ValueOf(at.Add(time.Second)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		set(path, reflect.ValueOf(v.String()+"x").Convert(v.Type()))
	case reflect.Int, reflect.Int64:
		set(path, reflect.ValueOf(v.Int()+1).Convert(v.Type()))
	case reflect.Bool:
		set(path, reflect.ValueOf(!v.Bool()))
	case reflect.Slice:
		set(path+"[+]", reflect.Append(v.Slice3(0, v.Len(), v.Len()), reflect.New(v.Type().Elem()).Elem()))
		if v.Len() > 1 {
			turned := reflect.ValueOf(slices.Clone(v.Interface().([]string)))
			slices.Reverse(turned.Interface().([]string))
			set(path+"[turned]", turned)
		}
	case reflect.Pointer:
		if v.IsNil() {
			set(path+" set", reflect.New(v.Type().Elem()))
			return
		}
		set(path+" nil", reflect.Zero(v.Type()))
		inner := reflect.New(v.Type().Elem())
		inner.Elem().Set(v.Elem())
		v.Set(inner)
		mutations(t, path, inner.Elem(), try)
		v.Set(old)
	case reflect.Map:
		another := func(change func(m reflect.Value)) reflect.Value {
			m := reflect.MakeMap(v.Type())
			for _, k := range v.MapKeys() {
				m.SetMapIndex(k, v.MapIndex(k))
			}
			change(m)
			return m
		}
		set(path+"[+]", another(func(m reflect.Value) { m.SetMapIndex(reflect.ValueOf("NEW"), reflect.New(v.Type().Elem()).Elem()) }))
		for _, k := range v.MapKeys() {
			set(path+"["+k.String()+"] gone", another(func(m reflect.Value) { m.SetMapIndex(k, reflect.Value{}) }))
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(k))
			mutations(t, path+"["+k.String()+"]", value, func(path string) {
				set(path, another(func(m reflect.Value) { m.SetMapIndex(k, value) }))
			})
		}
	case reflect.Struct:
		for i := range v.NumField() {
			mutations(t, path+"."+v.Type().Field(i).Name, v.Field(i), try)
		}
	default:
		t.Fatalf("%s is of a kind that this test can't change: %s", path, v.Kind())
	}
}

// TestNothingChangesUnseen: whoever signs is shown what this finds, so no field may be forgotten, one that is added later neither.
func TestNothingChangesUnseen(t *testing.T) {
	for name, fleet := range map[string]func() *manifest.Fleet{"full": full, "bare": bare} {
		old, now, tried := fleet(), fleet(), 0
		if got := audit.Compare(old, now, nil, nil); len(got) != 0 {
			t.Fatalf("%s: nothing changed, and it says %q", name, texts(got))
		}
		first := texts(audit.Compare(nil, old, nil, nil))
		mutations(t, "fleet", reflect.ValueOf(now).Elem(), func(path string) {
			if path == "fleet.Format" || path == "fleet.Name" { // another one is refused when it is read
				return
			}
			tried++
			if got := audit.Compare(old, now, nil, nil); len(got) == 0 {
				t.Errorf("%s: a change of %s is not seen", name, path)
			}
			if got := audit.Compare(now, old, nil, nil); len(got) == 0 {
				t.Errorf("%s: a change back of %s is not seen", name, path)
			}
			if path == "fleet.Sites[kin-001].Hold.Since" { // of a new hold its reason is shown
				return
			}
			if got := texts(audit.Compare(nil, now, nil, nil)); slices.Equal(got, first) {
				t.Errorf("%s: %s of what is new is not seen", name, path)
			}
		})
		if !reflect.DeepEqual(now, old) || tried < 25 {
			t.Errorf("%s: the test is not in order: %d tried", name, tried)
		}
	}
}

// TestCompareTexts is what people read, every line.
func TestCompareTexts(t *testing.T) {
	now := full()
	now.Policy = manifest.Policy{
		Fetch: "5 * * * *", Window: "01:00-05:00", Rate: "1 MB/s", Keep: 4, Contact: "Marie \u202e1", BackupKey: "age1b",
		Quiet: "never", Budget: manifest.Budget{Month: "2 GB"},
		Languages: []string{"en"}, Backup: manifest.BackupPolicy{At: "never", Drill: "0 2 * * 0", Keep: 6, Days: 31, Space: "2 GB"},
	}
	now.Rings["pilot"] = manifest.Ring{Pin: "1.1.0", Asked: "previous", Settings: map[string]string{"LANG": "", "EMPTY": "nothing"}}
	now.Rings["wave1"] = manifest.Ring{Pin: "1.0.0", Downgrade: true, Settings: map[string]string{"LANG": "fr"}}
	now.Sites["kin-001"] = manifest.Site{Ring: "pilot", Pin: "1.0.0", Hold: &manifest.Hold{Reason: "war", Since: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}}
	now.Sites["kin-002"] = manifest.Site{Ring: "wave1", Pin: "1.1.0", Downgrade: true, Settings: map[string]string{"LANG": "a → b"}}
	want := []string{
		"release 1.1.0 added", "release 0.9.0 removed",
		"policy backup.at 0 1 * * * → never", "policy backup.days 30 → 31", "policy backup.drill never → 0 2 * * 0", "policy backup.keep 5 → 6",
		"policy backup.space 20 GB → 2 GB", "policy backupKey age1a → age1b", "policy budget.day 50 MB → nothing", "policy budget.month 1 GB → 2 GB", `policy contact Marie → "Marie \u202e1"`,
		"policy fetch 0 * * * * → 5 * * * *", "policy keep 3 → 4", "policy languages fr, en → en", "policy quiet 08:00-17:00 → never", "policy rate 64 kB/s → 1 MB/s",
		"policy timeZone Africa/Kinshasa → nothing", "policy window 21:00-05:00 → 01:00-05:00",
		"ring pilot asked 1.x → previous", "ring pilot downgrade true → nothing", `ring pilot settings.EMPTY "" → "nothing"`,
		`ring pilot settings.LANG fr → ""`,
		"ring wave1 added, pinned to 1.0.0", "ring wave1 downgrade nothing → true", "ring wave1 settings.LANG nothing → fr",
		"site kin-001 held for another reason (flood → war)", "site kin-001 hold.since 2026-11-01T00:00:00Z → 2026-11-02T00:00:00Z",
		"site kin-001 asked 1.0.x → nothing", "site kin-001 downgrade true → nothing", "site kin-001 settings.LANG en → nothing",
		"site kin-002 added to ring wave1", "site kin-002 pinned to 1.1.0 by itself", "site kin-002 downgrade nothing → true",
		`site kin-002 settings.LANG nothing → "a → b"`,
	}
	got := texts(audit.Compare(full(), now, []string{"0.9.0", "1.0.0"}, []string{"1.0.0", "1.1.0"}))
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What goes as a whole says what it was.
	gone := bare()
	maps.DeleteFunc(gone.Sites, func(string, manifest.Site) bool { return true })
	if got := texts(audit.Compare(bare(), gone, nil, nil)); !slices.Equal(got, []string{"site kin-001 removed"}) {
		t.Errorf("%q", got)
	}
}
