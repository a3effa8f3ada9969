package main

import (
	"context"
	"slices"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/update"
)

// Memory, in bytes, that should be available, and files that should still find room.
const (
	littleMemory = 100_000_000
	littleInodes = 20_000
)

// disks are the folders of the agent and of the engine, when these lie on two disks.
func (p *patient) disks(ctx context.Context) []string {
	list := []string{p.paths.State()}
	if s := p.stack(ctx); s != nil && s.err == nil && exists(s.info.Root) && !site.SameDisk(p.paths.State(), s.info.Root) {
		list = append(list, s.info.Root)
	}
	return list
}

func checkDisk(ctx context.Context, p *patient) (list []finding) {
	for _, dir := range p.disks(ctx) {
		free, err := site.Free(dir)
		switch {
		case err != nil:
			list = append(list, said(isBad, "disk.unknown", err.Error(), "doctor.disk.look")...)
		case free < update.NoSpace:
			list = append(list, bad("doctor.disk.full", "doctor.disk.room", sized("free", free, "folder", dir)...)...)
		case free < update.LittleSpace:
			list = append(list, warn("doctor.disk.little", "doctor.disk.room", sized("free", free, "folder", dir)...)...)
		default:
			list = append(list, good("doctor.disk.good", sized("free", free)...)...)
		}
	}
	full := func(f finding) bool { return f.Result == isBad }
	if n := p.need(api.NeedDisk); n != nil && !slices.ContainsFunc(list, full) { // only the agent knows what an update that has failed still needs
		list = append(list, finding{Result: isBad, ID: "disk.short", text: "need.disk", remedy: "need.do.disk", args: []any{"missing", n.Args["missing"]}})
	}
	return list
}

// need is what the agent says that a person must see to, nil when it says nothing of that kind.
func (p *patient) need(kind string) *api.Need {
	if p.status == nil {
		return nil
	}
	if i := slices.IndexFunc(p.status.Needs, func(n api.Need) bool { return n.Kind == kind }); i >= 0 {
		return &p.status.Needs[i]
	}
	return nil
}

func checkInodes(ctx context.Context, p *patient) (list []finding) {
	for _, dir := range p.disks(ctx) {
		if !exists(dir) {
			continue
		}
		left, all, err := site.Inodes(dir)
		switch {
		case err != nil:
			list = append(list, said(isWarning, "inodes.unknown", err.Error(), "")...)
		case all == 0: // a file system that makes them as it needs them
		case left < littleInodes && left < all/20:
			list = append(list, bad("doctor.inodes.little", "doctor.inodes.room", "left", left, "folder", dir)...)
		default:
			list = append(list, good("doctor.inodes.good", "left", left)...)
		}
	}
	return list
}

func checkMemory(context.Context, *patient) []finding {
	m, err := site.ReadMemory()
	switch {
	case err != nil:
		return said(isWarning, "memory.unknown", err.Error(), "")
	case m.All == 0:
		return nil
	}
	return judgeMemory(m)
}

func judgeMemory(m site.Memory) []finding {
	if m.Available+m.SwapFree < littleMemory || m.Available < littleMemory/2 {
		return warn("doctor.memory.little", "doctor.memory.free", sized("free", m.Available, sized("all", m.All)...)...)
	}
	return good("doctor.memory.good", sized("free", m.Available, sized("all", m.All)...)...)
}
