package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
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
	r     *root
	live  bool      // users work: what vanishes is left out
	start time.Time // when the look began
	first map[[2]uint64]raw
	found []*entry
}

// scan lists the tree under r, folders before what is in them, names in order of bytes. Pages that programs wrote through
// memory maps are brought to the file first, so that their next write shows in the file's times.
func scan(ctx context.Context, r *root, live bool, now time.Time) ([]*entry, error) {
	s := scanner{ctx: ctx, r: r, live: live, start: now, first: map[[2]uint64]raw{}}
	if err := r.flush(); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return nil, r.failed("stat", "", err)
	}
	if err := s.add(r.fd, ".", ".", &st); err != nil {
		return nil, err
	}
	return s.found, s.walk(r.fd, "")
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
	e, ok := describe(path, st)
	if !ok {
		return nil
	}
	if e.Kind == kindLink {
		b := make([]byte, max(st.Size, 255)+1)
		n, err := unix.Readlinkat(fd, name, b)
		if err != nil {
			return s.r.failed("read link", path, err)
		}
		e.Link = raw(b[:n])
	}
	var err error
	if e.Xattrs, err = xattrs(procPath(fd, name)); err != nil {
		return s.r.failed("read attributes of", path, err)
	}
	e.Fresh = fresh(e.Mtime, s.start) || fresh(e.Ctime, s.start)
	if e.Kind == kindFile && st.Nlink > 1 {
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

func fresh(ns int64, start time.Time) bool {
	granularity := tick
	if ns%int64(time.Second) == 0 {
		granularity = coarseTick
	}
	return ns >= start.Add(-granularity).UnixNano()
}

// gone lets pass, while users work, what only says that a file is not there any more or became something else.
func (s *scanner) gone(err error) error {
	if s.live && (vanished(err) || errors.Is(err, unix.EINVAL)) { // EINVAL: reading a link that is none any more
		return nil
	}
	return err
}

func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ESTALE)
}

// Size is what the trees take on disk, in bytes: the room that a snapshot of them needs, holes left out, hard-linked files
// counted once. Files that vanish meanwhile do not matter.
func Size(trees []Tree) (int64, error) {
	if err := checkTrees(trees); err != nil {
		return 0, err
	}
	var sum int64
	for _, t := range trees {
		r, err := openRoot(t.Path)
		if err != nil {
			return 0, fmt.Errorf("cannot read volume %s: %w", t.Name, err)
		}
		n, err := allocated(r.fd, t.Path, map[[2]uint64]bool{})
		r.close()
		if err != nil {
			return 0, fmt.Errorf("cannot read volume %s: %w", t.Name, err)
		}
		sum += n
	}
	return sum, nil
}

func allocated(fd int, path string, seen map[[2]uint64]bool) (sum int64, err error) {
	names, err := readNames(fd, path)
	if err != nil {
		if vanished(err) {
			return 0, nil
		}
		return 0, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue
		}
		if id := [2]uint64{uint64(st.Dev), st.Ino}; !seen[id] {
			if st.Nlink > 1 {
				seen[id] = true
			}
			n := int64(st.Blocks) * 512
			if n == 0 && st.Size > 0 { // kept inside the inode; another file system may need a block
				n = min(st.Size, 4096)
			}
			sum += n
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				if vanished(err) {
					continue
				}
				return 0, &os.PathError{Op: "open", Path: path + "/" + name, Err: err}
			}
			n, err := allocated(sub, path+"/"+name, seen)
			_ = unix.Close(sub)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}
