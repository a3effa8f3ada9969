package self

import (
	"fmt"
	"os"
	"strings"
)

// thisProcess is this process. Without /proc it has no Boot.
func thisProcess() Running {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Running{}
	}
	pid := os.Getpid()
	return Running{Boot: strings.TrimSpace(string(boot)), PID: pid, Began: beganOf(pid)}
}

// lives reports whether a process of this boot is there.
func lives(r Running) bool { return r.Began != "" && beganOf(r.PID) == r.Began }

// beganOf is when a process began, in ticks since the boot: field 22 of proc_pid_stat(5).
func beganOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	text := string(data) // the second field is a name in brackets, with anything in it
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
