//go:build !linux

package notice

import "context"

// desktop does nothing: there is the hook.
func (*Teller) desktop(context.Context, Event) {}
