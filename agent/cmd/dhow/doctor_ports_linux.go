package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listener finds the program that listens on a TCP port of this computer: its socket is in /proc/net/tcp (proc(5)), and among the open files of the
// program. Both are 0 and "" when nobody listens, or it is somebody whose files can't be looked at.
func listener(port uint16) (pid int, name string) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range files {
		if to, err := os.Readlink(path); err == nil && inodes[to] {
			process := filepath.Dir(filepath.Dir(path))
			comm, _ := os.ReadFile(filepath.Join(process, "comm"))
			pid, _ = strconv.Atoi(filepath.Base(process))
			return pid, strings.TrimSpace(string(comm))
		}
	}
	return 0, ""
}

// agentPID is the process at the other end of the agent's socket, 0 when there is none.
func (p *patient) agentPID() int {
	conn, err := net.Dial("unix", p.paths.Socket())
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(c.Pid)
		}
	})
	return pid
}
