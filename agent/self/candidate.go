package self

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/selfupdate"

	"dhow/bundle/durable"
	"dhow/manifest/program"
)

// ErrUnfit means that a candidate is no program that could ever run here.
var ErrUnfit = errors.New("the new program can't be used")

// MaxProgram bounds a program, in bytes.
const MaxProgram = 512 << 20

// versionLimit is how long a candidate may take to say its version, on a slow disk that reads it for the first time.
const versionLimit = 30 * time.Second

// Writable fails when the program could not be replaced, before anything is fetched.
func (a *Agent) Writable() error {
	o := selfupdate.Options{TargetPath: a.o.Program}
	if err := o.CheckPermissions(); err != nil {
		return fmt.Errorf("the agent's program can't be replaced: %w", err)
	}
	return nil
}

// Prepare writes the candidate beside the program, looks at it, and lets it say its version. It is then on the disk, and nothing else has changed.
// Fails with ErrUnfit when it is not a program for this computer, or another one than it should be.
func (a *Agent) Prepare(ctx context.Context, want Program, content io.Reader) error {
	if have, _, err := digestOf(a.candidate()); err == nil && have == want.Digest {
		return a.look(ctx, want)
	}
	sum, err := hex.DecodeString(want.Digest.Encoded())
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	if err := a.point("prepare"); err != nil {
		return err
	}
	if err := a.dropCandidate(); err != nil { // what has that name may be the program before, too (bringBack), and would be overwritten
		return err
	}
	err = selfupdate.PrepareAndCheckBinary(io.LimitReader(content, MaxProgram+1), selfupdate.Options{
		TargetPath: a.o.Program, TargetMode: 0o755, Checksum: sum,
	})
	if err == nil {
		err = syncFile(a.candidate())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write the new program: %w", err), a.dropCandidate())
	}
	if err := a.look(ctx, want); err != nil {
		return errors.Join(err, a.dropCandidate())
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

func (a *Agent) candidate() string { return candidateOf(a.o.Program) }

func (a *Agent) dropCandidate() error {
	if err := os.Remove(a.candidate()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the candidate: %w", err)
	}
	return nil
}

// look holds the candidate against what it should be.
func (a *Agent) look(ctx context.Context, want Program) error {
	f, err := os.Open(a.candidate())
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := program.Check(f, info.Size(), program.Here()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	said, err := askVersion(ctx, a.candidate())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: it does not say its version: %w", ErrUnfit, err)
	}
	if said != want.Version {
		return fmt.Errorf("%w: it says that it is %.80q, and should be %s", ErrUnfit, said, want.Version)
	}
	return nil
}

// askVersion runs a program for a moment: without an environment, a terminal or input, and with bounded output.
func askVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version", "--json")
	cmd.Env = []string{}
	cmd.Dir = filepath.Dir(path)
	cmd.WaitDelay = time.Second
	out := &head{limit: 16 << 10}
	last := &tail{}
	cmd.Stdout, cmd.Stderr = out, last
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("it did not answer within %v", versionLimit)
		}
		return "", withLast(err, last)
	}
	var said struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(out.buf.Bytes(), &said); err != nil {
		return "", errors.New("what it says is not JSON")
	}
	return said.Version, nil
}

// head keeps the beginning of what is written.
type head struct {
	limit int
	buf   bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), h.limit-h.buf.Len())])
	return len(p), nil
}

// withLast adds the last line of what a program said before it ended.
func withLast(err error, t *tail) error {
	text := strings.TrimPrefix(err.Error(), "fork/exec ")
	if line := t.line(); line != "" {
		return fmt.Errorf("%s: %s", text, line)
	}
	return errors.New(text)
}
