package tree

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dhow/agent/fault"
)

// Times of files come from a clock with ticks: a change right after a look may leave them as they were. So old must a time be
// when we look for it to prove anything; file systems without fractions of a second need more.
const (
	tick       = 50 * time.Millisecond
	coarseTick = 2 * time.Second
)

// scanner lists a tree with all metadata; contents and checksums are left to others.
type scanner struct {
	ctx   context.Context
	r     *Root
	live  bool      // users work: what vanishes is left out
	start time.Time // when the look began
	first map[[2]uint64]Name
	found []*Entry
}

// Scan lists the tree under r, folders before what is in them, names in order of bytes. With live set, users work: what vanishes
// meanwhile is left out. Start is the present time, to which Fresh refers. Contents and checksums are left to others. Pages that
// programs wrote through memory maps are brought to the file first, so that their next write shows in the file's times.
func Scan(ctx context.Context, r *Root, live bool, start time.Time) ([]*Entry, error) {
	if err := fault.Point("tree/scan"); err != nil {
		return nil, r.failed("read", "", err)
	}
	s := scanner{ctx: ctx, r: r, live: live, start: start, first: map[[2]uint64]Name{}}
	if err := r.Flush(); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return nil, r.failed("stat", "", err)
	}
	if err := s.add(r.fd, ".", ".", &st); err != nil {
		return nil, err
	}
	err := s.walk(r.fd, "")
	return s.found, err
}

func (s *scanner) walk(fd int, prefix string) error {
	names, err := readNames(fd, s.r.path+"/"+prefix)
	if err != nil {
		return s.gone(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		path := prefix + name
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if err := s.gone(s.r.failed("stat", path, err)); err != nil {
				return err
			}
			continue
		}
		if err := s.add(fd, name, path, &st); err != nil {
			if err := s.gone(err); err != nil {
				return err
			}
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			if err := s.gone(s.r.failed("open", path, err)); err != nil {
				return err
			}
			continue
		}
		err = s.walk(sub, path+"/")
		_ = unix.Close(sub)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) add(fd int, name, path string, st *unix.Stat_t) error {
	e, ok := describe(Name(path), st)
	if !ok {
		return nil
	}
	if e.Kind == Link {
		b := make([]byte, max(st.Size, 255)+1)
		n, err := unix.Readlinkat(fd, name, b)
		if err != nil {
			return s.r.failed("read link", path, err)
		}
		e.Link = Name(b[:n])
	}
	var err error
	if e.Xattrs, err = xattrs(procPath(fd, name)); err != nil {
		return s.r.failed("read attributes of", path, err)
	}
	e.Fresh = Fresh(e.Mtime, s.start) || Fresh(e.Ctime, s.start)
	if e.Kind == File && st.Nlink > 1 {
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if first, ok := s.first[id]; ok {
			e.Hard = first
		} else {
			s.first[id] = e.Path
		}
	}
	s.found = append(s.found, e)
	return nil
}

// Fresh reports whether a time of a file, in nanoseconds, is so near to the moment of a look at it that a later change could leave it as
// it is.
func Fresh(ns int64, look time.Time) bool {
	granularity := tick
	if ns%int64(time.Second) == 0 {
		granularity = coarseTick
	}
	return ns >= look.Add(-granularity).UnixNano()
}

// gone lets pass, while users work, what only says that a file is not there any more or became something else.
func (s *scanner) gone(err error) error {
	if s.live && (Vanished(err) || errors.Is(err, unix.EINVAL)) { // EINVAL: reading a link that is none any more
		return nil
	}
	return err
}

// Vanished reports whether an error says only that a file is not there any more, or became something else.
func Vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ESTALE)
}
