//go:build linux && (arm || 386)

package notice

import "golang.org/x/sys/unix"

// setresuid is the call for user numbers of 32 bits.
const setresuid = unix.SYS_SETRESUID32
