package crash

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func (d *disk) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.child(h.NodeId, name)
	if f == nil {
		return fuse.ENOENT
	}
	f.entry(out)
	return fuse.OK
}

func (d *disk) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[in.NodeId].attr(&out.Attr)
	return fuse.OK
}

func (d *disk) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	if size, ok := in.GetSize(); ok {
		if st := d.fail("write", f); st != fuse.OK {
			return st
		}
		f.Data = resize(f.Data, int64(size))
		f.touch(true)
		d.record(Op{Kind: Truncate, Node: f.ID, Off: int64(size)})
	}
	changed := false
	if mode, ok := in.GetMode(); ok {
		f.Mode, changed = f.Mode&unix.S_IFMT|mode&0o7777, true
	}
	if uid, ok := in.GetUID(); ok {
		f.UID, changed = uid, true
	}
	if gid, ok := in.GetGID(); ok {
		f.GID, changed = gid, true
	}
	if changed {
		f.touch(false)
	}
	if t, ok := in.GetMTime(); ok {
		f.touch(false)
		f.Mtime, changed = t.UnixNano(), true
	}
	if changed {
		d.record(Op{Kind: Change, Node: f.ID})
	}
	f.attr(&out.Attr)
	return fuse.OK
}

// make adds a file under a name that must be free.
func (d *disk) make(h *fuse.InHeader, name string, mode, device uint32, link string, out *fuse.EntryOut) fuse.Status {
	if d.child(h.NodeId, name) != nil {
		return fuse.Status(unix.EEXIST)
	}
	if st := d.fail("create", &file{Node: &Node{}, parent: d.files[h.NodeId], name: name}); st != fuse.OK {
		return st
	}
	f := d.add(h, mode, device, link)
	d.bind(f, Binding{Dir: h.NodeId, Name: name, Node: f.ID})
	f.entry(out)
	return fuse.OK
}

func (d *disk) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.make(&in.InHeader, name, in.Mode, in.Rdev, "", out)
}

func (d *disk) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.make(&in.InHeader, name, unix.S_IFDIR|in.Mode, 0, "", out)
}

func (d *disk) Symlink(_ <-chan struct{}, h *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.make(h, name, unix.S_IFLNK|0o777, 0, to, out)
}

func (d *disk) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.make(&in.InHeader, name, unix.S_IFREG|in.Mode&0o7777, 0, "", &out.EntryOut)
}

func (d *disk) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.Oldnodeid]
	if d.child(in.NodeId, name) != nil {
		return fuse.Status(unix.EEXIST)
	}
	d.bind(nil, Binding{Dir: in.NodeId, Name: name, Node: f.ID})
	f.entry(out)
	return fuse.OK
}

func (d *disk) remove(h *fuse.InHeader, name string, dir bool) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.child(h.NodeId, name)
	switch {
	case f == nil:
		return fuse.ENOENT
	case dir && f.Names == nil:
		return fuse.ENOTDIR
	case !dir && f.Names != nil:
		return fuse.Status(unix.EISDIR)
	case len(f.Names) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	}
	d.bind(nil, Binding{Dir: h.NodeId, Name: name})
	return fuse.OK
}

func (d *disk) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return d.remove(h, name, false)
}

func (d *disk) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return d.remove(h, name, true)
}

func (d *disk) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, old := d.child(in.NodeId, from), d.child(in.Newdir, to)
	if f == nil {
		return fuse.ENOENT
	}
	if st := d.fail("rename", f); st != fuse.OK {
		return st
	}
	source, target := Binding{Dir: in.NodeId, Name: from}, Binding{Dir: in.Newdir, Name: to, Node: f.ID}
	switch {
	case in.Flags&unix.RENAME_EXCHANGE != 0:
		if old == nil {
			return fuse.ENOENT
		}
		source.Node = old.ID
	case in.Flags&unix.RENAME_NOREPLACE != 0 && old != nil:
		return fuse.Status(unix.EEXIST)
	case in.Flags&^(unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE) != 0:
		return fuse.EINVAL
	case old == f:
		return fuse.OK
	case old != nil && len(old.Names) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	case old != nil && old.Names == nil && f.Names != nil:
		return fuse.ENOTDIR
	case old != nil && old.Names != nil && f.Names == nil:
		return fuse.Status(unix.EISDIR)
	}
	d.bind(nil, source, target)
	return fuse.OK
}

