package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/change"
	"dhow/agent/site"
)

// spaceReserve is how many bytes are left free on every disk, whatever happens.
const spaceReserve = 128 << 20

// need is room for something somewhere.
type need struct {
	what, where string
	bytes       int64
}

// returning is what a disk with data must have room for.
const returning = "putting the data back"

// needsOf adds up what an update will write where, from now on. root is the engine's folder.
func (m *Manager) needsOf(ctx context.Context, root string, images []pinned, trees []backup.Tree) ([]need, error) {
	var load int64
	for _, image := range images {
		there, err := m.Engine.HasImage(ctx, image.Config.Digest)
		if err != nil {
			return nil, engineTrouble(err)
		}
		for _, l := range image.Layers {
			if !there {
				load += 2 * l.DiffSize // the engine unpacks into a temporary copy first
			}
		}
	}
	data, err := backup.Size(trees)
	if err != nil {
		return nil, err
	}
	needs := []need{
		{"the images", root, load},
		// The snapshot, and a dump which is rarely larger than a quarter of the data.
		{"a safe copy of the data", m.Paths.Backups(), data + data/4},
	}
	for _, t := range trees {
		// Putting data back begins by removing what was not there, and then replaces file by file.
		largest, err := backup.Largest(t)
		if err != nil {
			return nil, err
		}
		needs = append(needs, need{returning, t.Path, largest})
	}
	return needs, nil
}

// checkNeeds adds up what is needed on each disk, and fails when one of them has not enough.
func (m *Manager) checkNeeds(needs []need) error {
	for _, n := range needs {
		free, err := site.Free(n.where)
		if err != nil {
			continue // the engine's folder may be on another computer or hidden: the effect is checked later
		}
		what, total := wanted(needs, n.where)
		if free < total {
			return m.noRoom(n.where, free, total, fmt.Errorf("%s more is needed in %s for %s (%s needed, %s free)",
				amountText(total-free), n.where, what, amountText(total), amountText(free)))
		}
	}
	return nil
}

// wanted is how many bytes must be free on the disk that holds a folder, and for what. A disk that holds nothing but data needs no reserve.
func wanted(needs []need, where string) (what string, total int64) {
	list, reserve := []string(nil), int64(0)
	for _, n := range needs {
		if !site.SameDisk(n.where, where) {
			continue
		}
		if n.what != returning {
			reserve = spaceReserve
		}
		if total += n.bytes; n.bytes > 0 && !slices.Contains(list, n.what) {
			list = append(list, n.what)
		}
	}
	switch n := len(list); {
	case n == 0:
		what = "the computer itself"
	case n == 1:
		what = list[0]
	default:
		what = strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return what, total + reserve
}

// noRoom is a failure for want of space. It remembers what is missing, so that the work goes on when there is room.
func (m *Manager) noRoom(where string, free, total int64, err error) error {
	m.mu.Lock()
	m.missing = &shortage{where: where, bytes: total}
	m.mu.Unlock()
	f := &change.Failure{Class: change.ClassSpace, Code: api.CodeRefused, Err: err, Hint: "make room on this disk; dhow goes on by itself"}
	list := m.deletable(where)
	if len(list) == 0 {
		return f.In("disk_full", "cause", err.Error())
	}
	things := strings.Join(list, "; ")
	f.Hint = "what may be deleted there: " + things + ". Then dhow goes on by itself"
	return f.In("disk_full_of", "cause", err.Error(), "things", things)
}

// deletable lists what takes room on the disk that holds a folder and may be deleted, largest first, with the command that does it.
func (m *Manager) deletable(where string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	type thing struct {
		bytes int64
		text  string
	}
	var list []thing
	add := func(bytes int64, format string, args ...any) {
		if bytes >= 1<<20 {
			list = append(list, thing{bytes, fmt.Sprintf(format, append([]any{amountText(bytes)}, args...)...)})
		}
	}
	if info, err := m.Engine.Info(ctx); err == nil && site.SameDisk(info.Root, where) {
		if n, err := m.Engine.Unused(ctx); err == nil {
			add(n, "images that no container uses, at least %s: docker image prune --all")
		}
	}
	for _, f := range []struct{ dir, text string }{
		{m.Paths.Archive(), "older backups, of %s in all: dhow backup list, dhow backup delete NAME"},
		{"/var/cache/apt/archives", "packages that are installed already, %s: apt-get clean"},
		{"/var/log/journal", "the system's log, %s: journalctl --vacuum-size=100M"},
	} {
		if site.SameDisk(f.dir, where) {
			add(used(f.dir), f.text)
		}
	}
	slices.SortStableFunc(list, func(a, b thing) int { return int(max(-1, min(1, b.bytes-a.bytes))) })
	var texts []string
	for _, t := range list {
		texts = append(texts, t.text)
	}
	return texts
}

// used is the size of the files below a folder, as far as they can be seen.
func used(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// roomy wraps a handler: an error of a full disk says how much is missing, and where; one of a failing disk says so.
func (m *Manager) roomy(h change.Handler) change.Handler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, t *change.Task) error {
		err := h(ctx, t)
		if !noSpace(err) || ctx.Err() != nil {
			return unreadable(err)
		}
		if retry := (*change.Retry)(nil); errors.As(err, &retry) {
			return err
		}
		return m.full(ctx, t.Change, err)
	}
}

