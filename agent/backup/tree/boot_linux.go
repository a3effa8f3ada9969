package tree

import (
	"os"
	"strings"
)

const bootIDLength = len("01234567-89ab-cdef-0123-456789abcdef")

// Boot names the present start of the system; it is empty, and equal to none, when that is not known.
func Boot() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if id := strings.TrimSpace(string(data)); err == nil && len(id) == bootIDLength {
		return id
	}
	return ""
}
