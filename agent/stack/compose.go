package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/streams"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/docker/docker/client"

	"dhow/agent/fault/call"
)

// ErrNotRunning means that nothing answers; ErrNoImage that an image which a service runs is not in the engine.
var (
	ErrNotRunning = errors.New("the Docker Engine does not answer")
	ErrNoImage    = errors.New("it is not in the engine")
)

// answersWithin is how long the engine may take to give a sign of life before it counts as one that does not answer. Nothing is to be done for it.
const answersWithin = 10 * time.Second

// Compose runs projects on one engine. It keeps one client, made when it is needed first. Its methods may be called
// at once for different projects; for one project it is the caller who must see to their order.
type Compose struct {
	host string

	mu     sync.Mutex
	client *client.Client
	server string // API version that the engine named last
}

// New prepares to run projects on the engine at host; "" means $DOCKER_HOST or the default socket. No call is made.
func New(host string) (*Compose, error) {
	c := &Compose{host: host}
	probe, err := c.dial() // a bad host is told now
	if err != nil {
		return nil, err
	}
	c.client = probe
	return c, nil
}

func (c *Compose) dial() (*client.Client, error) {
	opts := []client.Opt{client.FromEnv}
	if c.host != "" {
		opts = append(opts, client.WithHost(c.host))
	}
	cl, err := client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation(), call.Engine)...)
	if err != nil {
		return nil, fmt.Errorf("cannot use the engine at %q: %w", c.host, err)
	}
	return cl, nil
}

// engine returns the client for one operation. An engine that came back with another API version gets a new one, as
// the client would go on with the old version.
func (c *Compose) engine(ctx context.Context) (*client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err // which says nothing about the engine
	}
	limit, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	ping, err := c.client.Ping(limit)
	if err != nil && errors.Is(limit.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("cannot reach the engine: %w: %w", ErrNotRunning, limit.Err())
	}
	if err != nil {
		return nil, failure("cannot reach the engine", err)
	}
	if c.server != "" && c.server != ping.APIVersion {
		cl, err := c.dial()
		if err != nil {
			return nil, err
		}
		_ = c.client.Close() // ends idle connections only
		c.client = cl
	}
	c.server = ping.APIVersion
	return c.client, nil
}

// backend makes a compose service for one operation: little more than a few pointers around the shared client.
func backend(engine *shield, progress func(string)) (api.Compose, error) {
	quiet()
	return compose.NewComposeService(
		&commandLine{client: engine, out: streams.NewOut(io.Discard), in: streams.NewIn(io.NopCloser(strings.NewReader("")))},
		compose.WithEventProcessor(&events{progress: progress}),
		// Compose asks one thing only: whether a volume may be recreated with the loss of its data.
		compose.WithPrompt(func(string, bool) (bool, error) { return false, nil }),
	)
}

// commandLine is as much of docker's command line as compose needs to create and start. The real one reads the
// configuration of whoever runs it, ends the process when the engine is away, and writes to the terminal.
type commandLine struct {
	command.Cli
	client client.APIClient
	out    *streams.Out
	in     *streams.In
}

func (c *commandLine) Client() client.APIClient           { return c.client }
func (c *commandLine) Out() *streams.Out                  { return c.out }
func (c *commandLine) Err() *streams.Out                  { return c.out }
func (c *commandLine) In() *streams.In                    { return c.in }
func (c *commandLine) ConfigFile() *configfile.ConfigFile { return configfile.New("") }
func (c *commandLine) CurrentContext() string             { return command.DefaultContextName }
func (c *commandLine) ServerInfo() command.ServerInfo     { return command.ServerInfo{OSType: "linux"} }
func (c *commandLine) BuildKitEnabled() (bool, error)     { return false, nil }
func (c *commandLine) CurrentVersion() string             { return c.client.ClientVersion() }

// events turns what compose reports into lines for people. Whether something worked is told by returned errors only.
type events struct {
	mu       sync.Mutex
	progress func(string)
}

func (e *events) Start(context.Context, string) {}
func (e *events) Done(string, bool)             {}

func (e *events) On(list ...api.Resource) {
	if e.progress == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range list {
		if line := strings.TrimSpace(strings.TrimPrefix(r.ID, "Container ") + " " + strings.ToLower(r.Text)); line != "" {
			e.progress(line)
		}
	}
}

// failure puts words before an error of the engine, and marks an engine that does not answer.
func failure(what string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%s: %w: %w", what, ErrNotRunning, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
