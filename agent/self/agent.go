package self

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// Options of an Agent. Program, Folder and Version are required.
type Options struct {
	Program string   // the file that runs; see Executable
	Folder  string   // of the state
	Version string   // of the program that runs
	Args    []string // with which the program is run as the agent
	// Notify tells the service manager: READY=1, STATUS=…, WATCHDOG=1; nil means that nobody listens.
	Notify func(state string)
	// Away reports whether the engine does not answer this program either; it is asked when a candidate says so, and nil means that nobody looks.
	Away func(ctx context.Context) bool
	Log  *slog.Logger
	Now  func() time.Time // the wall clock, for what people read

	Settle  time.Duration // for so long a candidate is well before it counts; 0 means 2 minutes
	Limit   time.Duration // an attempt takes no longer; 0 means 10 minutes
	Silence time.Duration // a candidate that says nothing for so long is not well; 0 means 30 seconds
	Stop    time.Duration // a candidate that is told to end may take so long; 0 means 40 seconds
	Pause   time.Duration // after a crash; 0 means 2 seconds

	Probation time.Duration // for so long a program that was put in place must do the real work without a bad end; 0 means 10 minutes
}

// Agent is the agent as a file on the disk.
type Agent struct {
	o Options
	// own is the program that runs: its file when the process began. It stays, whatever is put in its place.
	own    digest.Digest
	ownErr error
	mu     sync.Mutex  // of what reads the state and writes it
	lift   *time.Timer // ends the probation of the program that runs; nil when it has none
	me     func() Running
	// stuck is why a trial that is pending could not go on at the start.
	stuck error
	// point is a place where tests let the power fail.
	point func(string) error
}

// New fills in what is left open. It is to be called when the process begins, as it reads the program in place as the one that runs.
func New(o Options) *Agent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Away == nil {
		o.Away = func(context.Context) bool { return false }
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	for d, or := range map[*time.Duration]time.Duration{
		&o.Settle: 2 * time.Minute, &o.Limit: 10 * time.Minute, &o.Silence: 30 * time.Second, &o.Stop: 40 * time.Second,
		&o.Pause: 2 * time.Second, &o.Probation: 10 * time.Minute,
	} {
		if *d == 0 {
			*d = or
		}
	}
	a := &Agent{o: o, me: thisProcess, point: func(name string) error { return fault.Point("self/" + name) }}
	a.own, _, a.ownErr = digestOf(o.Program)
	return a
}

// Executable is the file of the program that runs, links followed. It is to be asked when the process begins: later the file may be another.
func Executable() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("cannot find the program that runs: %w", err)
	}
	return path, nil
}

// Files lists what may stand beside a program: whoever removes it removes them.
func Files(program string) []string {
	return []string{candidateOf(program), oldOf(program), newlyOldOf(program)}
}

// The names are those of minio/selfupdate.
func candidateOf(program string) string {
	return filepath.Join(filepath.Dir(program), "."+filepath.Base(program)+".new")
}

func oldOf(program string) string {
	return filepath.Join(filepath.Dir(program), "."+filepath.Base(program)+".old")
}

// newlyOldOf is the name under which keepOld makes the second name; a power cut may leave it.
func newlyOldOf(program string) string {
	return filepath.Join(filepath.Dir(program), durable.TempPrefix+"old")
}

// Version is that of the program that runs.
func (a *Agent) Version() string { return a.o.Version }

// Running is the program that runs. Another one may have been put in its place meanwhile.
func (a *Agent) Running() (Program, error) {
	return Program{Version: a.o.Version, Digest: a.own}, a.ownErr
}

// Stuck is why the trial that was pending at the start could not go on; nil when there is none. It is carried on by the next start.
func (a *Agent) Stuck() error { return a.stuck }

// Open opens the program in place, to begin deltas with.
func (a *Agent) Open() (io.ReadCloser, error) { return os.Open(a.o.Program) }

// digestOf reads a file.
func digestOf(path string) (d digest.Digest, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s: %w", path, orNotFile(err))
	}
	h := digest.SHA256.Digester()
	size, err = io.Copy(h.Hash(), f)
	return h.Digest(), size, err
}

func orNotFile(err error) error {
	if err == nil {
		return fs.ErrInvalid
	}
	return err
}
