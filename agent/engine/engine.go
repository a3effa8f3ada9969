// Package engine asks the Docker Engine for what compose does not: images, containers, volumes, commands inside
// containers.
//
// It promises that
//   - an image is known by its config digest, whatever the engine calls it (see image.go),
//   - a load has worked only when the image is there afterwards and is the one that was meant,
//   - memory stays constant whatever the size of an image or of an output,
//   - stopping, starting and removing may be repeated, and a thing that is gone already is no error,
//   - an engine that is there and does not answer, because it or its containerd hangs or was frozen, is ErrNotRunning like one that is gone: it is asked
//     for a sign of life, and must give it within answersWithin. Its containerd may be silent for stalledAfter: on a computer at its limit, such as by a
//     release that is too much for it, that answer is slow, too,
//   - what is asked for ends when its ctx does, though the engine does not answer. Without that it waits: an engine that goes on finishes what it was
//     asked for, one that ends breaks it off, and to begin anew would take the engine, too.
//
// It knows nothing of releases, journals or compose documents; it reads the labels that compose puts on containers.
// One Engine is made per process and shared; all methods may be called at once.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"

	"dhow/agent/fault/call"
)

// Errors that callers tell apart.
var (
	ErrNotRunning = errors.New("the Docker Engine does not answer")
	ErrNoImage    = errors.New("no such image in the engine")
	ErrNotLoaded  = errors.New("the engine did not take the image")
	ErrInUse      = errors.New("a container uses the image")
	ErrNoVolume   = errors.New("no such volume")
	ErrHidden     = errors.New("the files of the volume cannot be reached from here")
)

// answersWithin is how long the engine may take to give a sign of life, and aliveEvery how often it is asked for one while somebody attends. It does
// next to nothing for it, so that even an engine at hard work answers at once; shorter in tests. stalledAfter is how long an engine that gives it may be
// without an answer for its containerd, for which it runs programs: long enough for a computer that has no memory left, and far shorter than what a
// step may take. tidyWithin is how long things are put in order after a ctx has ended.
var (
	answersWithin = 10 * time.Second
	aliveEvery    = 10 * time.Second
	stalledAfter  = time.Minute
	tidyWithin    = 10 * time.Second
)

// Engine is a connection to one Docker Engine.
type Engine struct {
	host string

	mu     sync.Mutex
	client *client.Client
	server string                          // API version that the engine named last
	known  map[digest.Digest]digest.Digest // image ID of a containerd store -> config digest
	worked time.Time                       // when it last answered for its containerd, too
	asked  chan struct{}                   // whether it does is asked now: closed by the answer
	silent time.Time                       // when it was first asked and has not answered since
}

// Connect prepares a connection to host, for example "unix:///var/run/docker.sock"; "" means $DOCKER_HOST or the
// default socket. No call is made here; the API version is negotiated at the first one.
func Connect(host string) (*Engine, error) {
	e := &Engine{host: host, known: map[digest.Digest]digest.Digest{}}
	c, err := dial(host)
	if err != nil {
		return nil, fmt.Errorf("cannot use the engine at %q: %w", host, err)
	}
	e.client = c
	return e, nil
}

func dial(host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	return client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation(), call.Engine)...)
}

func (e *Engine) api() *client.Client {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.client
}

// Close lets the idle connections go. The Engine stays usable.
func (e *Engine) Close() error { return e.api().Close() }

// Info is what the engine says about itself. Platform is os/arch[/variant] in Go's words, Root its data folder.
type Info struct {
	Version  string
	API      string
	OS       string // for example "Debian GNU/Linux 12 (bookworm)"
	Platform string
	Root     string
	Driver   string // storage driver
	Memory   int64  // bytes that the computer has; 0 when it does not say
}

// Info asks the engine about itself. It also notices an engine that was replaced by another version while we ran.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	if err := e.renegotiate(ctx); err != nil {
		return Info{}, err
	}
	c := e.api()
	limit, cancel := context.WithTimeout(ctx, stalledAfter)
	defer cancel()
	v, err := c.ServerVersion(limit)
	if err != nil && ctx.Err() == nil && limit.Err() != nil {
		return Info{}, fmt.Errorf("cannot ask the engine for its version: %w: %w", ErrNotRunning, limit.Err())
	}
	if err != nil {
		return Info{}, failure("cannot ask the engine for its version", err)
	}
	i, err := c.Info(ctx)
	if err != nil {
		return Info{}, failure("cannot ask the engine about itself", err)
	}
	return Info{
		Version: v.Version, API: v.APIVersion, OS: i.OperatingSystem, Platform: platform(v.Os, v.Arch, i.Architecture),
		Root: i.DockerRootDir, Driver: i.Driver, Memory: i.MemTotal,
	}, nil
}

