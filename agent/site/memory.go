package site

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Writable says why nothing can be written to a folder. Nothing is written to find out.
func Writable(folder string) error { return writable(folder) }

// Inodes returns how many more files the file system of path takes, and how many in all. Both are 0 where it has no such limit.
func Inodes(path string) (left, all uint64, err error) {
	left, all, err = inodes(path)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot tell how many files there may be at %s: %w", path, err)
	}
	return left, all, nil
}

// Memory is what the computer has, in bytes. All is 0 where the system does not tell.
type Memory struct{ All, Available, Swap, SwapFree int64 }

// ReadMemory reads /proc/meminfo.
func ReadMemory() (Memory, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return Memory{}, nil // not Linux
	}
	defer f.Close()
	return parseMemory(f)
}

// parseMemory reads lines such as "MemTotal:       16310000 kB".
func parseMemory(r io.Reader) (Memory, error) {
	var m Memory
	lines := bufio.NewScanner(io.LimitReader(r, maxFile))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		to := map[string]*int64{"MemTotal": &m.All, "MemAvailable": &m.Available, "SwapTotal": &m.Swap, "SwapFree": &m.SwapFree}[name]
		fields := strings.Fields(rest)
		if to == nil || len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 53)
		if err != nil {
			return Memory{}, fmt.Errorf("cannot tell the memory: %w", err)
		}
		*to = n << 10
	}
	return m, lines.Err()
}
