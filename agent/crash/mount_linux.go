package crash

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// serveAt names the folder in the environment of the process that serves the file system. It is another one than the test's: a process
// that waits for its own file system, in a page fault say, may wait for ever.
const serveAt = "DHOW_CRASH_SERVE"

// request is what the test asks of the process that serves.
type request struct {
	Mark   string
	Faults []*Fault
	Show   []flat // the first is the root of the state
	As     string // name of Show
	Log    bool   // stop recording, answer with the log
}

type answer struct {
	Err   string
	Tally Tally
	Log   *Log
}

// Tally counts what happened since faults were set: the operations that they are about, and those of them that failed or were cut short.
type Tally struct{ Seen, Struck int }

// FS is a mounted file system. Its methods are called from one goroutine.
type FS struct {
	Dir  string
	cmd  *exec.Cmd
	pipe io.WriteCloser
	to   *gob.Encoder
	from *gob.Decoder
}

// Mount serves a new, empty file system at dir, with a copy of this program: its main must call Serve first. It needs root.
func Mount(dir string) (*FS, error) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		if err := exec.Command("modprobe", "fuse").Run(); err != nil {
			return nil, errors.New("this test needs FUSE: there is no /dev/fuse (try: modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN)")
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveAt+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	fs := &FS{Dir: dir, cmd: cmd, pipe: in, to: gob.NewEncoder(in), from: gob.NewDecoder(out)}
	if _, err := fs.answer(); err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("cannot mount a FUSE file system (root and, in a container, --device /dev/fuse --cap-add SYS_ADMIN are needed): %w", err)
	}
	return fs, nil
}

func (f *FS) answer() (answer, error) {
	var a answer
	if err := f.from.Decode(&a); err != nil {
		return a, err
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

func (f *FS) ask(r request) (answer, error) {
	if err := f.to.Encode(r); err != nil {
		return answer{}, err
	}
	return f.answer()
}

// Mark puts a text into the log: what the program under test has promised by now.
func (f *FS) Mark(text string) error {
	_, err := f.ask(request{Mark: text})
	return err
}

// Fail sets the faults; none takes them away. It tells what has become of those before.
func (f *FS) Fail(faults ...*Fault) (Tally, error) {
	a, err := f.ask(request{Faults: faults})
	return a.Tally, err
}

// Show puts a state into the folder name of the file system. Files have the numbers and times that they had when it was recorded.
func (f *FS) Show(name string, root *Node) error {
	var all []flat
	flatten(root, map[*Node]int{}, &all)
	_, err := f.ask(request{Show: all, As: name})
	return err
}

// flat is a file on its way to the process that serves; names lead to places in the list, so that one file with two names stays one.
type flat struct {
	Node  Node
	Names map[string]int
}

func flatten(n *Node, seen map[*Node]int, all *[]flat) int {
	if i, ok := seen[n]; ok {
		return i
	}
	i := len(*all)
	seen[n] = i
	own := *n
	own.Names = nil
	*all = append(*all, flat{Node: own})
	if n.Names == nil {
		return i
	}
	names := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(n.Names)) {
		names[name] = flatten(n.Names[name], seen, all)
	}
	(*all)[i].Names = names
	return i
}

// Log ends the recording and returns it.
func (f *FS) Log() (*Log, error) {
	a, err := f.ask(request{Log: true})
	return a.Log, err
}

// Close unmounts.
func (f *FS) Close() error { return errors.Join(f.pipe.Close(), f.cmd.Wait()) }

// Serve serves a file system and ends the process, when Mount has started it for that; else it does nothing.
func Serve() {
	dir := os.Getenv(serveAt)
	if dir == "" {
		return
	}
	to := gob.NewEncoder(os.Stdout)
	d := newDisk()
	server, err := fuse.NewServer(d, dir, &fuse.MountOptions{
		FsName: "dhow-crash", Name: "dhow-crash", DirectMountStrict: true, DirectMountFlags: unix.MS_MGC_VAL, MaxWrite: 1 << 20, MaxReadAhead: 1 << 20,
		IgnoreSecurityLabels: true, DisableReadDirPlus: true,
	})
	if err != nil {
		_ = to.Encode(answer{Err: err.Error()})
		os.Exit(1)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		_ = to.Encode(answer{Err: err.Error()})
		os.Exit(1)
	}
	_ = to.Encode(answer{})
	d.obey(gob.NewDecoder(os.Stdin), to)
	// The other side has gone, or wants no more: whatever is still open loses its file system.
	if err := server.Unmount(); err != nil {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
	os.Exit(0)
}

func (d *disk) obey(from *gob.Decoder, to *gob.Encoder) {
	for {
		var r request
		if from.Decode(&r) != nil {
			return
		}
		if to.Encode(d.serve(r)) != nil {
			return
		}
	}
}

func (d *disk) serve(r request) answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	var a answer
	switch {
	case r.Log:
		a.Log, d.log, d.quiet = &Log{Ops: d.log}, nil, true
	case r.Mark != "":
		d.record(Op{Kind: Mark, Text: r.Mark})
	case r.Show != nil:
		d.show(r.As, r.Show)
	default:
		for _, t := range d.faults {
			a.Tally.Seen += t.seen
			a.Tally.Struck += t.struck
		}
		d.faults = r.Faults
	}
	return a
}
