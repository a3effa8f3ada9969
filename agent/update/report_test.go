package update

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/stick"
	"dhow/bundle"
	"dhow/manifest/report"
)

// ended records an update that has ended.
func (m *Manager) ended(t *testing.T, id uint64, to string, cause *change.Cause) {
	t.Helper()
	c := &change.Change{
		ID: id, Kind: KindApply, Steps: []change.StepState{{Name: stepPlan, Status: change.StepDone}}, Started: m.stamp(), Finished: m.stamp(), Cause: cause,
		Plan: json.RawMessage(`{"to":{"release":"` + to + `"},"from":{"release":"1.0.0"}}`),
	}
	if err := m.Journal.Save(c, nil); err != nil {
		t.Fatal(err)
	}
}

// What a report says holds no text that a service, a setting or a stick has given.
func TestReportHoldsNothingThatIsNobodysBusiness(t *testing.T) {
	m, _ := stickSite(t)
	m.Log, m.Version = slog.New(slog.DiscardHandler), "1.0"
	const planted = "Duplicate entry 'Mwamba Kabila' for key patient"
	m.ended(t, 1, "1.1.0", nil)
	m.ended(t, 2, "1.2.0", &change.Cause{Step: stepPlan, Class: change.ClassRelease, Message: planted, Hint: planted})
	if err := m.Journal.SetFact(factPoll, Poll{Error: planted}); err != nil {
		t.Fatal(err)
	}
	if err := m.Journal.SetFact(factBad, []Bad{{Release: "1.0.0", Digest: digest.FromString("x"), Reason: planted}}); err != nil {
		t.Fatal(err)
	}
	data, err := m.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "Kabila") || strings.Contains(string(data), m.Paths.Prefix) {
		t.Errorf("it says %s", data)
	}
	r, _, err := report.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	u := r.Updates[0]
	if len(r.Updates) != 2 || u.To != "1.2.0" || u.Result != api.ResultRefused || u.Step != stepPlan || u.Class != string(change.ClassRelease) || r.Agent != "1.0" || r.Fleet != "emr" {
		t.Errorf("it says %+v", r)
	}
}

// Reading a report takes no number, as long as it tells the same.
func TestAReportIsTheSameUntilThereIsNews(t *testing.T) {
	m, _ := stickSite(t)
	m.Log = slog.New(slog.DiscardHandler)
	ask := func() (string, report.Report) {
		t.Helper()
		data, err := m.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := report.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return string(data), r
	}
	first, r := ask()
	now := m.Now()
	m.Now = func() time.Time { return now.Add(time.Hour) }
	if again, _ := ask(); again != first {
		t.Errorf("asked again: %s, was %s", again, first)
	}
	m.ended(t, 1, "1.1.0", nil)
	second, next := ask()
	if next.Number != r.Number+1 || next.Same(r) || !next.Made.After(r.Made) {
		t.Errorf("after an update: %+v, was %+v", next, r)
	}
	if err := os.Remove(m.Paths.SiteKey()); err != nil {
		t.Fatal(err)
	}
	m.key = nil
	if again, other := ask(); again == second || other.Number != next.Number+1 || !other.Same(next) {
		t.Errorf("with another key: %s, was %s", again, second)
	}
}

// The key is made once, kept for root alone, and never replaced by itself.
func TestKeyOfASite(t *testing.T) {
	m, _ := stickSite(t)
	m.Log = slog.New(slog.DiscardHandler)
	first := m.publicKey()
	info, err := os.Stat(m.Paths.SiteKey())
	if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(first, "ed25519:") {
		t.Fatalf("%s, %v, %v", first, info, err)
	}
	m.key = nil
	if again := m.publicKey(); again != first {
		t.Errorf("after a restart %s, was %s", again, first)
	}
	if err := os.WriteFile(m.Paths.SiteKey(), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.key = nil
	if m.publicKey() != "" {
		t.Error("a damaged key gave a key")
	}
	if _, err := m.Report(t.Context()); err == nil || !strings.Contains(err.Error(), "is not the key of a site; without that file a new one is made") {
		t.Errorf("got %v", err)
	}
}

func TestWhichSticksGetAReport(t *testing.T) {
	m, f := stickSite(t)
	m.Log = slog.New(slog.DiscardHandler)
	m.ended(t, 1, "1.0.0", nil)
	docs := f.Publish()
	place := func(ours bool) (*brought, string) {
		dir := t.TempDir()
		if ours {
			bundleOf(t, filepath.Join(dir, "emr"), docs, bundle.Hint{Fleet: "emr", Releases: []string{"1.0.0"}})
		}
		b := m.sticks.enter(stick.Place{ID: dir, Path: dir, Label: "usb"})
		if !m.lookAt(t.Context(), b, map[string]find{}) {
			t.Fatal("it was not looked at")
		}
		return b, filepath.Join(dir, report.FileName("kin-001"))
	}
	number := func(path string) uint64 {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := report.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return r.Number
	}

	b, path := place(false)
	var told reported
	if !m.bringReport(t.Context(), b, &told) {
		t.Error("something is left to do")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a stick without anything of ours got a report: %v", err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.bringReport(t.Context(), b, &told)
	if data, _ := os.ReadFile(path); string(data) != "something else" {
		t.Error("what is not ours was replaced on a stick without anything of ours")
	}

	b, path = place(true)
	left, others := filepath.Join(filepath.Dir(path), ".dhow-tmp-"+filepath.Base(path)+"-0a1b"), filepath.Join(filepath.Dir(path), ".dhow-tmp-0a1b")
	for _, f := range []string{left, others} {
		if err := os.WriteFile(f, []byte("half a rep"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	told = reported{}
	m.bringReport(t.Context(), b, &told)
	first := number(path)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what was left when the stick was pulled out is still there: %v", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("what somebody else writes is gone: %v", err)
	}
	m.bringReport(t.Context(), b, &told)
	told = reported{} // plugged in again
	m.bringReport(t.Context(), b, &told)
	if n := number(path); n != first || b.report != api.ReportWritten {
		t.Errorf("the same was told again: %d, %s", n, b.report)
	}
	m.ended(t, 2, "1.1.0", nil)
	m.bringReport(t.Context(), b, &told)
	if n := number(path); n != first+1 {
		t.Errorf("after an update report %d, before it %d", n, first)
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(path), "emr")); err != nil {
		t.Fatal(err)
	}
	m.lookAt(t.Context(), b, map[string]find{})
	m.ended(t, 3, "1.2.0", nil)
	m.bringReport(t.Context(), b, &told)
	if n := number(path); n != first+2 {
		t.Errorf("a stick that has had a report got none: %d", n)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	bundleOf(t, filepath.Join(filepath.Dir(path), "emr"), docs, bundle.Hint{Fleet: "emr", Releases: []string{"1.0.0"}})
	m.lookAt(t.Context(), b, map[string]find{})
	told = reported{}
	if !m.bringReport(t.Context(), b, &told) || b.report != api.ReportFailed {
		t.Errorf("with a folder in the way: %s", b.report)
	}
}
