package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"dhow/agent/fault"
)

const (
	maxStderr = 64 << 10
	maxLogs   = 256 << 10
)

// Exec runs cmd inside a running container. stdin may be nil. It returns when the command has ended and all of its
// output is written: exit is its exit code, stderr the first 64 KiB of what it complained of. err is not nil when the
// command could not be run or its streams broke, in which case what stdout has got is worth nothing; so is an exit
// with 0 before all of stdin was taken. The end of ctx ends the streams; the engine cannot kill the command, which
// sees the end of its input and a broken pipe.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string, stdin io.Reader, stdout io.Writer) (
	exit int, stderr string, err error,
) {
	fail := func(err error) (int, string, error) {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return -1, stderr, failure("cannot run "+name(cmd)+" in container "+id, err)
	}
	made, err := e.api().ContainerExecCreate(ctx, id, container.ExecOptions{
		AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true, Cmd: cmd,
	})
	if err != nil {
		return fail(err)
	}
	if err := fault.Point("engine/exec-attach"); err != nil {
		return fail(err)
	}
	conn, err := e.attach(ctx, made.ID)
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()

	in := &input{r: stdin}
	fed := make(chan error, 1)
	go func() {
		var err error
		if stdin != nil {
			_, err = io.Copy(conn.Conn, in)
		}
		_ = conn.CloseWrite() // fails only when the other end is gone already
		fed <- err
	}()
	complaint := &head{max: maxStderr}
	_, err = stdcopy.StdCopy(stdout, complaint, conn.Reader)
	stderr = complaint.String()
	if err != nil {
		return fail(err)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	exit, err = e.exited(ctx, made.ID)
	if err != nil {
		return fail(err)
	}
	var ferr error
	select {
	case ferr = <-fed:
	default:
		conn.Close()
		select {
		case ferr = <-fed:
		case <-ctx.Done(): // stdin blocks
			return fail(ctx.Err())
		}
	}
	// A command cannot tell an input that broke off from one that ended, so its success means nothing then.
	switch {
	case in.err != nil:
		return fail(fmt.Errorf("its input broke: %w", in.err))
	case ferr != nil && exit == 0:
		return fail(fmt.Errorf("it did not take all of its input: %w", ferr))
	}
	return exit, stderr, nil
}

// attach connects to the streams of a command. The client waits for the engine's answer whatever becomes of ctx.
func (e *Engine) attach(ctx context.Context, exec string) (types.HijackedResponse, error) {
	type answer struct {
		conn types.HijackedResponse
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		conn, err := e.api().ContainerExecAttach(ctx, exec, container.ExecAttachOptions{})
		got <- answer{conn, err}
	}()
	select {
	case a := <-got:
		return a.conn, a.err
	case <-ctx.Done():
		go func() {
			if a := <-got; a.err == nil {
				a.conn.Close()
			}
		}()
		return types.HijackedResponse{}, ctx.Err()
	}
}

// input remembers an error of the reader, to tell it from one of the connection.
type input struct {
	r   io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		i.err = err
	}
	return n, err
}

// exited waits for the exit code, which the engine knows a little after the end of the stream.
func (e *Engine) exited(ctx context.Context, exec string) (int, error) {
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		in, err := e.api().ContainerExecInspect(ctx, exec)
		if err != nil {
			return -1, err
		}
		if !in.Running {
			return in.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return -1, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// name is the command's name alone: its arguments may say more than an error should.
func name(cmd []string) string {
	if len(cmd) == 0 {
		return "nothing"
	}
	return cmd[0]
}

// head keeps the first max bytes of what is written to it.
type head struct {
	bytes.Buffer
	max int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.max - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// tail keeps the last max bytes of what is written to it.
type tail struct {
	data []byte
	max  int
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[max(0, len(p)-t.max):]...)
	if over := len(t.data) - t.max; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

// Logs returns the last lines of a container's output, at most 256 KiB of them.
func (e *Engine) Logs(ctx context.Context, id string, lines int) (string, error) {
	in, err := e.api().ContainerInspect(ctx, id)
	if err != nil {
		return "", failure("cannot read the log of container "+id, err)
	}
	r, err := e.api().ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines)})
	if err != nil {
		return "", failure("cannot read the log of container "+id, err)
	}
	defer r.Close()
	t := &tail{max: maxLogs}
	if in.Config != nil && in.Config.Tty {
		_, err = io.Copy(t, r)
	} else {
		_, err = stdcopy.StdCopy(t, t, r)
	}
	if err != nil {
		return "", failure("cannot read the log of container "+id, err)
	}
	return strings.ToValidUTF8(string(t.data), "?"), nil
}
