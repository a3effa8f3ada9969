package metrics

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dhow/agent/api"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { t := noon.Add(-d); return &t }

func ask(t *testing.T, s api.Status, err error) *httptest.ResponseRecorder {
	t.Helper()
	h := New(Source{
		Version: "1.4.0", Now: func() time.Time { return noon }, Free: func() (int64, error) { return 5_000_000_000, nil },
		Status: func(context.Context) (api.Status, error) { return s, err },
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w
}

// own are the lines of dhow itself, without help and type.
func own(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "dhow_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	full := api.Status{
		Site: "kin-001", Fleet: "drc-emr", Release: "1.0.0", Pinned: "1.1.0", Manifest: 7, Hold: "stock-taking", State: api.StateUpdating, Step: "back-up", StepNumber: 6,
		StepCount: 11, Health: "unhealthy", LastCheck: ago(time.Hour), LastError: `no source "answers"` + "\n", LastBackup: ago(90 * time.Minute),
		LastDrill: &api.Drill{When: *ago(24 * time.Hour), OK: true},
		LastUpdate: &api.Update{
			From: "0.9.0", To: `1.0.0"` + "\n", Result: api.ResultRolledBack, Finished: *ago(2 * time.Hour), DowntimeSeconds: 161.25,
		},
		Fetch: &api.Fetching{Done: 12_400_000, Total: 34_000_000}, Paused: &api.Pause{},
		Line:  &api.LineUse{Day: 60_000_000, DayBudget: 50_000_000, Month: 300_000_000},
		Needs: []api.Need{{Kind: api.NeedDisk}, {Kind: api.NeedClock}},
	}
	w := ask(t, full, nil)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	const want = `dhow_build_info{version="1.4.0"} 1
dhow_disk_free_bytes 5e+09
dhow_fetch_done_bytes 1.24e+07
dhow_fetch_size_bytes 3.4e+07
dhow_healthy 0
dhow_held 1
dhow_last_backup_age_seconds 5400
dhow_last_check_age_seconds 3600
dhow_last_check_success 0
dhow_last_drill_age_seconds 86400
dhow_last_drill_success 1
dhow_last_update_age_seconds 7200
dhow_last_update_downtime_seconds 161.25
dhow_last_update_info{from="0.9.0",result="rolled back",to="1.0.0\"\n"} 1
dhow_last_update_success 0
dhow_line_budget_bytes{period="day"} 5e+07
dhow_line_left_bytes{period="day"} 0
dhow_line_used_bytes{period="day"} 6e+07
dhow_line_used_bytes{period="month"} 3e+08
dhow_manifest_number 7
dhow_need{kind="backup"} 0
dhow_need{kind="clock"} 1
dhow_need{kind="config"} 0
dhow_need{kind="disk"} 1
dhow_need{kind="drill"} 0
dhow_need{kind="engine"} 0
dhow_need{kind="expired"} 0
dhow_need{kind="health"} 0
dhow_need{kind="manifest"} 0
dhow_need{kind="offline"} 0
dhow_need{kind="stuck"} 0
dhow_need{kind="trouble"} 0
dhow_need{kind="unassigned"} 0
dhow_need{kind="unknown"} 0
dhow_need{kind="untrusted"} 0
dhow_paused 1
dhow_pinned_info{release="1.1.0"} 1
dhow_release_as_pinned 0
dhow_release_info{release="1.0.0"} 1
dhow_site_info{fleet="drc-emr",site="kin-001"} 1
dhow_state{state="backup"} 0
dhow_state{state="bundle"} 0
dhow_state{state="fetching"} 0
dhow_state{state="idle"} 0
dhow_state{state="new"} 0
dhow_state{state="ready"} 0
dhow_state{state="stuck"} 0
dhow_state{state="undoing"} 0
dhow_state{state="updating"} 1
dhow_step_info{step="back-up"} 1
dhow_step_number 6
dhow_steps 11
`
	if got := own(w.Body.String()); got != want {
		t.Errorf("got\n%s", got)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	if f := families["process_resident_memory_bytes"]; f == nil || f.Metric[0].Gauge.GetValue() < 1<<20 {
		t.Errorf("the memory of the process is %v", f)
	}
	problems, err := promlint.New(strings.NewReader(w.Body.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsOfANewSite(t *testing.T) {
	t.Parallel()
	got := own(ask(t, api.Status{Site: "kin-001", State: api.StateNew}, nil).Body.String())
	for _, not := range []string{"release", "healthy", "age", "update", "step", "line", "fetch"} {
		if strings.Contains(got, "dhow_"+not) || strings.Contains(got, "_"+not+"_") {
			t.Errorf("it says something of %s:\n%s", not, got)
		}
	}
}

func TestMetricsWithoutAStatus(t *testing.T) {
	t.Parallel()
	if w := ask(t, api.Status{}, errors.New("the journal can't be read")); w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAllKinds: states and needs that package api gains are not forgotten here.
func TestAllKinds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"types.go", "need.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), "../api/"+name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 {
				return true
			}
			lit, ok := v.Values[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			for prefix, list := range map[string][]string{"State": states, "Need": needs} {
				if strings.HasPrefix(v.Names[0].Name, prefix) && !slices.Contains(list, value) {
					t.Errorf("%s (%q) has no series", v.Names[0].Name, value)
				}
			}
			return true
		})
	}
}
