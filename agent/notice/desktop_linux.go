package notice

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dhow/agent/words"
)

// maxSessions bounds how many users are told.
const maxSessions = 20

// session is somebody who is logged in.
type session struct {
	uid int
	bus string
}

// desktop shows an event to everybody who is logged in. Where there is no desktop it is told to nobody.
func (t *Teller) desktop(_ context.Context, e Event) {
	c := t.Config()
	if !c.Desktop {
		return
	}
	said := words.For(e.language, c.Language)
	for _, s := range sessions(t.sessions, t.leastUID) {
		conn, err := connectAs(s.uid, s.bus)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(t.busTime)) // what can't be set fails below
			err = notify(conn, s.uid, e.title(said), e.body(said), e.urgent())
			_ = conn.Close()
		}
		if err != nil {
			t.Log.Info("no notification on a desktop", "user", s.uid, "reason", err)
		}
	}
}

// sessions are the session buses below a folder: sockets that belong to the user whose number their folder has, and who is a person.
func sessions(dir string, least int) (list []session) {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(1000)
	for _, name := range names {
		uid, err := strconv.Atoi(name)
		if err != nil || uid < least || uid == 65534 || len(list) == maxSessions {
			continue
		}
		bus := filepath.Join(dir, name, "bus")
		info, err := os.Lstat(bus)
		if err != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			list = append(list, session{uid, bus})
		}
	}
	return list
}

// connectAs connects to a socket as a user. Only the effective id of one thread becomes the user's, for that moment: so the user can neither signal nor trace
// it, and no other thread is made from one that is locked. A thread that could not be given back its own id is never used again.
func connectAs(uid int, path string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		own := os.Geteuid()
		if own == uid {
			conn, err := connect(path)
			done <- result{conn, err}
			return
		}
		runtime.LockOSThread()
		if err := become(uid); err != nil {
			runtime.UnlockOSThread()
			done <- result{nil, err}
			return
		}
		conn, err := connect(path)
		if become(own) == nil {
			runtime.UnlockOSThread()
		}
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// become sets the effective id of this thread alone.
func become(uid int) error {
	const leave = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(setresuid, leave, uintptr(uid), leave); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// connect does not leave this thread.
func connect(path string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, errors.Join(errBus, err)
	}
	return conn, nil
}
