package update

import (
	"errors"
	"fmt"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/bundle/ladder"
)

// shortage is what kept a change from its end: bytes that must be free on a disk. It is not stored: after a restart the ordinary pauses count.
type shortage struct {
	where string
	bytes int64
	// plan is that of a fetch that is to be begun again.
	plan  *fetchPlan
	tries int
}

// shortTries is how often in a row what failed for want of space is begun again as soon as there is room; from then on after the ordinary
// pauses. A failure with downtime counts as two.
const shortTries = 3

// worthWaiting is how many bytes more a fetch may move for want of room, before it waits for room instead.
const worthWaiting = 10_000_000

// dearer says what more room would spare of the bytes that a fetch is about to move over the line. Where that is much it fails, so that a person
// can make room, unless one wants it now.
func (m *Manager) dearer(p fetchPlan, release string, plan ladder.Plan) (news told, err error) {
	where := m.Paths.Store()
	free, err := site.Free(where)
	if err != nil {
		return told{}, nil
	}
	text := fmt.Sprintf("more free disk would make it %s in place of %s", amountText(plan.Roomier.Bytes), amountText(plan.Bytes))
	total := plan.Roomier.Disk + spaceReserve
	if total > free {
		text = amountText(total-free) + " " + text
	}
	if p.Now || plan.Bytes-plan.Roomier.Bytes <= worthWaiting {
		args := sized("room", max(0, total-free), sized("less", plan.Roomier.Bytes, sized("size", plan.Bytes)...)...)
		return told{text, api.Say("warn_dearer", args...)}, nil
	}
	err = m.noRoom(where, free, total, fmt.Errorf("release %s waits for room in %s: %s", release, where, text))
	if f := (*change.Failure)(nil); errors.As(err, &f) {
		f.Hint += "; dhow update --now fetches the " + amountText(plan.Bytes) + " all the same"
	}
	return told{}, err
}

// shortLook is how often an idle manager looks whether there is room again.
const shortLook = 5 * time.Second

// reckon takes stock when a change has ended: whether it is to be begun again when there is room.
func (m *Manager) reckon(c *change.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Kind != KindFetch && c.Kind != KindApply && c.Kind != KindRestore || c.Kind == KindFetch && c.Cause == nil {
		m.missing = nil // a fetch that has worked says nothing of the apply that follows
		if c.Kind == KindFetch && m.short != nil {
			m.short.plan = nil
		}
		return
	}
	if c.Cause == nil || c.Cause.Class != change.ClassSpace || m.missing == nil {
		m.short, m.missing = nil, nil
		return
	}
	tries := 1
	if downtime(c) {
		tries = 2
	}
	if m.short != nil {
		tries += m.short.tries
	}
	m.short = &shortage{where: m.missing.where, bytes: m.missing.bytes, tries: tries}
	m.missing = nil
	var p fetchPlan
	if c.Kind == KindFetch && c.ReadPlan(&p) == nil {
		p.Now, p.Person = false, false // who asked was told
		m.short.plan = &p
	}
}

// dueFetch is the fetch that failed for want of space, when there is room again, else nil. The caller holds m.mu.
func (m *Manager) dueFetch() *fetchPlan {
	if !m.roomAgain() {
		return nil
	}
	p := m.short.plan
	m.short.plan = nil
	return p
}

// waitsForRoom reports whether something is begun again when there is room.
func (m *Manager) waitsForRoom() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.short != nil && m.short.tries <= shortTries
}

// roomAgain reports whether there is room now for what failed for want of it. The caller holds m.mu.
func (m *Manager) roomAgain() bool {
	if m.short == nil || m.short.tries > shortTries {
		return false
	}
	free, err := site.Free(m.short.where)
	return err == nil && free >= m.short.bytes
}