// noSpace reports whether err tells of a full disk, in our words or in the engine's.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || err != nil && strings.Contains(err.Error(), "no space left on device")
}

// undoRoomy is roomy for what must be undone: it is tried again soon, for ever.
func (m *Manager) undoRoomy(h change.Handler) change.Handler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, t *change.Task) error {
		err := m.roomy(h)(ctx, t)
		if f := (*change.Failure)(nil); errors.As(err, &f) && f.Class == change.ClassSpace {
			return &change.Retry{After: 5 * time.Second, Err: fmt.Errorf("%w (%s)", err, f.Hint)}
		}
		return err
	}
}

// full says of an error of a full disk which disk that is, and what is missing for the rest of the change, as far as it can be told.
func (m *Manager) full(ctx context.Context, c *change.Change, err error) error {
	disks := []string{m.Paths.State()}
	if info, ierr := m.Engine.Info(ctx); ierr == nil {
		disks = append(disks, info.Root)
	}
	where, least := "", int64(0)
	for _, dir := range disks {
		if free, ferr := site.Free(dir); ferr == nil && (where == "" || free < least) {
			where, least = dir, free
		}
	}
	needs, nerr := m.needsNow(ctx, c)
	if nerr != nil {
		needs = nil // then the reserve is what is known to be missing
	}
	_, total := wanted(needs, where)
	total = max(total, spaceReserve)
	if where == "" || least >= total {
		return space(err)
	}
	return m.noRoom(where, least, total, fmt.Errorf("%w; %s more is needed in %s", err, amountText(total-least), where))
}

// needsNow is what a change has still to write.
func (m *Manager) needsNow(ctx context.Context, c *change.Change) ([]need, error) {
	switch c.Kind {
	case KindFetch:
		var target targetNote
		if _, err := c.ReadNote(stepPlan, &target); err != nil || target.Release == "" {
			return nil, err
		}
		release, _, err := m.Trust.Release(ctx, nil, target.Release)
		if err != nil {
			return nil, err
		}
		platform, err := m.platform(ctx)
		if err != nil {
			return nil, err
		}
		x, err := m.missingOf(ctx, release, platform, nil)
		if err != nil {
			return nil, err
		}
		_, _, disk := x.plan()
		return []need{{"the release", m.Paths.Store(), disk}}, nil
	case KindApply, KindRollback, KindRestore:
		var p applyPlan
		if err := c.ReadPlan(&p); err != nil {
			return nil, err
		}
		r, err := m.releaseOf(p.To)
		if err != nil {
			return nil, err
		}
		images, err := m.pin(ctx, p.To, r)
		if err != nil {
			return nil, err
		}
		info, err := m.Engine.Info(ctx)
		if err != nil {
			return nil, err
		}
		var ahead copyNote
		if _, err := c.ReadNote(stepCopyAhead, &ahead); err != nil {
			return nil, err
		}
		return m.needsOf(ctx, info.Root, images, ahead.Trees)
	}
	return nil, nil
}
