package update

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/manifest"
)

// PlanRollback says what a rollback would do, without doing it.
func (m *Manager) PlanRollback(ctx context.Context, req api.RollbackRequest) (api.RollbackPlan, error) {
	plan, _, err := m.planRollback(ctx, req)
	return plan, err
}

func (m *Manager) planRollback(ctx context.Context, req api.RollbackRequest) (api.RollbackPlan, applyPlan, error) {
	fail := func(e *api.Error) (api.RollbackPlan, applyPlan, error) { return api.RollbackPlan{}, applyPlan{}, e }
	good, err := m.good()
	if err != nil {
		return api.RollbackPlan{}, applyPlan{}, err
	}
	if req.Backup != "" {
		return m.planRestore(ctx, req.Backup, good)
	}
	past, err := m.past()
	if err != nil {
		return api.RollbackPlan{}, applyPlan{}, err
	}
	if good == nil || len(past) == 0 {
		return fail(api.Fail(api.CodeRefused, "", "there is no earlier release to go back to").In("nowhere_back"))
	}
	to := past[0]
	if req.To != "" {
		i := slices.IndexFunc(past, func(p Past) bool { return p.Release == req.To })
		if i < 0 {
			var have []string
			for _, p := range past {
				have = append(have, p.Release)
			}
			return fail(api.Fail(api.CodeRefused, "kept here: "+strings.Join(have, ", "), "release %s is not kept here", req.To).In("not_kept", "release", req.To, "releases", strings.Join(have, ", ")))
		}
		to = past[i]
	}
	now, err := m.releaseOf(*good)
	if err != nil {
		return api.RollbackPlan{}, applyPlan{}, err
	}
	same, why := true, ""
	if to.Dir == "" { // of a stack that was taken over nothing is known
		before, err := m.releaseOf(to.Good)
		if err != nil {
			return api.RollbackPlan{}, applyPlan{}, err
		}
		same, why = manifest.SameServers(before, now)
	}
	data := req.Data
	switch {
	case data == "" && same:
		data = now.Rollback.Data
	case data == "":
		data = "restore"
	case data != "restore" && data != "keep":
		return fail(api.Fail(api.CodeUsage, "use --data restore or --data keep", "unknown value %q for data", data).In("data_choice", "value", data))
	case data == "keep" && !same:
		return fail(api.Fail(api.CodeRefused, "use --data restore", "release %s can't work on the data of %s: %s", to.Release, good.Release, why).In("data_stays", "release", to.Release, "from", good.Release, "cause", why))
	}
	plan := api.RollbackPlan{From: good.Release, To: to.Release, Data: data, Site: m.Config.Site}
	do := applyPlan{From: good, To: to.Good, ByHand: true}
	if data == "keep" {
		plan.Loss = []string{fmt.Sprintf("Nothing is taken back: %s must be able to work on data that %s has changed.", to.Release, good.Release)}
		plan.Said = []api.Said{*api.Say("nothing_back", "release", to.Release, "from", good.Release)}
		return plan, do, nil
	}
	snapshot, err := backup.Read(m.backupDir(to.Backup))
	if err != nil {
		return fail(api.Fail(api.CodeRefused, "without it only --data keep is possible",
			"the copy of the data from before %s can't be used: %v", good.Release, err).In("copy_unusable", "release", good.Release, "cause", err.Error()))
	}
	do.ReturnTo = to.Backup
	plan.DataSince = snapshot.Made
	plan.Loss, plan.Said = m.loss(ctx, *good, snapshot.Made, snapshot.Rows)
	return plan, do, nil
}

// loss says what will not be in the running system when the data go back to a snapshot.
func (m *Manager) loss(ctx context.Context, good Good, made time.Time, then map[string]int64) (lines []string, said []api.Said) {
	since := made.Local().Format("2 Jan 2006 15:04")
	if ago := m.stamp().Sub(made).Round(time.Minute); ago >= 0 && !m.clockWrong() {
		since += fmt.Sprintf(" (%s ago)", ago)
	}
	lines = []string{fmt.Sprintf("Everything that was entered since %s will not be in the running system; it stays in a backup that is made first.", since)}
	said = []api.Said{*api.Say("loss_since", "since", made.Local().Format("2006-01-02 15:04"))}
	containers, err := m.Engine.Containers(ctx, good.Project)
	if err != nil {
		return lines, said
	}
	rows, err := m.rows(ctx, applyPlan{From: &good, To: good}, containers)
	if err != nil || len(rows) == 0 {
		return lines, said
	}
	var changed int64
	tables := 0
	for table, n := range rows {
		if before := then[table]; before != n {
			changed += max(n-before, before-n)
			tables++
		}
	}
	if tables == 0 {
		return append(lines, "No table has more or fewer rows than then; rows may have been altered."), append(said, *api.Say("loss_unseen"))
	}
	return append(lines, fmt.Sprintf("The number of rows differs by %d in %d tables.", changed, tables)),
		append(said, *api.Say("loss_rows", "rows", strconv.FormatInt(changed, 10), "tables", strconv.Itoa(tables)))
}

// Rollback goes back to an earlier release, when it is confirmed with the site's name.
func (m *Manager) Rollback(ctx context.Context, req api.RollbackRequest) (api.Started, error) {
	plan, do, err := m.planRollback(ctx, req)
	if err != nil {
		return api.Started{}, err
	}
	if req.Confirm != plan.Site {
		return api.Started{}, api.Fail(api.CodeNotConfirmed, "type the name of the site: "+plan.Site, "going back was not confirmed").In("unconfirmed", "site", plan.Site)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(order{}); err != nil {
		return api.Started{}, err
	}
	kind := KindRollback
	if do.Archive != "" {
		kind = KindRestore
	}
	c, err := m.runner.Start(kind, do, nil)
	if err != nil {
		return api.Started{}, err
	}
	m.poke()
	return api.Started{Change: c.ID}, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %s", path, amountText(limit))
	}
	return data, err
}
