//go:build faults

package fault

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Now is the wall clock of this computer, moved by the seconds in the file $DHOW_FAULT_CLOCK.
func Now() time.Time {
	now := time.Now()
	file := os.Getenv("DHOW_FAULT_CLOCK")
	if file == "" {
		return now
	}
	data, err := os.ReadFile(file)
	seconds, bad := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || bad != nil {
		panic("$DHOW_FAULT_CLOCK names no file with a number of seconds: " + file)
	}
	// Without its monotonic part, which a clock that is set does not move.
	return time.Unix(now.Unix()+seconds, int64(now.Nanosecond()))
}
