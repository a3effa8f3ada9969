package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"dhow/installer"
)

// door is a port that a release will publish.
type door struct {
	service string
	port    uint16
}

// checkPorts looks for other programs on the ports of the stack and of the page.
func checkPorts(ctx context.Context, p *patient) (list []finding) {
	free := 0
	if s := p.stack(ctx); s.ok() {
		held := map[string]bool{}
		for _, c := range s.containers {
			for _, q := range c.Ports {
				if c.State == "running" {
					held[fmt.Sprintf("%s/%d", q.Protocol, q.HostPort)] = true
				}
			}
		}
		for _, q := range s.running.Project.Ports() {
			if q.Published == 0 || q.Protocol != "tcp" || held[fmt.Sprintf("tcp/%d", q.Published)] || s.busy() {
				continue
			}
			address := net.JoinHostPort(q.HostIP, strconv.Itoa(int(q.Published)))
			if l, err := net.Listen("tcp", address); err == nil {
				_ = l.Close()
				free++
				continue
			}
			if who := p.stranger(q.Published); who != "" {
				list = append(list, bad("doctor.ports.door", "doctor.ports.stop", "port", q.Published, "service", q.Service, "program", who)...)
			}
		}
		free += len(held)
	} else {
		for _, d := range p.doors {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(d.port))))
			if err == nil {
				_ = l.Close()
				free++
				continue
			}
			if who := p.stranger(d.port); who != "" {
				list = append(list, bad("doctor.ports.door", "doctor.ports.stop", "port", d.port, "service", d.service, "program", who)...)
			}
		}
	}
	if p.config != nil && !pageOff(p.paths, p.config.Page) {
		if port, who := p.pageTaken(ctx); who != "" {
			list = append(list, bad("doctor.ports.page", "doctor.ports.other", "port", port, "program", who, "file", p.paths.Config())...)
		}
	}
	if list == nil && free > 0 {
		list = good("doctor.ports.good", "n", free)
	}
	return list
}

// pageTaken names another program on the port of the page.
func (p *patient) pageTaken(ctx context.Context) (port uint16, who string) {
	_, text, err := net.SplitHostPort(p.config.Page.Address())
	if err != nil {
		return 0, ""
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, ""
	}
	dial, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(dial, "tcp", net.JoinHostPort("127.0.0.1", text))
	if err != nil {
		return 0, "" // nobody
	}
	_ = conn.Close()
	pid, name := listener(uint16(n))
	if pid == 0 || p.isAgent(pid, name) {
		return 0, ""
	}
	return uint16(n), fmt.Sprintf("%s (%d)", name, pid)
}

// stranger names the program on a port of the stack, "" when that is the agent: its maintenance page has the ports of the stack during an update, and as
// long as the site is stuck.
func (p *patient) stranger(port uint16) string {
	switch pid, name := listener(port); {
	case pid == 0:
		return "?"
	case p.isAgent(pid, name):
		return ""
	default:
		return fmt.Sprintf("%s (%d)", name, pid)
	}
}

// isAgent reports whether a process is the agent. One that does not answer is known by its name.
func (p *patient) isAgent(pid int, name string) bool {
	agent := p.agentPID()
	return pid == agent || agent == 0 && name == installer.Name
}
