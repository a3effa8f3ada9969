package archive

import "time"

// Retention bounds what is kept; zero bounds nothing. Used is what the archive takes now (see Size), Space what it may take. Step bounds by how
// much a backup counts as older than the next one: where a clock was wrong by years in between, they say nothing of its age.
type Retention struct {
	Count int
	Age   time.Duration
	Step  time.Duration
	Space int64
	Used  int64
}

// Retain says which backups of a list, as List gives it, may be deleted, the oldest first. Never the newest good one, never one for
// which keep says true, never one that cannot be read, and none at all unless the newest good one is verified. What dropping frees
// is guessed from what each backup added; where that is too much, the next call drops more.
func Retain(list []Record, policy Retention, keep func(Record) bool, now time.Time) (drop []string) {
	var usable []Record
	for _, r := range list {
		if r.Problem == nil {
			usable = append(usable, r)
		}
	}
	if len(usable) == 0 || usable[0].Verified == nil {
		return nil
	}
	gone := make([]bool, len(usable))
	may := func(i int) bool { return i > 0 && !gone[i] && !keep(usable[i]) }
	age, next := time.Duration(0), now
	for i, r := range usable {
		step := next.Sub(r.Made)
		if policy.Step > 0 {
			step = min(step, policy.Step)
		}
		age, next = age+max(0, step), r.Made
		many := policy.Count > 0 && i >= policy.Count
		old := policy.Age > 0 && age > policy.Age
		gone[i] = may(i) && (many || old)
	}
	used := policy.Used
	for i, r := range usable {
		if gone[i] {
			used -= r.Stored
		}
	}
	for i := len(usable) - 1; i > 0 && policy.Space > 0 && used > policy.Space; i-- {
		if may(i) {
			gone[i] = true
			used -= usable[i].Stored
		}
	}
	for i := len(usable) - 1; i > 0; i-- { // the oldest first
		if gone[i] {
			drop = append(drop, usable[i].Name)
		}
	}
	return drop
}
