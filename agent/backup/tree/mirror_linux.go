package tree

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// Mirror makes the folder To equal to entries.
type Mirror struct {
	To *Root
	// Strict refuses what To's file system can't keep; otherwise that is left to the index.
	Strict bool
	// Pruned is called when all that does not belong there is gone; may be nil.
	Pruned func() error
	// Keep says whether the file at e's path already has the right content and metadata; it may set what it knows in e.
	Keep func(e *Entry) (bool, error)
	// Fetch makes the file at e's path, content only (see Root.Create); false leaves the entry out.
	Fetch func(e *Entry) (bool, error)
	// After is called when a file has been fetched and has its metadata; may be nil.
	After func(e *Entry) error
}

// Run works through entries as Scan or ReadIndex gave them, folders' metadata last, and returns those that are there now. What has no
// entry is removed. It may be interrupted anywhere and run again.
func (m *Mirror) Run(ctx context.Context, entries []*Entry) ([]*Entry, error) {
	want := make(map[Name]*Entry, len(entries))
	for _, e := range entries {
		want[e.Path] = e
	}
	if err := prune(ctx, m.To, want); err != nil {
		return nil, err
	}
	if m.Pruned != nil {
		if err := m.Pruned(); err != nil {
			return nil, err
		}
	}
	made := make([]*Entry, 0, len(entries))
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		ok, err := m.make(e, want)
		if err != nil {
			return made, err
		}
		if ok {
			made = append(made, e)
		} else {
			delete(want, e.Path)
		}
	}
	for i := len(made) - 1; i >= 0; i-- {
		if made[i].Kind == Dir {
			if err := m.To.Apply(made[i], m.Strict); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

func (m *Mirror) make(e *Entry, want map[Name]*Entry) (bool, error) {
	if e.Path == "." {
		return true, nil
	}
	fd, name, err := m.To.at(e.Path)
	if err != nil {
		return false, err
	}
	switch {
	case e.Kind == Dir:
		if err := unix.Mkdirat(fd, name, 0o700); err != nil && err != unix.EEXIST {
			return false, m.To.failed("create", string(e.Path), err)
		}
		return true, nil
	case e.Kind == File && e.Hard != "":
		if want[e.Hard] == nil { // its first name vanished while we copied
			return false, m.To.Remove(e.Path)
		}
		return true, m.link(e)
	case e.Kind == File:
		return m.file(e)
	}
	if err := m.To.Remove(e.Path); err != nil {
		return false, err
	}
	switch e.Kind {
	case Link:
		err = unix.Symlinkat(string(e.Link), fd, name)
	case Fifo:
		err = unix.Mknodat(fd, name, unix.S_IFIFO|0o600, 0)
	case Char:
		err = unix.Mknodat(fd, name, unix.S_IFCHR|0o600, int(e.Device))
	case Block:
		err = unix.Mknodat(fd, name, unix.S_IFBLK|0o600, int(e.Device))
	}
	if errors.Is(err, unix.EPERM) && !m.Strict && (e.Kind == Char || e.Kind == Block) {
		return true, nil // the index keeps it
	}
	if err != nil {
		return false, m.To.failed("create", string(e.Path), err)
	}
	return true, m.To.Apply(e, m.Strict)
}

func (m *Mirror) file(e *Entry) (bool, error) {
	kept, err := m.Keep(e)
	if err != nil || kept {
		return kept, err
	}
	ok, err := m.Fetch(e)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, m.To.Remove(e.Path)
	}
	if err := m.To.Apply(e, m.Strict); err != nil {
		return false, err
	}
	if m.After == nil {
		return true, nil
	}
	return true, m.After(e)
}

// link makes e's path another name of the file e.Hard.
func (m *Mirror) link(e *Entry) error {
	first, err := m.To.stat(e.Hard)
	if err != nil {
		return err
	}
	if st, err := m.To.stat(e.Path); err == nil && st.Ino == first.Ino && st.Dev == first.Dev {
		return nil
	}
	if err := m.To.Remove(e.Path); err != nil {
		return err
	}
	dir, name, err := m.To.at(e.Hard)
	if err != nil {
		return err
	}
	pin, err := unix.Openat(dir, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // the next at may close dir
	if err != nil {
		return m.To.failed("open", string(e.Hard), err)
	}
	defer unix.Close(pin)
	toDir, toName, err := m.To.at(e.Path)
	if err != nil {
		return err
	}
	if err := unix.Linkat(pin, name, toDir, toName, 0); err != nil {
		return m.To.failed("link", string(e.Path), err)
	}
	return nil
}

// prune removes from r what want does not have, or has as another kind. Sockets go too.
func prune(ctx context.Context, r *Root, want map[Name]*Entry) error {
	r.forget(0)
	return pruneDir(ctx, r, r.fd, "", want)
}

func pruneDir(ctx context.Context, r *Root, fd int, prefix string, want map[Name]*Entry) error {
	names, err := readNames(fd, r.path+"/"+prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := prefix + name
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return r.failed("stat", path, err)
		}
		have, known := describe(Name(path), &st)
		e := want[Name(path)]
		stay := known && e != nil && e.Kind == have.Kind
		flags := 0
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			flags = unix.AT_REMOVEDIR
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				return r.failed("open", path, err)
			}
			err = pruneDir(ctx, r, sub, path+"/", want)
			_ = unix.Close(sub)
			if err != nil {
				return err
			}
		}
		if stay {
			continue
		}
		if err := unix.Unlinkat(fd, name, flags); err != nil {
			return r.failed("remove", path, err)
		}
	}
	return nil
}
