package notice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"time"
)

// Bounds of a hook: how long what it left running may hold its output, and how much of that goes to the log, in bytes.
const (
	hookGrace  = time.Second
	hookOutput = 2 << 10
)

// hook runs the site's command. Whatever becomes of it is told in the log only.
func (t *Teller) hook(ctx context.Context, e Event) {
	command := t.Config().Hook
	if len(command) == 0 {
		return
	}
	input, err := json.Marshal(e)
	if err != nil {
		t.Log.Error("cannot run the hook", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.hookTime)
	defer cancel()
	out := &head{most: hookOutput}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = e.environment()
	cmd.Dir = os.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(input, '\n')), out, out
	cmd.WaitDelay = hookGrace
	alone(cmd)
	err = cmd.Run()
	endGroup(cmd)
	log := t.Log.With("event", e.Kind, "hook", command[0])
	if text := string(out.text); text != "" {
		log = log.With("output", text)
	}
	switch {
	case ctx.Err() != nil:
		log.Warn("the hook took too long and was ended", "after", t.hookTime)
	case errors.Is(err, exec.ErrWaitDelay):
		log.Warn("what the hook left running was ended")
	case err != nil:
		log.Warn("the hook failed", "error", err)
	default:
		log.Info("the hook was run")
	}
}

func (e Event) environment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	env := []string{
		"PATH=" + path, "DHOW_EVENT=" + e.Kind, "DHOW_SITE=" + e.Site, "DHOW_FROM=" + e.From, "DHOW_TO=" + e.To, "DHOW_RECEIPT=" + e.Receipt,
		"DHOW_REASON_KIND=" + e.Reason, "DHOW_TEXT=" + e.Text,
	}
	if root := os.Getenv("SYSTEMROOT"); root != "" { // nothing starts without it on Windows
		env = append(env, "SYSTEMROOT="+root)
	}
	return env
}

// head keeps the beginning of what is written.
type head struct {
	text []byte
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), h.most-len(h.text))]...)
	return len(p), nil
}
