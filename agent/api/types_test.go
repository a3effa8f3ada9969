package api

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// Scripts read these fields without asking whether they are there.
func TestStatusIsWhole(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status Status
		want   string
	}{
		{
			Status{Site: "kin-001", State: StateNew},
			`{"site":"kin-001","release":"","known_good":"","pinned":"","state":"new","step":"","last_update":null}`,
		},
		{
			Status{Site: "kin-001", State: StateUpdating, LastUpdate: &Update{ID: 1, Kind: "apply", To: "1.0.0", Started: noon}},
			`{"site":"kin-001","release":"","known_good":"","pinned":"","state":"updating","step":"","last_update":` +
				`{"id":1,"receipt":"","kind":"apply","from":"","to":"1.0.0","result":"","reason":"","started":"2026-11-21T12:00:00Z",` +
				`"downtime_seconds":0,"bytes_fetched":0,"finished":null}}`,
		},
		{
			Status{Site: "kin-001", State: StateIdle, LastUpdate: &Update{
				ID: 1, Receipt: Receipt("kin-001", 1, true), Kind: "apply", From: "1.0.0", To: "1.1.0", Result: ResultDone, Started: noon, Finished: noon.Add(time.Minute), DowntimeSeconds: 2.5, BytesFetched: 3,
			}},
			`{"site":"kin-001","release":"","known_good":"","pinned":"","state":"idle","step":"","last_update":` +
				`{"id":1,"receipt":"KIN-001-0001","kind":"apply","from":"1.0.0","to":"1.1.0","result":"done","reason":"","started":"2026-11-21T12:00:00Z",` +
				`"downtime_seconds":2.5,"bytes_fetched":3,"finished":"2026-11-21T12:01:00Z"}}`,
		},
	} {
		data, err := json.Marshal(c.status)
		if err != nil || string(data) != c.want {
			t.Errorf("error %v\n got %s\nwant %s", err, data, c.want)
		}
		var back Status
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, c.status) {
			t.Errorf("read back: %+v, %v", back, err)
		}
	}
}

func TestErrorInWords(t *testing.T) {
	plain := Fail(CodeRefused, "free some", "the disk %s is full", "/srv")
	said := plain.In("full", "disk", "/srv")
	data, err := json.Marshal(said)
	if want := `{"code":4,"message":"the disk /srv is full","hint":"free some","kind":"full","args":{"disk":"/srv"}}`; err != nil || string(data) != want {
		t.Errorf("%s, %v; want %s", data, err, want)
	}
	if plain.Kind != "" || plain.In("full").Args != nil || Code(said) != CodeRefused {
		t.Errorf("%+v", plain)
	}
}
