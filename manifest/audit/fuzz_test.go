package audit_test

import (
	"context"
	"testing"
	"time"

	"dhow/manifest/audit"
	"dhow/manifest/manifesttest"
)

// FuzzOldList offers any bytes as a list that was signed earlier: it is believed as it was signed, or not at all.
func FuzzOldList(f *testing.F) {
	fleet := manifesttest.New(f, "drc")
	fleet.AddRelease("1.0.0", nil)
	fleet.Assign("kin-001", "pilot", "1.0.0")
	old := fleet.Publish()
	fleet.AddRelease("1.1.0", nil)
	fleet.Assign("", "pilot", "1.1.0")
	files := fleet.Publish()
	for path, data := range old {
		if files[path] == nil {
			files[path] = data
		}
	}
	const path = "metadata/1.targets.json"
	good := files[path]
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"signatures":[],"signed":{"_type":"targets","version":1,"targets":{"a":{}}}}`))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files[path] = data
		h, err := audit.Read(context.Background(), manifesttest.NewSource(files), fleet.Root, audit.Options{Now: func() time.Time { return fleet.Now }})
		if err != nil || h.Manifest != 2 || len(h.Entries) != 2 {
			t.Fatalf("%+v, %v", h, err)
		}
		if e := h.Entries[1]; (e.Problem == "") == (len(h.Damaged) > 0) {
			t.Errorf("%+v, damaged %v", e, h.Damaged)
		}
	})
}
