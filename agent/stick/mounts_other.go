//go:build !linux

package stick

import (
	"context"
	"log/slog"
)

func mounted([]string) ([]Place, error) { return nil, ErrUnsupported }

func events(context.Context, *slog.Logger) <-chan struct{} { return nil }
