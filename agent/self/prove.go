package self

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// What a program on trial is told, and says. noSource and noEngine begin the reasons that are not held against it alone.
const (
	trialEnv   = "DHOW_TRIAL"
	saysWell   = "well"
	saysUnwell = "unwell"
	noSource   = "no source answers it"
	noEngine   = "the engine does not answer it"
)

// ErrNoSource means for a program on trial that no source has answered yet.
var ErrNoSource = errors.New(noSource)

// ErrNoEngine means for a program on trial that the engine does not answer now, though it did for the old program.
var ErrNoEngine = errors.New(noEngine)

// checkLimit bounds one look at itself.
const checkLimit = 20 * time.Second

func (e Expect) words() string {
	words := "trial"
	if e.Engine {
		words += " engine"
	}
	if e.Poll {
		words += " poll"
	}
	return words
}

// OnTrial reports whether this process is a program on trial, and what is expected of it. Processes that it starts are not.
func OnTrial() (e Expect, yes bool) {
	words, yes := os.LookupEnv(trialEnv)
	if !yes {
		return e, false
	}
	_ = os.Unsetenv(trialEnv)
	for _, w := range strings.Fields(words) {
		e.Engine, e.Poll = e.Engine || w == "engine", e.Poll || w == "poll"
	}
	return e, true
}

// Prove tells the starter, every so often, whether check finds everything well, until ctx ends. cancel is called when the starter is gone.
func Prove(ctx context.Context, in io.Reader, out io.Writer, every time.Duration, cancel func(), check func(context.Context) error) {
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	for ctx.Err() == nil {
		look, end := context.WithTimeout(ctx, checkLimit)
		err := check(look)
		end()
		line := saysWell
		switch {
		case errors.Is(err, ErrNoSource):
			line = saysUnwell + " " + noSource + strings.TrimPrefix(plain(err.Error()), noSource)
		case errors.Is(err, ErrNoEngine):
			line = saysUnwell + " " + noEngine + strings.TrimPrefix(plain(err.Error()), noEngine)
		case err != nil:
			line = saysUnwell + " " + plain(err.Error())
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			cancel()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}
