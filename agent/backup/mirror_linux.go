package backup

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// mirror makes one tree (to) equal to a list of entries whose content stands in another (from).
type mirror struct {
	*copier
	from, to *root
	strict   bool
	// pruned is called when all that does not belong there is gone; may be nil.
	pruned func() error
	// keep says whether the file at e's path in to already has the right content and metadata; it may set what it knows in e.
	keep func(e *entry) (bool, error)
	// fetch creates the file at e's path in to, content only; false leaves the entry out.
	fetch func(e *entry) (bool, error)
	// after is called when a file has been fetched.
	after func(e *entry) error
}

// run works through entries, folders' metadata last, and returns those that are there now.
func (m *mirror) run(entries []*entry) ([]*entry, error) {
	want := make(map[raw]*entry, len(entries))
	for _, e := range entries {
		want[e.Path] = e
	}
	if err := prune(m.ctx, m.to, want); err != nil {
		return nil, err
	}
	if m.pruned != nil {
		if err := m.pruned(); err != nil {
			return nil, err
		}
	}
	made := make([]*entry, 0, len(entries))
	for _, e := range entries {
		if err := m.ctx.Err(); err != nil {
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
		if made[i].Kind == kindDir {
			if err := m.to.apply(made[i], m.strict); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

func (m *mirror) make(e *entry, want map[raw]*entry) (bool, error) {
	if e.Path == "." {
		return true, nil
	}
	fd, name, err := m.to.at(e.Path)
	if err != nil {
		return false, err
	}
	switch {
	case e.Kind == kindDir:
		if err := unix.Mkdirat(fd, name, 0o700); err != nil && err != unix.EEXIST {
			return false, m.to.failed("create", string(e.Path), err)
		}
		return true, nil
	case e.Kind == kindFile && e.Hard != "":
		if want[e.Hard] == nil { // its first name vanished while we copied
			return false, m.to.unlink(e.Path)
		}
		return true, m.link(e)
	case e.Kind == kindFile:
		return m.file(e)
	}
	if err := m.to.unlink(e.Path); err != nil {
		return false, err
	}
	switch e.Kind {
	case kindLink:
		err = unix.Symlinkat(string(e.Link), fd, name)
	case kindFifo:
		err = unix.Mknodat(fd, name, unix.S_IFIFO|0o600, 0)
	case kindChar:
		err = unix.Mknodat(fd, name, unix.S_IFCHR|0o600, int(e.Device))
	case kindBlock:
		err = unix.Mknodat(fd, name, unix.S_IFBLK|0o600, int(e.Device))
	}
	if errors.Is(err, unix.EPERM) && !m.strict && (e.Kind == kindChar || e.Kind == kindBlock) {
		return true, nil // the index keeps it
	}
	if err != nil {
		return false, m.to.failed("create", string(e.Path), err)
	}
	return true, m.to.apply(e, m.strict)
}

func (m *mirror) file(e *entry) (bool, error) {
	kept, err := m.keep(e)
	if err != nil || kept {
		return kept, err
	}
	ok, err := m.fetch(e)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, m.to.unlink(e.Path)
	}
	if err := m.to.apply(e, m.strict); err != nil {
		return false, err
	}
	return true, m.after(e)
}

// link makes e's path another name of the file e.Hard.
func (m *mirror) link(e *entry) error {
	first, err := m.to.stat(e.Hard)
	if err != nil {
		return err
	}
	if st, err := m.to.stat(e.Path); err == nil && st.Ino == first.Ino && st.Dev == first.Dev {
		return nil
	}
	if err := m.to.unlink(e.Path); err != nil {
		return err
	}
	dir, name, err := m.to.at(e.Hard)
	if err != nil {
		return err
	}
	pin, err := unix.Openat(dir, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // the next at may close dir
	if err != nil {
		return m.to.failed("open", string(e.Hard), err)
	}
	defer unix.Close(pin)
	toDir, toName, err := m.to.at(e.Path)
	if err != nil {
		return err
	}
	if err := unix.Linkat(pin, name, toDir, toName, 0); err != nil {
		return m.to.failed("link", string(e.Path), err)
	}
	return nil
}

// content copies e's file from one root to the other and returns its checksum. look is called with the open source's stat
// before and after; false leaves the file out.
func (m *mirror) content(e *entry, look func(st *unix.Stat_t) (bool, error)) (string, bool, error) {
	in, err := m.from.open(e.Path)
	if err != nil {
		return "", false, err
	}
	defer in.Close()
	var st unix.Stat_t
	check := func() (bool, error) {
		if err := unix.Fstat(int(in.Fd()), &st); err != nil {
			return false, m.from.failed("stat", string(e.Path), err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			return false, nil
		}
		return look(&st)
	}
	if ok, err := check(); err != nil || !ok {
		return "", false, err
	}
	out, err := m.to.create(e.Path)
	if err != nil {
		return "", false, err
	}
	sum, err := m.copy(out, in, st.Size)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", false, fmt.Errorf("cannot copy %s: %w", in.Name(), err)
	}
	ok, err := check()
	return sum, ok, err
}

// prune removes from r what want does not have, or has as another kind. Sockets go too.
func prune(ctx context.Context, r *root, want map[raw]*entry) error {
	r.forget(0)
	return pruneDir(ctx, r, r.fd, "", want)
}

func pruneDir(ctx context.Context, r *root, fd int, prefix string, want map[raw]*entry) error {
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
		have, known := describe(path, &st)
		e := want[raw(path)]
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