// Attend returns when the engine goes away or hangs, at once when it does not answer, or when ctx ends.
func (e *Engine) Attend(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := e.agreed(ctx)
	if err != nil {
		return
	}
	looked := make(chan struct{})
	defer func() { cancel(); <-looked }()
	go func() {
		defer close(looked)
		defer cancel()
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			if _, err := e.alive(ctx); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	// The stream of events lives as long as the engine; nothing is to come over it. One that is frozen keeps it open, or does not begin it.
	nothing := filters.NewArgs(filters.Arg("type", "plugin"), filters.Arg("event", "none"))
	messages, failed := c.Events(ctx, events.ListOptions{Filters: nothing})
	for {
		select {
		case <-messages:
		case <-failed:
			return
		}
	}
}

// agreed settles the version of the API that is spoken: the client's Events reads it beside the other calls, of which the first one writes it.
func (e *Engine) agreed(ctx context.Context) (*client.Client, error) {
	ping, err := e.alive(ctx)
	if err != nil {
		return nil, err
	}
	c := e.api()
	c.NegotiateAPIVersionPing(ping)
	return c, nil
}

// alive asks the engine for a sign of life.
func (e *Engine) alive(ctx context.Context) (types.Ping, error) {
	if err := ctx.Err(); err != nil {
		return types.Ping{}, err // which says nothing about the engine
	}
	limit, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	ping, err := e.api().Ping(limit)
	if err == nil {
		err = e.working(limit)
	}
	if err != nil && errors.Is(limit.Err(), context.DeadlineExceeded) {
		return ping, fmt.Errorf("cannot reach the engine: %w: %w", ErrNotRunning, limit.Err())
	}
	if err != nil {
		return ping, failure("cannot reach the engine", err)
	}
	return ping, nil
}

// working fails when the engine has not answered for its containerd for stalledAfter: then it starts and stops nothing, and yet gives lists and signs of
// life. Until then nobody waits for that answer. The engine is asked again aliveEvery after it, and by one at a time, as in older engines such a question
// goes on when nobody waits for it any more.
func (e *Engine) working(ctx context.Context) error {
	e.mu.Lock()
	if e.asked == nil {
		if !e.worked.IsZero() && time.Since(e.worked) < aliveEvery {
			e.mu.Unlock()
			return nil
		}
		if e.silent.IsZero() {
			e.silent = time.Now()
		}
		e.asked = make(chan struct{})
		go e.askContainerd(e.client, e.asked, 6*answersWithin)
	}
	asked, silent := e.asked, time.Since(e.silent)
	e.mu.Unlock()
	if silent < stalledAfter {
		return nil
	}
	select {
	case <-asked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// askContainerd closes answered when the engine has told its version, for which it asks its containerd; any answer does, also that it is gone.
func (e *Engine) askContainerd(c *client.Client, answered chan struct{}, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := c.ServerVersion(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = nil
	if ctx.Err() != nil {
		return // the silence goes on; whoever waits has a shorter limit
	}
	e.silent = time.Time{}
	if err == nil {
		e.worked = time.Now()
	}
	close(answered)
}

// afterwards is a context for what is put in order when ctx may have ended.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), tidyWithin)
}

// renegotiate makes a new client when the engine speaks another API version than before: the docker client only ever
// lowers the version that it uses, and a newer engine may refuse the old one.
func (e *Engine) renegotiate(ctx context.Context) error {
	ping, err := e.alive(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != "" && e.server != ping.APIVersion {
		c, err := dial(e.host)
		if err != nil {
			return fmt.Errorf("cannot use the engine at %q: %w", e.host, err)
		}
		_ = e.client.Close() // ends idle connections only
		e.client = c
	}
	e.server = ping.APIVersion
	return nil
}

// platform joins what the engine says of itself; machine is the kernel's word, which alone holds the variant of arm.
func platform(os, arch, machine string) string {
	p := os + "/" + arch
	if arch != "arm" {
		return p
	}
	for _, v := range []string{"8", "7", "6", "5"} {
		if strings.HasPrefix(machine, "armv"+v) {
			return p + "/v" + min(v, "7") // a 64-bit kernel below a 32-bit engine runs v7
		}
	}
	return p
}

// local reports whether the engine runs on this machine, so that its paths are ours.
func (e *Engine) local() bool {
	u, err := url.Parse(e.api().DaemonHost())
	return err == nil && (u.Scheme == "unix" || u.Scheme == "npipe")
}

// failure puts words before an error of the engine, and marks an engine that does not answer.
func failure(what string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%s: %w: %w", what, ErrNotRunning, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
