package update

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle/durable"
	"dhow/manifest/report"
)

// factReport is the number of the last report, factTold its file.
const (
	factReport = "report"
	factTold   = "report-told"
)

// keyLine is what stands before the seed in the file of the site's key.
const keyLine = "dhow-site-key 1 "

// siteKey is the key with which this site signs its reports. It is made on first use and signs nothing else.
func (m *Manager) siteKey() (ed25519.PrivateKey, error) {
	m.keyMu.Lock()
	defer m.keyMu.Unlock()
	if m.key != nil {
		return m.key, nil
	}
	path := m.Paths.SiteKey()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, fresh, gerr := ed25519.GenerateKey(rand.Reader)
		if gerr != nil {
			return nil, fmt.Errorf("cannot make the key of this site: %w", gerr)
		}
		data = []byte(keyLine + base64.StdEncoding.EncodeToString(fresh.Seed()) + "\n")
		err = durable.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep the key of this site: %w", err)
	}
	text, ours := strings.CutPrefix(strings.TrimSpace(string(data)), keyLine)
	seed, err := base64.StdEncoding.DecodeString(text)
	if !ours || err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is not the key of a site; without that file a new one is made, which the central team has to accept", path)
	}
	m.key = ed25519.NewKeyFromSeed(seed)
	return m.key, nil
}

// publicKey is the public half, "" when there is none.
func (m *Manager) publicKey() string {
	key, err := m.siteKey()
	if err != nil {
		m.Log.Warn("there are no reports", "error", err)
		return ""
	}
	return report.Key(key.Public().(ed25519.PublicKey))
}

// Report is the signed report for the central team, as package manifest/report defines it. Who asks again while there is nothing new to tell gets the
// same file: a number stands for what was told.
func (m *Manager) Report(ctx context.Context) (json.RawMessage, error) {
	r, err := m.telling(ctx)
	if err != nil {
		return nil, err
	}
	return m.signReport(r)
}

// signReport gives a report its number, unless the last one tells the same.
func (m *Manager) signReport(r report.Report) ([]byte, error) {
	key, err := m.siteKey()
	if err != nil {
		return nil, api.Fail(api.CodeInternal, "see to the disk: dhow doctor", "%v", err).In("key_lost", "cause", err.Error())
	}
	m.keyMu.Lock()
	defer m.keyMu.Unlock()
	var last []byte
	if _, err := m.Journal.Fact(factTold, &last); err != nil {
		return nil, err
	}
	if old, by, err := report.Parse(last); err == nil && by == report.Key(key.Public().(ed25519.PublicKey)) && old.Same(r) {
		return last, nil
	}
	if _, err := m.Journal.Fact(factReport, &r.Number); err != nil {
		return nil, err
	}
	r.Number++
	if err := m.Journal.SetFact(factReport, r.Number); err != nil {
		return nil, err
	}
	data, err := r.Sign(key)
	if err != nil {
		return nil, err
	}
	return data, m.Journal.SetFact(factTold, data)
}

// telling is what a report says now. Reasons are left out: a service may have put anything into them.
func (m *Manager) telling(ctx context.Context) (r report.Report, err error) {
	s, err := m.Status(ctx)
	if err != nil {
		return r, err
	}
	r = report.Report{
		Fleet: s.Fleet, Site: s.Site, Made: m.stamp(), Agent: m.Version, Release: s.Release, Pinned: s.Pinned, Manifest: s.Manifest,
		State: s.State, Health: s.Health,
	}
	if s.LastBackup != nil {
		r.Backup = s.LastBackup.UTC()
	}
	if s.LastDrill != nil {
		r.Drill, r.DrillOK = s.LastDrill.When.UTC(), s.LastDrill.OK
	}
	for _, n := range s.Needs {
		r.Needs = append(r.Needs, n.Kind)
	}
	list, err := m.Journal.Changes(func(c *change.Change) bool { return c.Kind != KindFetch && !isErrand(c.Kind) && !c.Finished.IsZero() })
	if err != nil {
		return r, err
	}
	for _, c := range list[:min(len(list), report.MostUpdates)] {
		u, err := m.updateOf(c)
		if err != nil {
			return r, err
		}
		told := report.Update{
			Receipt: u.Receipt, Kind: u.Kind, From: u.From, To: u.To, Result: u.Result, Started: u.Started.UTC(), Finished: u.Finished.UTC(),
			Seconds: u.DowntimeSeconds,
		}
		if c.Cause != nil {
			told.Step, told.Class = c.Cause.Step, string(c.Cause.Class)
		}
		r.Updates = append(r.Updates, told)
	}
	return r, nil
}

// reported is what a visit has done about the report.
type reported struct {
	once   bool
	change uint64 // the last one that the report tells of
}

// bringReport leaves a report on a stick that has something of this fleet, or has had a report of this site, when it is plugged in and after
// every update. It fails nothing: how it went is told with what was found there. It reports whether nothing is left to do.
func (m *Manager) bringReport(ctx context.Context, b *brought, told *reported) bool {
	defer m.sticks.end(b)
	m.sticks.begin(b, nil)
	newest, err := m.lastEnded()
	if err != nil || ctx.Err() != nil || told.once && told.change == newest {
		return true
	}
	root, err := os.OpenRoot(b.place.Path)
	if err != nil {
		return true
	}
	defer root.Close()
	before, found := m.earlierReport(root)
	if !found && !m.sticks.ours(b) {
		return true
	}
	if m.atWork() {
		return false
	}
	m.sticks.end(b) // asking the engine may take its time
	now, err := m.telling(ctx)
	m.sticks.begin(b, nil)
	if err != nil {
		m.Log.Warn("there is no report", "error", m.masked(err.Error()))
		return true
	}
	if !told.once { // it was pulled out once while a report was written
		if err := durable.CleanIn(root, report.FileName(m.Config.Site)); err != nil {
			m.Log.Warn("leftovers stay on a stick", "path", b.place.Path, "error", err)
		}
	}
	how := api.ReportWritten
	if !found || !now.Same(before) {
		how = m.writeReport(root, now, b.place.Path)
	}
	told.once, told.change = true, newest
	m.sticks.reported(b, how)
	return true
}

func (m *Manager) writeReport(root *os.Root, now report.Report, where string) string {
	data, err := m.signReport(now)
	if err == nil {
		err = durable.WriteIn(root, report.FileName(now.Site), 0o644, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}, nil)
	}
	switch {
	case err == nil:
		m.Log.Info("a report for the central team was written", "path", where)
		return api.ReportWritten
	case errors.Is(err, syscall.EROFS):
		return api.ReportReadOnly
	}
	m.Log.Warn("the report for the central team could not be written", "path", where, "error", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return api.ReportFull
	}
	return api.ReportFailed
}

// earlierReport is what this site has told on that stick before.
func (m *Manager) earlierReport(root *os.Root) (r report.Report, found bool) {
	name := report.FileName(m.Config.Site)
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > report.MaxSize {
		return r, false
	}
	f, err := root.Open(name)
	if err != nil {
		return r, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, report.MaxSize+1))
	if err != nil {
		return r, false
	}
	r, by, err := report.Parse(data)
	return r, err == nil && by == m.publicKey()
}

// lastEnded is the number of the newest change that has ended and is told in the history, 0 for none.
func (m *Manager) lastEnded() (uint64, error) {
	list, err := m.Journal.Changes(func(c *change.Change) bool { return c.Kind != KindFetch && !isErrand(c.Kind) && !c.Finished.IsZero() })
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}
