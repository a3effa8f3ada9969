// Package metrics tells Prometheus how a site is, in the text format, at the time of asking: it keeps and counts nothing.
//
// Names begin with dhow_ and follow the conventions of Prometheus: base units (seconds, bytes), "info" metrics of value 1 whose labels say what is, and
// one series for each state or kind, 1 for those that hold. Times are ages by the site's own clock, because that may be wrong. What is not known
// has no series. Beside them stand the process_ metrics of the client library. When the status can't be had the answer is 500, so that Prometheus says that the
// site is down.
package metrics

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dhow/agent/api"
)

// Source is where the figures come from. All fields are required.
type Source struct {
	Version string
	Status  func(ctx context.Context) (api.Status, error)
	Free    func() (int64, error) // bytes that may still be written for the agent
	Now     func() time.Time
}

// Bounds of asking: a status may have to wait for the engine.
const (
	patience = 15 * time.Second
	atOnce   = 2
)

// New is the handler of /metrics.
func New(s Source) http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{s}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: atOnce, DisableCompression: true})
}

type collector struct{ Source }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dhow_"+name, help, labels, nil)
}

var (
	buildInfo     = desc("build_info", "The version of dhow.", "version")
	siteInfo      = desc("site_info", "The site and its fleet.", "site", "fleet")
	releaseInfo   = desc("release_info", "The release that runs.", "release")
	pinnedInfo    = desc("pinned_info", "The release that the manifest asks for.", "release")
	asPinned      = desc("release_as_pinned", "1 when the release that runs is the one that the manifest asks for.")
	manifest      = desc("manifest_number", "The number of the newest manifest seen.")
	held          = desc("held", "1 when the manifest holds the site where it is.")
	paused        = desc("paused", "1 when a person has ordered that nothing is fetched.")
	state         = desc("state", "1 for the state that the site is in.", "state")
	healthy       = desc("healthy", "1 when the services of the release run and are healthy.")
	stepInfo      = desc("step_info", "The step at work.", "step")
	stepNumber    = desc("step_number", "The number of the step at work.")
	stepCount     = desc("steps", "How many steps the change at work has.")
	updateInfo    = desc("last_update_info", "How the last update ended.", "from", "to", "result")
	updateSuccess = desc("last_update_success", "1 when the last update was done, 0 when it was rolled back or refused.")
	updateAge     = desc("last_update_age_seconds", "How long ago the last update ended.")
	updateAway    = desc("last_update_downtime_seconds", "How long users were kept out by the last update.")
	checkAge      = desc("last_check_age_seconds", "How long ago a source last answered.")
	checkSuccess  = desc("last_check_success", "0 when the newest look for news has failed.")
	backupAge     = desc("last_backup_age_seconds", "How old the newest backup is.")
	drillAge      = desc("last_drill_age_seconds", "How long ago a backup was last restored on trial.")
	drillSuccess  = desc("last_drill_success", "1 when the last trial restore worked.")
	fetchDone     = desc("fetch_done_bytes", "What is here of the release that is being fetched.")
	fetchSize     = desc("fetch_size_bytes", "The size of what is fetched for the release.")
	lineUsed      = desc("line_used_bytes", "What has crossed the line in the present period, where there is a budget.", "period")
	lineBudget    = desc("line_budget_bytes", "What may cross the line in the period.", "period")
	lineLeft      = desc("line_left_bytes", "What is left of the budget of the period.", "period")
	diskFree      = desc("disk_free_bytes", "What may still be written on the disk of the agent's files.")
	need          = desc("need", "1 for what a person must see to.", "kind")
)

var states = []string{
	api.StateIdle, api.StateFetching, api.StateReady, api.StateUpdating, api.StateBackup, api.StateBundle, api.StateUndoing, api.StateStuck, api.StateNew,
}

var needs = []string{
	api.NeedClock, api.NeedDisk, api.NeedOffline, api.NeedEngine, api.NeedHealth, api.NeedStuck, api.NeedConfig, api.NeedUnknown, api.NeedTrouble,
	api.NeedManifest, api.NeedUnassigned, api.NeedExpired, api.NeedUntrusted, api.NeedBackup, api.NeedDrill,
}

// Describe sends nothing: which series there are depends on the site.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks for the status.
func (c collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildInfo, 1, c.Version)
	if free, err := c.Free(); err == nil {
		gauge(diskFree, float64(free))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.Status(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(siteInfo, err)
		return
	}
	age := func(d *prometheus.Desc, t *time.Time) {
		if t != nil && !t.IsZero() {
			gauge(d, c.Now().Sub(*t).Round(time.Second).Seconds())
		}
	}
	gauge(siteInfo, 1, s.Site, s.Fleet)
	if s.Release != "" {
		gauge(releaseInfo, 1, s.Release)
		gauge(healthy, truth(s.Health == "healthy"))
	}
	if s.Pinned != "" {
		gauge(pinnedInfo, 1, s.Pinned)
		gauge(asPinned, truth(s.Release == s.Pinned))
	}
	if s.Manifest > 0 {
		gauge(manifest, float64(s.Manifest))
	}
	gauge(held, truth(s.Hold != ""))
	gauge(paused, truth(s.Paused != nil))
	for _, name := range states {
		gauge(state, truth(s.State == name), name)
	}
	if s.Step != "" {
		gauge(stepInfo, 1, s.Step)
		gauge(stepNumber, float64(s.StepNumber))
		gauge(stepCount, float64(s.StepCount))
	}
	if u := s.LastUpdate; u != nil && u.Result != "" {
		gauge(updateInfo, 1, u.From, u.To, u.Result)
		gauge(updateSuccess, truth(u.Result == api.ResultDone))
		age(updateAge, &u.Finished)
		gauge(updateAway, u.DowntimeSeconds)
	}
	age(checkAge, s.LastCheck)
	gauge(checkSuccess, truth(s.LastError == ""))
	age(backupAge, s.LastBackup)
	if d := s.LastDrill; d != nil {
		age(drillAge, &d.When)
		gauge(drillSuccess, truth(d.OK))
	}
	if f := s.Fetch; f != nil {
		gauge(fetchDone, float64(f.Done))
		gauge(fetchSize, float64(f.Total))
	}
	if l := s.Line; l != nil {
		for _, p := range []struct {
			period       string
			used, budget int64
		}{{"day", l.Day, l.DayBudget}, {"month", l.Month, l.MonthBudget}} {
			gauge(lineUsed, float64(p.used), p.period)
			if p.budget > 0 {
				gauge(lineBudget, float64(p.budget), p.period)
				gauge(lineLeft, float64(max(0, p.budget-p.used)), p.period)
			}
		}
	}
	for _, kind := range needs {
		gauge(need, truth(slices.ContainsFunc(s.Needs, func(n api.Need) bool { return n.Kind == kind })), kind)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
