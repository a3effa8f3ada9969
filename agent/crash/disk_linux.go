package crash

import (
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// file is a live file. parent and name are of the name that it got last.
type file struct {
	*Node
	ino    uint64 // what stat says: that of the original for files that Show has put there
	links  uint32
	parent *file
	name   string
}

// disk is the file system in memory. One request is handled at a time, so the log is the order in which things happened.
type disk struct {
	fuse.RawFileSystem
	mu     sync.Mutex
	files  map[uint64]*file
	last   uint64 // number of the newest file
	log    []Op
	quiet  bool // nothing is recorded any more
	faults []*Fault
}

func newDisk() *disk {
	d := &disk{RawFileSystem: fuse.NewDefaultRawFileSystem(), files: map[uint64]*file{}, last: Root}
	now := time.Now().UnixNano()
	root := &Node{ID: Root, Attr: Attr{Mode: unix.S_IFDIR | 0o700, Mtime: now, Ctime: now}, Names: map[string]*Node{}}
	d.files[Root] = &file{Node: root, ino: Root, links: 1}
	return d
}

func (d *disk) String() string { return "dhow-crash" }

func (d *disk) path(f *file) string {
	var names []string
	for ; f != nil && f.ID != Root && len(names) < 100; f = f.parent {
		names = append(names, f.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

func (d *disk) record(o Op) {
	if d.quiet {
		return
	}
	if f := d.files[o.Node]; f != nil && o.Kind != Names { // the attributes of a file are not part of its names
		o.Path = d.path(f)
		o.Attr = f.Attr.clone()
	}
	d.log = append(d.log, o)
}

// touch sets the change time, and for content the modification time.
func (f *file) touch(content bool) {
	f.Ctime = max(time.Now().UnixNano(), f.Ctime+1)
	if content {
		f.Mtime = f.Ctime
	}
}

// add makes a file. The caller records it.
func (d *disk) add(h *fuse.InHeader, mode, device uint32, link string) *file {
	now := time.Now().UnixNano()
	d.last++
	id := d.last
	n := &Node{ID: id, Attr: Attr{Mode: mode, UID: h.Uid, GID: h.Gid, Device: device, Mtime: now, Ctime: now}, Link: link}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		n.Names = map[string]*Node{}
	}
	f := &file{Node: n, ino: id}
	d.files[id] = f
	return f
}

// bind changes names, all at once, and records it.
func (d *disk) bind(made *file, changes ...Binding) {
	o := Op{Kind: Names, Changes: changes}
	if made != nil {
		o.New, o.Node = &Made{Attr: made.Attr.clone(), Link: made.Link}, made.ID
	}
	for _, c := range changes {
		dir := d.files[c.Dir]
		if old := dir.Names[c.Name]; old != nil {
			d.files[old.ID].links--
			d.files[old.ID].touch(false)
		}
		delete(dir.Names, c.Name)
		dir.touch(true)
		if o.Node == 0 {
			o.Path = path.Join(d.path(dir), c.Name)
		}
	}
	for _, c := range changes {
		if c.Node == 0 {
			continue
		}
		dir, f := d.files[c.Dir], d.files[c.Node]
		dir.Names[c.Name] = f.Node
		f.links++
		f.parent, f.name = dir, c.Name
		f.touch(false)
		o.Path = d.path(f)
	}
	d.record(o)
}

// show puts a state under a name in the root, unrecorded. Files keep their numbers and times as far as stat can see.
func (d *disk) show(name string, state []flat) {
	first := d.last + 1
	d.last += uint64(len(state))
	for i := range state {
		n := &state[i].Node
		ino := n.ID
		n.ID = first + uint64(i)
		d.files[n.ID] = &file{Node: n, ino: ino}
	}
	graft := func(dir *file, name string, id uint64) {
		f := d.files[id]
		dir.Names[name] = f.Node
		f.links++
		f.parent, f.name = dir, name
	}
	for i, s := range state {
		dir := d.files[first+uint64(i)]
		if dir.Mode&unix.S_IFMT == unix.S_IFDIR {
			dir.Names = map[string]*Node{}
		}
		for child, at := range s.Names {
			graft(dir, child, first+uint64(at))
		}
	}
	graft(d.files[Root], name, first)
}

// Forget is called when the kernel knows a file no more. What has no name then is gone; while a record is made it may still be looked up.
func (d *disk) Forget(id, _ uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[id]; d.quiet && f != nil && f.links == 0 {
		delete(d.files, id)
	}
}

func (d *disk) child(dir uint64, name string) *file {
	parent := d.files[dir]
	if parent == nil || parent.Names[name] == nil {
		return nil
	}
	return d.files[parent.Names[name].ID]
}

func (f *file) attr(out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: f.ino, Size: uint64(len(f.Data)), Blocks: uint64(len(f.Data)+511) / 512, Blksize: 4096, Nlink: f.links, Mode: f.Mode, Rdev: f.Device,
		Owner: fuse.Owner{Uid: f.UID, Gid: f.GID},
	}
	if f.Mode&unix.S_IFMT == unix.S_IFLNK {
		out.Size = uint64(len(f.Link))
	}
	mtime, ctime := time.Unix(0, f.Mtime), time.Unix(0, f.Ctime)
	out.SetTimes(&mtime, &mtime, &ctime)
}

func (f *file) entry(out *fuse.EntryOut) {
	out.NodeId, out.Generation = f.ID, 1
	out.SetEntryTimeout(time.Hour)
	f.attr(&out.Attr)
}