func (d *disk) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(d.files[h.NodeId].Link), fuse.OK
}

func (d *disk) Open(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fail("open", d.files[in.NodeId])
}

func (d *disk) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fail("open", d.files[in.NodeId])
}

func (d *disk) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	if st := d.fail("read", f); st != fuse.OK {
		return nil, st
	}
	if in.Offset >= uint64(len(f.Data)) {
		return fuse.ReadResultData(nil), fuse.OK
	}
	n := copy(buf, f.Data[in.Offset:])
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (d *disk) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	data, st := d.failWrite(f, data)
	if st != fuse.OK || len(data) == 0 {
		return 0, st
	}
	end := int64(in.Offset) + int64(len(data))
	if int64(len(f.Data)) < end {
		f.Data = resize(f.Data, end)
	}
	copy(f.Data[in.Offset:], data)
	f.touch(true)
	d.record(Op{Kind: Data, Node: f.ID, Off: int64(in.Offset), Bytes: bytes.Clone(data)})
	return uint32(len(data)), fuse.OK
}

// Lseek finds data and holes, so that sparse files stay sparse: a hole is a block of 4 KiB that holds only zeros.
func (d *disk) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	data := d.files[in.NodeId].Data
	at, size := int(in.Offset), len(data)
	if in.Whence != unix.SEEK_DATA && in.Whence != unix.SEEK_HOLE {
		return fuse.EINVAL
	}
	for ; at < size; at = (at/4096 + 1) * 4096 {
		part := data[at:min((at/4096+1)*4096, size)]
		if bytes.Equal(part, zeros[:len(part)]) == (in.Whence == unix.SEEK_HOLE) {
			out.Offset = uint64(at)
			return fuse.OK
		}
	}
	if in.Whence == unix.SEEK_DATA {
		return fuse.Status(unix.ENXIO)
	}
	out.Offset = uint64(size)
	return fuse.OK
}

func (d *disk) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (d *disk) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	if st := d.fail("sync", f); st != fuse.OK {
		return st
	}
	d.record(Op{Kind: Sync, Node: f.ID})
	return fuse.OK
}

func (d *disk) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return d.Fsync(cancel, in)
}

func (d *disk) Fallocate(<-chan struct{}, *fuse.FallocateIn) fuse.Status {
	return fuse.Status(unix.EOPNOTSUPP)
}

func (d *disk) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	if st := d.fail("read", f); st != fuse.OK {
		return st
	}
	names := slices.Sorted(maps.Keys(f.Names))
	for i := in.Offset; i < uint64(len(names)); i++ {
		child := d.files[f.Names[names[i]].ID]
		if !out.AddDirEntry(fuse.DirEntry{Name: names[i], Mode: child.Mode, Ino: child.ino, Off: i + 1}) {
			break
		}
	}
	return fuse.OK
}

func (d *disk) GetXAttr(_ <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	value, ok := d.files[h.NodeId].Xattrs[name]
	if !ok {
		return 0, fuse.ENOATTR
	}
	return fill(dest, value)
}

func (d *disk) ListXAttr(_ <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.files[h.NodeId].Xattrs)) {
		all.WriteString(name + "\x00")
	}
	return fill(dest, all.String())
}

func fill(dest []byte, value string) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

func (d *disk) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[in.NodeId]
	if f.Xattrs == nil {
		f.Xattrs = map[string]string{}
	}
	f.Xattrs[name] = string(value)
	f.touch(false)
	d.record(Op{Kind: Change, Node: f.ID})
	return fuse.OK
}

func (d *disk) RemoveXAttr(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[h.NodeId]
	if _, ok := f.Xattrs[name]; !ok {
		return fuse.ENOATTR
	}
	delete(f.Xattrs, name)
	f.touch(false)
	d.record(Op{Kind: Change, Node: f.ID})
	return fuse.OK
}

func (d *disk) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, Blocks: 1 << 24, Bfree: 1 << 23, Bavail: 1 << 23, Files: 1 << 20, Ffree: 1 << 19, NameLen: 255}
	return fuse.OK
}
