package daemon

import (
	"testing"

	"dhow/agent/api"
)

// FuzzRequest reads any bytes as each of the requests that the socket takes.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"from":"/media/usb/emr.tgz","now":true}`, `{"to":"1.0.0","data":"restore","confirm":"kin-001"}`, `{"action":"create","name":"x"}`,
		`{}`, `[]`, `null`, `{"from":"a","from":"b"}`, `{"from":{"from":{"from":{"from":{}}}}}`, `{} {}`, `<html>`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{new(api.UpdateRequest), new(api.RollbackRequest), new(api.BackupRequest)} {
			first := parseRequest(data, into)
			if again := parseRequest(data, into); (first == nil) != (again == nil) {
				t.Errorf("read twice: %v, %v", first, again)
			}
		}
	})
}
