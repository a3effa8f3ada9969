//go:build linux && !arm && !386

package notice

import "golang.org/x/sys/unix"

const setresuid = unix.SYS_SETRESUID
