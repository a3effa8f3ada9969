package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pipeFolder is in every container of the engine: a tmpfs that everybody may write to.
const pipeFolder = "dev/shm"

// pipe is a named pipe inside a container. Both ends are open here: read never ends before write is closed.
type pipe struct {
	path        string // inside the container
	name        string
	folder      *os.File
	read, write *os.File
}

var errNoPipe = errors.New("the files of the container cannot be reached from here")

// openPipe makes a pipe in a running container and makes sure, from inside, that it is there and nowhere else.
func (e *Engine) openPipe(ctx context.Context, id string) (_ *pipe, err error) {
	in, err := e.api().ContainerInspect(ctx, id)
	if err != nil {
		return nil, err
	}
	if in.State == nil || in.State.Pid <= 1 {
		return nil, errNoPipe
	}
	folder, err := containerFolder(in.State.Pid)
	if err != nil {
		return nil, err
	}
	p := &pipe{folder: folder, name: ".dhow-" + rand.Text()}
	p.path = "/" + pipeFolder + "/" + p.name
	defer func() {
		if err != nil {
			p.remove()
		}
	}()
	var owner unix.Stat_t
	at := int(folder.Fd())
	// The kernel may keep programs from opening a pipe in such a folder that belongs to neither them nor the folder's owner. Others
	// may write to it, whoever the command runs as, but not read.
	if err := errors.Join(unix.Mkfifoat(at, p.name, 0o600), unix.Fstat(at, &owner),
		unix.Fchownat(at, p.name, int(owner.Uid), int(owner.Gid), unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		return nil, err
	}
	if p.read, err = openAt(at, p.name, unix.O_RDONLY); err != nil {
		return nil, err
	}
	if p.write, err = openAt(at, p.name, unix.O_WRONLY); err != nil {
		return nil, err
	}
	raw, err := p.read.SyscallConn()
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	var statErr, modeErr error
	if err := raw.Control(func(fd uintptr) {
		statErr = unix.Fstat(int(fd), &st)
		modeErr = unix.Fchmod(int(fd), 0o622)
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) // a wish
	}); err != nil {
		return nil, err
	}
	if err := errors.Join(statErr, modeErr); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, errNoPipe
	}
	exit, _, err := e.Exec(ctx, id, []string{"sh", "-c", probeScript, "sh", p.path}, nil, io.Discard)
	if err != nil {
		return nil, err
	}
	if exit != 0 {
		return nil, errNoPipe
	}
	return p, nil
}

// containerFolder opens the folder for pipes of a process. No link inside the container leads out of it.
func containerFolder(pid int) (*os.File, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/root"
	theirs, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	ours, err := os.Stat("/")
	if err != nil {
		return nil, err
	}
	if os.SameFile(theirs, ours) { // a process of this machine, with the number of one elsewhere
		return nil, errNoPipe
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	folder, err := root.Open(pipeFolder)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPipe, err)
	}
	return folder, nil
}

func openAt(folder int, name string, mode int) (*os.File, error) {
	fd, err := unix.Openat(folder, name, mode|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// remove closes and removes all of it.
func (p *pipe) remove() {
	for _, f := range []*os.File{p.read, p.write} {
		if f != nil {
			_ = f.Close()
		}
	}
	_ = unix.Unlinkat(int(p.folder.Fd()), p.name, 0)
	_ = p.folder.Close()
}
